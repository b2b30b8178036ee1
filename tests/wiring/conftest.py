"""A whole project on sockets in this process, without controllers: the test does what Kubernetes and GKE would do.

The reconciler's account has the rights of `regional_deploy/rbac` and no others, in the project and in every cluster.
"""

import asyncio
import importlib.resources
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

import regional_deploy
from controlplane.api.crd import custom_resource_definition
from controlplane.clock import SystemClock
from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
from controlplane.gateways.resources import DEPLOYMENTS, GPU_SERVICES, NODES, PODS, Resource, resource_of
from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.clock import SystemClock as CloudClock
from controlplane.localcloud.daemon.pki import ensure_pki
from controlplane.localcloud.faults import FaultBook
from controlplane.localcloud.gcp import GoogleCloud, HostedCluster, TokenIssuer, new_credentials
from controlplane.localcloud.gcp.admin.calls import Call
from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth, EndpointHealth, GroupHealth
from controlplane.localcloud.scenario import load_scenario
from controlplane.localcloud.serving import serve
from controlplane.localcloud.stock.ledger import Stock
from controlplane.model import naming
from controlplane.wiring import Target, build
from regional_deploy.runner import rights

RBAC = Path(regional_deploy.__file__).parent / "rbac"
KEY = new_credentials("gpu-hunter-local", "http://127.0.0.1:1/token")
HUNTER = KEY["client_email"]
APIS = ("container", "compute", "gkehub", "cloudquotas")
ZONES = ("a", "b", "c")
FILES = ("crds", "crds_gateway", "crds_services")


class Host:
    def __init__(self, clusters):
        self.clusters = clusters

    def list(self):
        return list(self.clusters)


class Balancer:
    def __init__(self):
        self.services = {}

    def health(self):
        return dict(self.services)

    def leaked_groups(self):
        return []

    def forwarding_rules(self):
        return []


class Listened:
    """Writes down which paths of Google Cloud's APIs are asked for; tokens are not among them."""

    def __init__(self, app, into):
        self.app, self.into = app, into

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"] != "/token":
            self.into.append(f"{scope['method']} {scope['path'].partition('/projects/')[2].partition('/')[2]}")
        await self.app(scope, receive, send)


