"""The one place that builds concrete classes, and what the command line does with them.

A Target is all that tells one cloud from another: a project, its config cluster, and endpoints and credentials when
they are not Google's own.
"""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from controlplane.api import SpecError, parse_batch, parse_fleet, parse_service
from controlplane.api.crd import definitions
from controlplane.api.files import read_objects
from controlplane.api.fleet import KIND as FLEET_KIND
from controlplane.api.parse import KIND as SERVICE_KIND
from controlplane.api.prices import DEFAULT_TABLE, load_prices
from controlplane.api.problems import Problem
from controlplane.clock import Clock, SystemClock
from controlplane.engine.fleet import FleetDesk, FleetRead, held_clusters
from controlplane.engine.growth import Grounds
from controlplane.engine.intake import Intake, Unfenced
from controlplane.engine.limits import LeaseName, Limits
from controlplane.engine.outcome import ExitCode, PassReport
from controlplane.engine.reconcile import Gateways, Reconciler
from controlplane.engine.stopping import Stop, until_stopped
from controlplane.engine.watching import watch
from controlplane.gateways.access import GoogleAccess, Project
from controlplane.gateways.errors import GatewayError, Gone
from controlplane.gateways.factory import GoogleCloud, Patience, google_cloud
from controlplane.gateways.kubeapi import KubernetesApi
from controlplane.gateways.members import list_installed
from controlplane.gateways.parameters import Parameters, ParametersReader
from controlplane.gateways.resources import CUSTOM_RESOURCE_DEFINITIONS, GPU_BATCHES, GPU_SERVICES, resource_of
from controlplane.model.fleet import EndpointChoice, FleetSeen, FleetSpec
from controlplane.model.offering import ClusterRef
from controlplane.model.service import ServiceSpec
from ingress import WIRINGS

if TYPE_CHECKING:
    from controlplane.doctor.examine import Doctor
    from controlplane.gateways.administration import Administration

Json = dict[str, Any]
CRD_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """Which cloud: `config_cluster` is LOCATION/NAME; the rest is None or empty for Google's own. fleet: of a file."""

    project: str
    config_cluster: str
    endpoints: Mapping[str, str] = field(default_factory=dict)
    ca_file: Path | None = None
    credentials_file: Path | None = None
    prices_file: Path | None = None
    fleet: FleetSpec | None = None

    @property
    def config(self) -> ClusterRef:
        """Give the config cluster."""
        return ClusterRef.of(self.config_cluster)

    @property
    def desk(self) -> FleetDesk:
        """Give who reads the Fleet."""
        return FleetDesk(FleetSpec(self.project, self.config), self.fleet)

    @property
    def choice(self) -> EndpointChoice:
        """Give by which endpoint the config cluster is called: only a file can say, it is not in there yet."""
        return self.fleet.endpoint if self.fleet else EndpointChoice.AUTO


@dataclass(frozen=True, slots=True)
class FleetFound:
    """The project's clusters, and by what Fleet they were judged. source: `config cluster`, `file` or `defaults`."""

    spec: FleetSpec
    source: str
    seen: FleetSeen | None
    warnings: tuple[str, ...] = ()


