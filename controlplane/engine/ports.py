"""What the engine needs of the outside. The gateways fulfil these with the real clients, tests with doubles."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from controlplane.gateways.fleet import Listing
from controlplane.gateways.kubeapi import Endpoint
from controlplane.gateways.parameters import Parameters, Tray
from controlplane.model.batch import JobFact
from controlplane.model.facts import Known, Unknown
from controlplane.model.fleet import FleetSpec
from controlplane.model.observation import Advice, Quota, RegionSignals, WorkloadFact
from controlplane.model.offering import ClusterRef, Offering
from ingress.wiring import Kind

Json = dict[str, Any]
Manifest = Mapping[str, Any]


class FleetSource(Protocol):
    """Who knows the clusters."""

    def listing(self, wanted: FleetSpec, held: Collection[ClusterRef] = ()) -> Listing: ...


class Watched(Protocol):
    """A member cluster, for reading."""

    @property
    def calls(self) -> int: ...

    def workloads(self) -> Mapping[tuple[str, str], tuple[WorkloadFact, ...]]: ...

    def list_kind(self, kind: Kind) -> list[Json]: ...


class Additive(Protocol):
    """A member cluster, for what adds."""

    def get(self, manifest: Manifest) -> Json | None: ...

    def apply(self, manifest: Manifest, *, resource_version: str | None = None) -> Json: ...

    def ensure(self, manifest: Manifest) -> None: ...


class Yielding(Protocol):
    """A member cluster, for letting go of what an autoscaler is to set."""

    def hand_over(self, namespace: str, name: str, replicas: int, *, resource_version: str) -> str: ...


class Subtractive(Protocol):
    """A member cluster, for what takes away; each under a precondition."""

    def scale_down(self, namespace: str, name: str, replicas: int, *, resource_version: str, fence: int) -> None: ...

    def delete_deployment(self, namespace: str, name: str, *, uid: str, resource_version: str) -> None: ...

    def delete_owned(self, manifest: Manifest) -> bool: ...


class JobRunner(Protocol):
    """A member cluster, for what batches need besides."""

    def jobs(self) -> Mapping[tuple[str, str], tuple[JobFact, ...]]: ...

    def scale_job(self, namespace: str, name: str, workers: int, *, resource_version: str, fence: int) -> None: ...

    def delete_job(self, namespace: str, name: str, *, uid: str) -> None: ...


class MemberCluster(Watched, Additive, Yielding, Subtractive, JobRunner, Protocol):
    """A member cluster."""


class MemberPool(Protocol):
    """Who opens member clusters."""

    def member(self, ref: ClusterRef, endpoint: Endpoint) -> MemberCluster: ...


class StatusBook(Protocol):
    """Where GPUServices and GPUBatches are written to; each write only onto the object that was read."""

    def write_status(self, item: Manifest, status: Manifest) -> Json: ...

    def set_finalizers(self, item: Manifest, finalizers: Sequence[str]) -> Json: ...


class ServiceBook(Protocol):
    """Where GPUServices and GPUBatches are."""

    def services(self) -> list[Json]: ...

    def batches(self) -> list[Json]: ...


class BatchMaker(Protocol):
    """Where GPUBatches are created. Raises AlreadyExists for one of that name."""

    def create_batch(self, batch: Manifest) -> Json: ...


class ParametersSource(Protocol):
    """Who can read parameters files and their folders. A text says what is wrong with a file itself."""

    def tray(self, uri: str) -> Tray: ...

    def read(self, tray: Tray, name: str) -> Parameters | str: ...

    def pictures(self, uri: str) -> int | str: ...


class FleetBook(Protocol):
    """Where the Fleet and its status are."""

    def fleet(self) -> Json | None: ...

    def write_fleet_status(self, fleet: Manifest, status: Manifest) -> Json: ...


class LeaseStore(Protocol):
    """Where the Lease is. Raises AlreadyExists or Conflict when another was faster."""

    def read_lease(self, namespace: str, name: str) -> Json | None: ...

    def create_lease(self, lease: Manifest) -> Json: ...

    def replace_lease(self, lease: Manifest) -> Json: ...


class EventSink(Protocol):
    """Where Kubernetes Events go."""

    def emit(self, event: Manifest) -> None: ...


class WiringStore(Protocol):
    """Where the objects are that wire the address."""

    def list_kind(self, kind: Kind) -> list[Json]: ...

    def apply(self, manifest: Manifest, *, resource_version: str | None = None) -> Json: ...

    def delete_owned(self, kind: Kind, namespace: str, name: str, labels: Mapping[str, str]) -> bool: ...


class ConfigCluster(ServiceBook, StatusBook, BatchMaker, FleetBook, LeaseStore, EventSink, WiringStore, Protocol):
    """The config cluster."""

    @property
    def calls(self) -> int: ...

    def get(self, manifest: Manifest) -> Json | None: ...


class ConfigSource(Protocol):
    """Who opens the config cluster."""

    def open(self) -> ConfigCluster: ...


class SignalSource(Protocol):
    """Who knows what can be known before paying. Never raises: what is not known is Unknown."""

    def regions(self, wanted: Iterable[str], accelerators: Iterable[str] = ()) -> Mapping[str, RegionSignals]: ...

    def project_gpu_quota(self) -> Known[Quota] | Unknown: ...


class AdviceSource(Protocol):
    """Who gives the capacity advice. Never raises."""

    def advice(self, offerings: Iterable[Offering]) -> Mapping[Offering, Known[Advice] | Unknown]: ...


class HealthSource(Protocol):
    """Who knows which backends answer behind the load balancer."""

    def healthy(self, backend_services: Iterable[str]) -> Mapping[str, int]: ...


class CallMeter(Protocol):
    """Who counts the calls to Google Cloud's APIs."""

    @property
    def calls(self) -> int: ...

    def begin(self) -> None: ...
