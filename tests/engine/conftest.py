"""A small world in memory that fulfils the engine's Protocols: clusters with resourceVersions, a fleet, a balancer.

Writes are journalled and can be made to crash, to be lost before they happen or to lose their answer afterwards.
"""

import copy
import itertools
import logging
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from controlplane.engine import Gateways, LeaseName, Limits, Reconciler
from controlplane.engine.fleet import FleetDesk
from controlplane.gateways import errors
from controlplane.gateways.fleet import Listing
from controlplane.gateways.kubeapi import Endpoint
from controlplane.gateways.workloads import RawMember, any_autoscaled, workloads_by_service
from controlplane.model import naming
from controlplane.model.facts import Known
from controlplane.model.fleet import ClusterStanding, FleetSeen, FleetSpec, IngressFeatureSeen
from controlplane.model.observation import ClusterInfo, Quota, RegionSignals
from controlplane.model.offering import Capacity, ClusterRef
from ingress import WIRINGS

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.elapsed = 0.0
        self.skew = timedelta(0)

    def now(self):
        return START + timedelta(seconds=self.elapsed) + self.skew

    def monotonic(self):
        return self.elapsed

    def sleep(self, seconds):
        self.elapsed += seconds

    advance = sleep


class Crash(BaseException):
    """The process is gone."""