class App:
    """What a user can do with a target."""

    def __init__(self, target: Target, cloud: GoogleCloud, reconciler: Reconciler, clock: Clock) -> None:
        self._target, self._cloud, self._config, self._clock = target, cloud, cloud.config, clock
        self.reconciler = reconciler

    def run_pass(self, *, dry_run: bool = False, keep_lease: bool = False) -> PassReport:
        """Make one pass."""
        return self.reconciler.run_pass(dry_run=dry_run, keep_lease=keep_lease)

    def run_job(self, *, dry_run: bool = False) -> PassReport:
        """Make one pass as a process of its own: at SIGTERM it ends within eight seconds, the lease given back."""
        stop = self.reconciler.stop
        with stop.on_signals(signal.SIGTERM):
            return until_stopped(
                lambda: self.run_pass(dry_run=dry_run), stop, given_up=lambda: self.reconciler.give_up(dry_run=dry_run)
            )

    def watch(self, interval: float, on_pass: Callable[[PassReport], None], *, dry_run: bool = False) -> int:
        """Make passes until SIGTERM or SIGINT; give the exit code of the last one. A dry run plans again each time."""
        stop = self.reconciler.stop
        with stop.on_signals(signal.SIGTERM, signal.SIGINT):
            report = until_stopped(
                lambda: watch(self.reconciler, interval=interval, on_pass=on_pass, dry_run=dry_run),
                stop,
                given_up=lambda: self.reconciler.give_up(dry_run=dry_run),
            )
        return int(report.exit_code)

    def serve_metrics(self, host: str, port: int) -> int:
        """Serve the metrics for Prometheus; give the port. Raises SpecError when the port cannot be had."""
        try:
            return self.reconciler.metrics.serve(host, port)
        except OSError as error:
            what = f"{host}:{port} cannot be listened on: {error.strerror or error}"
            raise SpecError([Problem("--metrics-port", what, "name a free port, or 0 for any")]) from error

    def services(self, namespace: str | None = None, name: str | None = None) -> list[Json]:
        """Give the GPUServices as they stand in the config cluster."""
        try:
            found = self._config.api().list(GPU_SERVICES, namespace=namespace)
        except Gone:
            return []
        return [service for service in found if name in (None, service["metadata"]["name"])]

    def apply(self, objects: list[Json]) -> list[Json]:
        """Store objects of our kinds, after their definitions and their namespaces. Raises SpecError."""
        for each in objects:
            if each["kind"] == FLEET_KIND:
                self._check_ours(parse_fleet(each))
        self._prepare(set())
        api = self._config.api()
        return [self._store(api, each) for each in objects]

    def _check_ours(self, fleet: FleetSpec) -> None:
        """Refuse a Fleet that is for another project or config cluster than the one that it would be stored in."""
        here = self._target
        for path, said, wanted in (
            ("spec.project", fleet.project, here.project),
            ("spec.configCluster", fleet.config.link, here.config.link),
        ):
            if said != wanted:
                what = f"is {said}, and this command talks to {wanted}"
                raise SpecError([Problem(f"Fleet default: {path}", what, "name the file with --fleet, or correct it")])

    def _store(self, api: KubernetesApi, item: Json) -> Json:
        kind, metadata = resource_of(item), item["metadata"]
        namespace = metadata.setdefault("namespace", "default") if kind.namespaced else None
        if namespace is not None:
            api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        before = api.get(kind, metadata["name"], namespace=namespace)
        after = api.apply(item)
        row = {"kind": item["kind"], "namespace": namespace, "name": metadata["name"]}
        return {**row, "change": _change(before, after), "generation": after["metadata"].get("generation")}

    def fleet(self) -> FleetFound:
        """Look at the project's clusters, and at which belong and why. Writes nothing."""
        read = self._target.desk.read(self._config.open())
        if read.spec is None:
            raise SpecError([Problem("", read.problem, "correct it with `gpuhunter apply -f`")])
        source = "config cluster" if read.stored is not None else "file" if self._target.fleet else "defaults"
        listing = self._cloud.fleet.listing(read.spec, held_clusters([*self.services(), *self.batches()]))
        return FleetFound(read.spec, source, listing.seen, read.warnings)

    def stored_fleet(self) -> Json | None:
        """Give the Fleet as it stands in the config cluster, with its status; None when there is none."""
        return self._config.open().fleet()

    def batches(self, namespace: str | None = None, name: str | None = None) -> list[Json]:
        """Give the GPUBatches as they stand in the config cluster."""
        try:
            found = self._config.api().list(GPU_BATCHES, namespace=namespace)
        except Gone:
            return []
        return [batch for batch in found if name in (None, batch["metadata"]["name"])]

    def submit(self, template: Json, read: "Parameters", file: str) -> tuple[str, bool]:
        """Make a batch of a parameters file after a template whose `parameters` is a folder.

        Gives its name, and whether it is new: the same file into the same output is the batch that is there.
        """
        spec = parse_batch(template)
        self._prepare({spec.namespace})
        return self._intake().submit(spec, template, read, file)

    def take(self, uri: str) -> tuple[str, ...]:
        """Take one file out of the inbox in which it lies; give the batches that it became. Raises GatewayError."""
        folder, _, name = uri.rpartition("/")
        taken: list[str] = []
        for inbox in self._config.open().batches():
            try:
                spec = parse_batch(inbox)
            except SpecError:
                continue  # the next pass says on it what is wrong; it keeps no other inbox from being served
            if spec.inbox and not spec.paused and not spec.deleting and spec.parameters == f"{folder}/":
                taken += self._intake().look(spec, inbox, only=name).made
        return tuple(taken)

    def _intake(self) -> Intake:
        return Intake(ParametersReader(), self._config.open(), Unfenced())

    def _prepare(self, namespaces: set[str]) -> None:
        api = self._config.api()
        for definition in definitions():
            api.apply(definition)
        self._wait_established()
        for namespace in sorted(namespaces):
            api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})

    def delete_batch(self, namespace: str, name: str) -> None:
        """Ask for a GPUBatch to be taken down; what it has rendered stays."""
        api = self._config.api()
        found = api.get(GPU_BATCHES, name, namespace=namespace)
        if found is None:
            problem = Problem(
                f"{namespace}/{name}", "there is no such GPUBatch", "see `batch list` for those there are"
            )
            raise SpecError([problem])
        api.delete(GPU_BATCHES, name, namespace=namespace, uid=found["metadata"]["uid"])

    def scale(self, namespace: str, name: str, replicas: int) -> None:
        """Ask for another number of replicas."""
        self._config.api().merge(GPU_SERVICES, name, {"spec": {"replicas": replicas}}, namespace=namespace)

    def delete(self, namespace: str, name: str) -> None:
        """Ask for a GPUService to be taken down."""
        api = self._config.api()
        found = api.get(GPU_SERVICES, name, namespace=namespace)
        if found is None:
            problem = Problem(f"{namespace}/{name}", "there is no such GPUService", "see `status` for those there are")
            raise SpecError([problem])
        api.delete(GPU_SERVICES, name, namespace=namespace, uid=found["metadata"]["uid"])

    def ingress_objects(self, namespace: str, name: str) -> list[Json]:
        """Give what wires a service in the config cluster as it stands, without bookkeeping."""
        api, found = self._config.api(), []
        for kind in (kind for wiring in WIRINGS.values() for kind in reversed(wiring.observed_kinds())):
            stub = {"apiVersion": kind.api_version, "kind": kind.name}
            items = list_installed(api, kind)
            there = [
                item for item in items if (item["metadata"]["namespace"], item["metadata"]["name"]) == (namespace, name)
            ]
            found += [{**stub, **_shown(item)} for item in there]
        return found

    def _wait_established(self) -> None:
        """Wait until the API server serves our kinds: a definition that was just written is not served at once."""
        api, end = self._config.api(), self._clock.monotonic() + CRD_PATIENCE
        waiting = [definition["metadata"]["name"] for definition in definitions()]
        while waiting and self._clock.monotonic() < end:
            found = api.get(CUSTOM_RESOURCE_DEFINITIONS, waiting[0]) or {}
            conditions = found.get("status", {}).get("conditions", [])
            if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
                waiting.pop(0)
            else:
                self._clock.sleep(0.1)