class Whole:
    """All servers of the default scenario."""

    def __init__(self, loop, pki, folder):
        self.loop, self.pki, self.clock = loop, pki, CloudClock()
        self.calls, self.serving, self.servers = [], [], {}
        self.tokens, self.balancer, self.scenario = TokenIssuer(self.clock, KEY), Balancer(), load_scenario(None)
        ca = pki.ca_file.read_text()
        hosted = [
            HostedCluster(spec.name, spec.location, f"127.0.0.1:{self._start(spec.name)}", ca)
            for spec in self.scenario.all_clusters
        ]
        self.config, *self.members = hosted
        self.stock = Stock(self.scenario)
        self.google = GoogleCloud(
            self.scenario, self.stock, self.clock,
            clusters=Host(hosted), backends=self.balancer, faults=FaultBook(), tokens=self.tokens,
        )  # fmt: skip
        self._grant(f"projects/{self.scenario.project}")
        self.url = f"http://127.0.0.1:{self._serve(Listened(self.google.app, self.calls), None, None)}"
        key = folder / "key.json"
        key.write_text(json.dumps({**KEY, "token_uri": f"{self.url}/token"}))
        self.target = Target(
            self.scenario.project, "us-west2/hunt-config", dict.fromkeys(APIS, self.url), credentials_file=key
        )

    def _start(self, name):
        server = self.servers[name] = ApiServer(
            name,
            clock=self.clock,
            database=None,
            authenticate=self._user,
            administers=lambda user: user == "admin",
            faults=FaultBook(),
        )
        return self._serve(server.app, self.pki.cert_file, self.pki.key_file)

    def _user(self, token):
        """Let in who may connect to clusters, as GKE asks IAM before RBAC is asked."""
        user = "admin" if token == "admin-token" else self.tokens.authenticate(token)
        return user if user in (None, "admin") or self.google.may(user, "container.clusters.connect") else None

    def _grant(self, project):
        admin = self.google._admin
        role = yaml.safe_load((RBAC / "google-cloud-role.yaml").read_text())
        body = {"roleId": "gpuHunter", "role": role}
        admin.answer(Call("POST", f"/v1/{project}/roles", body=body))
        granted = {"role": f"{project}/roles/gpuHunter", "members": [f"serviceAccount:{HUNTER}"]}
        admin.policies.put(project, [{"role": "roles/owner", "members": ["user:somebody@example.com"]}, granted])

    def _serve(self, app, cert, key):
        server = self.run(serve(app, "127.0.0.1", 0, cert, key))
        self.serving.append(server)
        return server.port

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def close(self):
        async def stop():
            await asyncio.gather(*(server.stop() for server in self.serving))

        self.run(stop())
        for server in self.servers.values():
            server.close()

    def admin(self, cluster):
        return KubernetesApi(Endpoint(f"https://{cluster.endpoint}", cluster.ca_pem), lambda: "admin-token")

    def install(self, cluster, *manifests):
        admin = self.admin(cluster)
        for manifest in manifests:
            group, _, version = manifest["apiVersion"].rpartition("/")
            resource = Resource(group, version, manifest["kind"].lower() + "s", namespaced=False)
            admin.create(resource, manifest)

    def app(self):
        """Give the program as a process that has just begun."""
        return build(self.target, clock=SystemClock())

    def serve_with(self, *services):
        """Store GPUServices, and make passes until all of them serve behind their address."""
        app, config = self.app(), self.admin(self.config)
        for service in services:
            config.create(GPU_SERVICES, service)
        for _ in range(12):
            report = app.run_pass()
            assert not [each.problem for each in report.services if each.problem], report
            assert not report.unknown, report.unknown
            self.settle()
            if all(each.decision.counts.serving == each.spec.replicas for each in report.services):
                return
        raise AssertionError(report)

    def settle(self):
        """Do what Kubernetes and GKE do: Pods for Deployments, endpoints and addresses for what wires them."""
        held = {cluster.location: self._pods(cluster) for cluster in self.members}
        config = self.admin(self.config)
        for kind, status in (("MultiClusterIngress", True), ("Gateway", False)):
            resource = resource_of({"apiVersion": GROUPS[kind], "kind": kind})
            for found in config.list(resource):
                name = found["metadata"]["name"]
                self.balancer.services[f"bs-{kind.lower()}-{name}"] = self._backends(name, kind, held)
                self._program(config, resource, found, f"bs-{kind.lower()}-{name}", status=status)

    def _program(self, config, resource, found, backend, *, status):
        if status:
            done = {"VIP": "203.0.113.7", "CloudResources": {"BackendServices": [backend]}}
        else:
            made = f"/projects/1/global/backendServices/{backend}"
            metadata = found["metadata"]
            if (metadata.get("annotations") or {}).get("networking.gke.io/backend-services") != made:
                change = {"metadata": {"annotations": {"networking.gke.io/backend-services": made}}}
                found = config.merge(resource, metadata["name"], change, namespace=metadata["namespace"])
            done = {"addresses": [{"type": "IPAddress", "value": "203.0.113.8"}]}
        if found.get("status") != done:
            config.replace(resource, {**found, "status": done}, subresource="status")

    def _backends(self, name, kind, held):
        groups = tuple(
            GroupHealth(f"{name}-{location}-{zone}", f"{location}-{zone}", f"{location}/gpu", endpoints)
            for location, pods in held.items()
            if pods.get(name)
            for zone, endpoints in zip(ZONES, _spread(pods[name]), strict=True)
        )
        return BackendServiceHealth(f"bs-{kind.lower()}-{name}", "default", name, 80, groups, health_check="hc")

    def _pods(self, cluster):
        admin, counts = self.admin(cluster), {}
        there = {pod["metadata"]["name"] for pod in admin.list(PODS)}
        for deployment in admin.list(DEPLOYMENTS):
            template, metadata = deployment["spec"]["template"], deployment["metadata"]
            for number in range(deployment["spec"]["replicas"]):
                name = f"{metadata['name']}-{number}"
                service = template["metadata"]["labels"][naming.LABEL_SERVICE]
                counts[service] = counts.get(service, 0) + 1
                if name not in there:
                    self._run(admin, cluster, {**template["metadata"], "name": name, "namespace": "default"})
        return counts

    def _run(self, admin, cluster, metadata):
        labels = {naming.NODE_ACCELERATOR: "nvidia-l4", "topology.kubernetes.io/zone": f"{cluster.location}-a"}
        node = f"node-{metadata['name']}"
        admin.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": labels}})
        spec = {"nodeName": node, "containers": [{"name": "app", "image": "x"}]}
        pod = admin.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-01T12:00:00Z"}
        admin.replace(PODS, {**pod, "status": {"phase": "Running", "conditions": [ready]}}, subresource="status")


GROUPS = {"MultiClusterIngress": "networking.gke.io/v1", "Gateway": "gateway.networking.k8s.io/v1"}


def _spread(count):
    one = [EndpointHealth(f"127.1.0.{n}", 7860, healthy=True) for n in range(count)]
    return tuple(one), (), ()


def service(name="web", **spec):
    """Give a GPUService of three replicas in three regions, of two GPU types."""
    wanted = {
        "replicas": 3,
        "accelerators": [{"type": "nvidia-l4"}, {"type": "nvidia-tesla-t4"}],
        "spread": {"maxReplicasPerRegion": 1},
        "pod": {"image": "gpu-hunter/demo-app:1"},
        **spec,
    }
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "GPUService", "metadata": metadata, "spec": wanted}


@pytest.fixture(scope="module")
def whole(loop, tmp_path_factory):
    """Give a project in which two services serve, one behind each kind of ingress; one of them may take an H100."""
    folder = importlib.resources.files("controlplane.localcloud.loadbalancer")
    kinds = {file: list(yaml.safe_load_all(folder.joinpath(f"{file}.yaml").read_text())) for file in FILES}
    made = Whole(loop, ensure_pki(tmp_path_factory.mktemp("pki"), datetime.now(UTC)), tmp_path_factory.mktemp("key"))
    made.install(made.config, custom_resource_definition(), *kinds["crds"], *kinds["crds_gateway"])
    made.install(made.config, *rights("config-cluster", HUNTER))
    for member in made.members:
        made.install(member, *kinds["crds_services"], *rights("member", HUNTER))
    more = [{"type": "nvidia-l4"}, {"type": "nvidia-h100-80gb"}]
    gateway = {"kind": "MultiClusterGateway"}
    made.serve_with(service("web"), service("other", replicas=1, accelerators=more, ingress=gateway))
    yield made
    made.close()