class World:
    """Everything outside, and what goes wrong in it."""

    def __init__(self, regions):
        self.clock = Clock()
        self.refs = [ClusterRef(region, f"gpu-{region}") for region in regions]
        self.versions = itertools.count(1)
        self.journal = []
        self.hooks = {}
        self.crashed = False
        self.obtainable = set(regions)
        self.listing_error = None
        self.unlisted = ()
        self.fleet_file, self.asked, self.standings, self.leaving = None, [], None, set()
        self.balanced, self.exported = {}, {}
        self.load = 0
        self.config = Config(self)
        self.members = {ref: Member(self, ref) for ref in self.refs}

    # --- faults
    def write(self, label, change):
        if self.crashed:
            raise Crash
        index = len(self.journal)
        self.journal.append(label)
        hook = self.hooks.get(index)
        if hook in ("crash-before", "lost-before"):
            self._fail(hook)
        result = change()
        if hook in ("crash-after", "lost-after"):
            self._fail(hook)
        return result

    def _fail(self, hook):
        if hook.startswith("crash"):
            self.crashed = True
            raise Crash
        raise errors.Ambiguous("no answer")

    # --- what clusters do by themselves
    def settle(self):
        """Let Deployments get Pods, where GPUs can be had, and the load balancer see them."""
        for ref, member in self.members.items():
            if member.down:
                continue
            for key in [k for k, d in member.objects.items() if "deletionTimestamp" in d["metadata"]]:
                del member.objects[key]
            member.scale(self.load)
            member.pods = [pod for d in member.deployments() for pod in self._pods(ref, d)]
        mcs, mci = self.config.objects.get("MultiClusterService"), self.config.objects.get("MultiClusterIngress")
        if mci is not None:
            mci["status"] = {"VIP": "203.0.113.7", "CloudResources": {"BackendServices": ["mci-web"]}}
        self.balanced = self._behind(link["link"] for link in (mcs["spec"]["clusters"] if mcs else ()))
        gateway, route = self.config.objects.get("Gateway"), self.config.objects.get("HTTPRoute")
        if gateway is not None and route is not None:
            made = "/projects/1/global/backendServices/gkemcg1-web"
            gateway["metadata"]["annotations"]["networking.gke.io/backend-services"] = made
            gateway["status"] = {"addresses": [{"type": "IPAddress", "value": "203.0.113.8"}]}
        exporting = (ref.link for ref, member in self.members.items() if "ServiceExport/web" in member.objects)
        self.exported = self._behind(exporting if gateway and route else ())

    def _behind(self, links):
        """Give the Pods by region that a load balancer sees in these clusters."""
        found = {}
        for link in links:
            ref = next(r for r in self.refs if r.link == link)
            ready = sum(1 for p in self.members[ref].pods if p["spec"].get("nodeName"))
            if ready and not self.members[ref].down:
                found[ref.region] = ready
        return found

    def _pods(self, ref, deployment):
        stamp = deployment["metadata"]["creationTimestamp"]
        for number in range(deployment["spec"]["replicas"]):
            placed = ref.region in self.obtainable
            yield {
                "metadata": {
                    "name": f"{deployment['metadata']['name']}-{number}",
                    "namespace": deployment["metadata"]["namespace"],
                    "uid": f"{deployment['metadata']['uid']}-{number}",
                    "labels": deployment["metadata"]["labels"],
                    "creationTimestamp": stamp,
                },
                "spec": {"nodeName": "node-1"} if placed else {},
                "status": {
                    "conditions": [
                        {"type": kind, "status": "True" if placed else "False", "lastTransitionTime": stamp}
                        for kind in ("PodScheduled", "Ready")
                    ]
                },
            }

    # --- the engine on it
    def reconciler(self, **options):
        self.crashed = False
        desk = FleetDesk(FleetSpec("project", ClusterRef("us-west2", "hunt-config")), self.fleet_file)
        gateways = Gateways(self.config_source, self, self, self, self, desk)
        options = {"limits": Limits(member=60, signals=60, config=60), "lease": LeaseName(seconds=60), **options}
        prices = {
            ("nvidia-l4", ref.region, capacity): 0.5
            for ref in self.refs
            for capacity in (Capacity.SPOT, Capacity.ON_DEMAND)
        }
        return Reconciler(gateways, WIRINGS, prices, self.clock, **options)

    @property
    def config_source(self):
        world = self

        class Source:
            def open(self):
                if isinstance(world.config.error, Exception):
                    raise world.config.error
                return world.config

        return Source()

    def run(self, passes=1, *, settle=True, **options):
        """Make passes, each by a new process, 30 s apart."""
        report = None
        for _ in range(passes):
            report = self.reconciler(**options).run_pass()
            if settle:
                self.settle()
            self.clock.advance(30)
        return report

    # --- protocols: fleet, pool, signals, health
    def listing(self, wanted, held=()):
        self.asked.append((wanted, frozenset(held)))
        if self.listing_error is not None:
            raise self.listing_error
        infos = tuple(ClusterInfo(ref, leaving=ref in self.leaving) for ref in self.refs)
        standings = self.standings or tuple(ClusterStanding(ref, endpoint="dns", version="1.37") for ref in self.refs)
        now = self.clock.now()
        feature = Known(IngressFeatureSeen(True, ours=True), now)
        seen = FleetSeen(standings, self.unlisted, Known(len(standings), now), feature)
        return Listing(infos, {ref: Endpoint(f"https://{ref.name}") for ref in self.refs}, self.unlisted, seen)

    def member(self, ref, endpoint):
        return self.members[ref]

    def regions(self, wanted, _accelerators=()):
        offered = Known(frozenset({"nvidia-l4"}), self.clock.now())
        quotas = {"NVIDIA_L4_GPUS": Quota(16, 0), "PREEMPTIBLE_NVIDIA_L4_GPUS": Quota(16, 0)}
        return {region: RegionSignals(offered, Known(quotas, self.clock.now())) for region in wanted}

    def project_gpu_quota(self):
        return Known(Quota(64, 0), self.clock.now())

    def healthy(self, names):
        return dict(self.exported if list(names) == ["gkemcg1-web"] else self.balanced)

    @property
    def placements(self):
        """The end state: replicas by cluster and Deployment, and the wired clusters."""
        held = {
            f"{ref.link}/{d['metadata']['name']}": d["spec"]["replicas"]
            for ref, member in self.members.items()
            for d in member.deployments()
        }
        mcs = self.config.objects.get("MultiClusterService")
        return held, [c["link"] for c in mcs["spec"]["clusters"]] if mcs else None