def build(
    target: Target, *, deadline: float | None = None, clock: Clock | None = None, run_id: str | None = None
) -> App:
    """Build everything for a target. Nothing is connected before the first call. Raises SpecError for its prices."""
    clock = clock or SystemClock()
    cloud = google_cloud(project_of(target), target.config, clock=clock, choice=target.choice)
    limits = Limits() if deadline is None else replace(Limits(), whole_pass=deadline)
    gateways = Gateways(
        cloud.config,
        cloud.fleet,
        cloud.members,
        cloud.signals,
        cloud.health,
        target.desk,
        advice=cloud.signals,
        meter=cloud.access.meter,
        files=ParametersReader() if find_spec("webui_image") else None,  # the image may hold nothing of it
        grounds=Grounds(cloud.provisioning, cloud.memberships, cloud.groups, cloud.access.account),
    )
    prices = load_prices(target.prices_file or DEFAULT_TABLE)
    reconciler = Reconciler(
        gateways,
        WIRINGS,
        prices,
        clock,
        limits=limits,
        lease=LeaseName(seconds=20, margin=5),
        stop=Stop(),
        run_id=run_id,
    )
    return App(target, cloud, reconciler, clock)


def doctor_of(target: Target, *, seconds: float, kubectl: Callable[[ClusterRef], str] | None = None) -> "Doctor":
    """Build what examines a target. It asks each thing once; `kubectl` gives the words that reach a cluster.

    seconds: for each check. Who gives more than the usual ones is as much more patient with each call.
    """
    from controlplane.doctor.examine import DEADLINE, Cloud, Doctor, Stored
    from controlplane.gateways.inquiry import Inquiry
    from controlplane.gateways.kubeapi import Endpoint, KubernetesApi
    from controlplane.gateways.retrying import Retrying
    from controlplane.gateways.together import together

    clock = SystemClock()
    config = target.config
    patience = Patience().times(max(1.0, seconds / DEADLINE))
    cloud = google_cloud(project_of(target), config, clock=clock, patience=patience, choice=target.choice)
    once, timeouts = Retrying(attempts=1, clock=clock), (min(patience.connect, seconds), seconds)
    access = cloud.access

    def connect(endpoint: Endpoint) -> KubernetesApi:
        return KubernetesApi(endpoint, access.token, retrying=once, timeouts=timeouts, refused=access.refused)

    def stored() -> Stored:
        specs, unreadable, addresses = [], {}, {}
        for service in cloud.config.open().services():
            key = f"{service['metadata'].get('namespace')}/{service['metadata'].get('name')}"
            addresses[key] = str((service.get("status") or {}).get("address") or "")
            try:
                specs.append(parse_service(service))
            except SpecError as error:
                unreadable[key] = str(error.problems[0])
        return Stored(tuple(specs), unreadable, {key: bare_address(url) for key, url in addresses.items() if url})

    def wanted() -> FleetRead:
        """Read the Fleet in half the time of a check; when that fails, which another one tells, the file stands in."""
        answer = together({"": lambda: target.desk.read(cloud.config.open())}, seconds=seconds / 2, clock=clock)[""]
        return FleetRead(target.fleet or target.desk.connected) if isinstance(answer, GatewayError) else answer

    inquiry = Inquiry(access, retrying=once, timeouts=timeouts, clock=clock)
    return Doctor(
        Cloud(access, inquiry, cloud.fleet, cloud.signals, connect, stored, wanted),
        config,
        clock,
        seconds,
        kubectl=kubectl,
    )


def bare_address(url: str) -> str:
    """Give the host of an address that a status tells, which may be a URL with a port."""
    return urlsplit(url if "//" in url else f"//{url}").hostname or ""


def specs_of(services: list[Json]) -> list[ServiceSpec]:
    """Give GPUServices that were read and checked as the decision sees them."""
    return [parse_service({**s, "metadata": {"namespace": "default", **s["metadata"]}}) for s in services]


def administration_of(target: Target, clock: Clock) -> "Administration":
    """Build what calls the administration APIs of a target."""
    from controlplane.gateways.administration import Administration
    from controlplane.gateways.retrying import Retrying

    access = GoogleAccess(project_of(target), clock)
    return Administration(access, retrying=Retrying(patience=60.0, clock=clock), timeouts=(5.0, 60.0))


def project_of(target: Target) -> Project:
    """Give where and how the APIs of a target are reached."""
    return Project(target.project, target.endpoints, target.credentials_file, target.ca_file)


def read_services(file: Path, *, prices: Path | None) -> list[Json]:
    """Read the GPUServices of a file and check all of it. Raises SpecError that names every line that is wrong."""
    return [each for each in read_objects(file, prices=prices) if each["kind"] == SERVICE_KIND]


def configure_logs(*, machine: bool, verbose: bool) -> None:
    """Set up logging: JSON lines for programs; for people only what needs attention, unless they ask for all."""
    from controlplane.engine.logs import configure

    configure(json_lines=machine, level="info" if verbose or machine else "warning")


def explain_failure(error: Exception) -> tuple[int, str] | None:
    """Give exit code and text of an expected failure; None for a bug."""
    if isinstance(error, SpecError):
        return int(ExitCode.BAD_CONFIGURATION), str(error)
    if isinstance(error, GatewayError):
        return int(ExitCode.CUT_OFF), f"{error.message}; {error.hint}"
    return None


def _change(before: Json | None, after: Json) -> str:
    if before is None:
        return "created"
    same = before["metadata"].get("generation") == after["metadata"].get("generation")
    return "unchanged" if same else "configured"


def _shown(item: Json) -> Json:
    metadata = {k: v for k, v in item["metadata"].items() if k in ("name", "namespace", "annotations", "labels")}
    return {"metadata": metadata, "spec": item.get("spec", {}), "status": item.get("status", {})}