class Store:
    """Objects of one cluster, with preconditions."""

    def __init__(self, world, name):
        self.world, self.name, self.calls = world, name, 0
        self.objects = {}
        self.error = None

    def _read(self):
        self.calls += 1
        if callable(self.error):
            self.error()
        elif self.error is not None:
            raise self.error

    def _stamp(self, obj):
        obj["metadata"]["resourceVersion"] = str(next(self.world.versions))
        return copy.deepcopy(obj)

    def _check(self, found, version):
        if found is None:
            raise errors.Gone("not found")
        if version is not None and found["metadata"]["resourceVersion"] != version:
            raise errors.Conflict("the object has been modified")

    def put(self, key, body, version=None):
        def change():
            found = self.objects.get(key)
            if version is not None:
                self._check(found, version)
            new = copy.deepcopy(dict(body))
            old = found["metadata"] if found else {}
            new["metadata"]["uid"] = old.get("uid") or f"uid-{next(self.world.versions)}"
            now = self.world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            new["metadata"]["creationTimestamp"] = old.get("creationTimestamp") or now
            if found and "status" in found and "status" not in new:
                new["status"] = found["status"]
            self.objects[key] = new
            return self._stamp(new)

        self._read()
        return self.world.write(f"{self.name} apply {key}", change)

    def get_key(self, key):
        self._read()
        return copy.deepcopy(self.objects.get(key))


class Member(Store):
    def __init__(self, world, ref):
        super().__init__(world, ref.link)
        self.ref, self.pods, self.events = ref, [], []
        self.handed_over = set()

    @property
    def down(self):
        return self.error is not None

    def deployments(self):
        return [d for d in self.objects.values() if d["kind"] == "Deployment"]

    def workloads(self):
        self._read()
        found = self.deployments()
        scalers = self.autoscalers() if any_autoscaled(found) else []
        return workloads_by_service(self.ref, RawMember(found, self.pods, self.events, autoscalers=scalers))

    def autoscalers(self):
        return [o for o in self.objects.values() if o["kind"] == "HorizontalPodAutoscaler"]

    def scale(self, load):
        """Let autoscalers go with their Deployments, and do what the load asks for."""
        by_uid = {d["metadata"]["uid"]: d for d in self.deployments()}
        for scaler in self.autoscalers():
            scaled = by_uid.get(scaler["metadata"]["ownerReferences"][0]["uid"])
            if scaled is None:
                del self.objects[self._key(scaler)]
                continue
            wanted = min(max(load, scaler["spec"]["minReplicas"]), scaler["spec"]["maxReplicas"])
            if scaled["spec"]["replicas"] != wanted:
                scaled["spec"]["replicas"] = wanted
                self._stamp(scaled)

    def hand_over(self, namespace, name, replicas, *, resource_version):
        def change():
            found = self.objects.get(f"Deployment/{name}")
            self._check(found, resource_version)
            found["spec"]["replicas"] = replicas
            self.handed_over.add(name)
            return self._stamp(found)["metadata"]["resourceVersion"]

        self._read()
        return self.world.write(f"{self.name} hand over {name}", change)

    def jobs(self):
        self._read()
        return {}

    def list_kind(self, kind):
        self._read()
        return [copy.deepcopy(o) for o in self.objects.values() if o["kind"] == kind.name]

    @staticmethod
    def _key(manifest):
        return f"{manifest['kind']}/{manifest['metadata']['name']}"

    def get(self, manifest):
        return self.get_key(self._key(manifest))

    def apply(self, manifest, *, resource_version=None):
        if manifest["kind"] == "Deployment" and "replicas" not in manifest["spec"]:
            # What nobody else holds falls to its default when its owner leaves it out.
            name = manifest["metadata"]["name"]
            kept = self.objects[f"Deployment/{name}"]["spec"]["replicas"] if name in self.handed_over else 1
            manifest = {**manifest, "spec": {**manifest["spec"], "replicas": kept}}
        return self.put(self._key(manifest), manifest, resource_version)

    def ensure(self, manifest):
        if self._key(manifest) not in self.objects:
            self.put(self._key(manifest), manifest)

    def scale_down(self, namespace, name, replicas, *, resource_version, fence):
        def change():
            found = self.objects.get(f"Deployment/{name}")
            self._check(found, resource_version)
            found["spec"]["replicas"] = replicas
            found["metadata"]["annotations"].pop(naming.ANNOTATION_AUTOSCALED, None)
            self._stamp(found)

        self._read()
        self.world.write(f"{self.name} scale {name}", change)

    def delete_deployment(self, namespace, name, *, uid, resource_version):
        def change():
            found = self.objects.get(f"Deployment/{name}")
            if found is None:
                return
            self._check(found, resource_version)
            assert found["metadata"]["uid"] == uid
            found["metadata"]["deletionTimestamp"] = "2026-11-01T12:00:00Z"
            self._stamp(found)

        self._read()
        self.world.write(f"{self.name} delete {name}", change)

    def delete_owned(self, manifest):
        found = self.get(manifest)
        if found is None:
            return True
        if found["metadata"].get("labels", {}).get(naming.LABEL_MANAGED_BY) != naming.FIELD_MANAGER:
            return False
        self.world.write(f"{self.name} delete {self._key(manifest)}", lambda: self.objects.pop(self._key(manifest)))
        return True


class Config(Store):
    def __init__(self, world):
        super().__init__(world, "config")
        self.stored, self.lease, self.events = {}, None, []
        self.stored_fleet = None

    def fleet(self):
        self._read()
        return copy.deepcopy(self.stored_fleet)

    def write_fleet_status(self, fleet, status):
        def change():
            self._check(self.stored_fleet, fleet["metadata"]["resourceVersion"])
            self.stored_fleet["status"] = copy.deepcopy(status)
            self._stamp(self.stored_fleet)

        self._read()
        self.world.write("config fleet status", change)

    def services(self):
        self._read()
        return [copy.deepcopy(s) for s in self.stored.values()]

    def batches(self):
        self._read()
        return []

    def add(self, name="web", **spec):
        body = {
            "apiVersion": "gpuhunter.dev/v1alpha1",
            "kind": "GPUService",
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": f"uid-{name}",
                "generation": 1,
                "creationTimestamp": "2026-11-01T11:00:00Z",
            },
            "spec": {
                "replicas": 1,
                "accelerators": [{"type": "nvidia-l4"}],
                "pod": {"image": "gpu-hunter/demo-app:1", "port": 7860},
                **spec,
            },
        }
        self.stored[name] = body
        self._stamp(body)
        return body

    def _current(self, service):
        found = self.stored.get(service["metadata"]["name"])
        self._check(found, service["metadata"]["resourceVersion"])
        return found

    def write_status(self, service, status):
        def change():
            found = self._current(service)
            found["status"] = copy.deepcopy(dict(status))
            return self._stamp(found)

        self._read()
        return self.world.write(f"config status {service['metadata']['name']}", change)

    def set_finalizers(self, service, finalizers):
        def change():
            found = self._current(service)
            found["metadata"]["finalizers"] = list(finalizers)
            if not finalizers and "deletionTimestamp" in found["metadata"]:
                del self.stored[service["metadata"]["name"]]
            return self._stamp(found)

        self._read()
        return self.world.write(f"config finalizers {service['metadata']['name']}", change)

    def emit(self, event):
        self._read()
        self.world.write("config event", lambda: self.events.append(copy.deepcopy(event)))

    def list_kind(self, kind):
        self._read()
        found = self.objects.get(kind.name)
        return [copy.deepcopy(found)] if found else []

    def get(self, manifest):
        return self.get_key(manifest["kind"])

    def apply(self, manifest, *, resource_version=None):
        return self.put(manifest["kind"], manifest, resource_version)

    def delete_owned(self, kind, namespace, name, labels):
        self._read()
        if self.objects.get(kind.name, {"metadata": {"name": ""}})["metadata"]["name"] == name:
            self.world.write(f"config delete {kind.name}", lambda: self.objects.pop(kind.name))
        return True

    def read_lease(self, namespace, name):
        self._read()
        return copy.deepcopy(self.lease)

    def create_lease(self, lease):
        self._read()
        if self.lease is not None:
            raise errors.AlreadyExists("exists")
        return self._lease(lease)

    def replace_lease(self, lease):
        self._read()
        if self.lease is None:
            raise errors.Gone("not found")
        if self.lease["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]:
            raise errors.Conflict("modified")
        return self._lease(lease)

    def _lease(self, lease):
        if self.world.crashed:
            raise Crash
        self.lease = copy.deepcopy(dict(lease))
        return self._stamp(self.lease)


@pytest.fixture(autouse=True)
def _quiet():
    """Keep hundreds of passes from filling the screen."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def make_world():
    """Give a maker of worlds."""
    return lambda *regions: World(regions or ("us-central1", "europe-west4"))


@pytest.fixture
def world(make_world):
    """Give a world of two regions with one GPUService that wants one replica."""
    made = make_world()
    made.config.add()
    return made


@pytest.fixture
def crash():
    """Give the exception that ends the process."""
    return Crash
