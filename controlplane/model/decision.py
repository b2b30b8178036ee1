"""What one pass decided: actions as data, a verdict for every offering, conditions for the status."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from controlplane.model.memory import Memory
from controlplane.model.offering import ClusterRef, Offering
from controlplane.model.service import IngressKind


@dataclass(frozen=True, slots=True)
class Autoscaled:
    """A placement whose replicas its autoscaler sets, between those that are wanted there and `maximum`.

    seen: the replicas of its Deployment as they were seen; our own writes leave them as they are.
    uid: of the Deployment, which the autoscaler belongs to and goes with.
    """

    maximum: int
    seen: int
    uid: str


@dataclass(frozen=True, slots=True)
class ApplyPlacement:
    """Create the placement's Deployment, or bring it to this many replicas and the service's template.

    resource_version: of the live Deployment that was observed, the precondition; None when it must not exist yet.
    adds: replicas this adds over what was observed (0 for a template change alone).
    autoscaled: where an autoscaler sets the replicas, which then get `replicas` as their least; None where we do.
    """

    offering: Offering
    replicas: int
    resource_version: str | None
    adds: int
    why: str
    autoscaled: Autoscaled | None = None

    def __str__(self) -> str:
        """Say it for people."""
        return f"apply {self.offering} with {self.replicas} replica(s): {self.why}"


@dataclass(frozen=True, slots=True)
class ScaleDownPlacement:
    """Bring the placement's Deployment down to fewer replicas, under its resourceVersion.

    autoscaled: where an autoscaler sets the replicas, which then may go down to `replicas`; None where we do.
    """

    offering: Offering
    replicas: int
    removes: int
    uid: str
    resource_version: str
    why: str
    autoscaled: Autoscaled | None = None

    def __str__(self) -> str:
        """Say it for people."""
        return f"scale down {self.offering} to {self.replicas} replica(s): {self.why}"


@dataclass(frozen=True, slots=True)
class DeletePlacement:
    """Delete the placement's Deployment, under its uid and resourceVersion; an autoscaler of it goes first."""

    offering: Offering
    uid: str
    resource_version: str
    why: str
    autoscaled: bool = False

    def __str__(self) -> str:
        """Say it for people."""
        return f"delete {self.offering}: {self.why}"


@dataclass(frozen=True, slots=True)
class StartAutoscaling:
    """Let an autoscaler set the placement's replicas, from `replicas` on; or bring new settings into the one there is.

    resource_version: of the Deployment that was observed; the replicas are let go of only as it was seen.
    begins: there is none yet, so that we set the replicas until now.
    """

    offering: Offering
    replicas: int
    autoscaled: Autoscaled
    resource_version: str
    why: str
    begins: bool = True

    def __str__(self) -> str:
        """Say it for people."""
        return f"autoscale {self.offering} from {self.replicas} to {self.autoscaled.maximum} replica(s): {self.why}"


@dataclass(frozen=True, slots=True)
class StopAutoscaling:
    """Delete the placement's autoscaler and set its replicas ourselves again: as many as hold their GPUs."""

    offering: Offering
    replicas: int
    uid: str
    resource_version: str
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"stop autoscaling {self.offering} at {self.replicas} replica(s): {self.why}"


@dataclass(frozen=True, slots=True)
class WireIngress:
    """Bring the whole list of clusters (links, sorted, never empty) into the wiring of a kind.

    list_only: the other settings stay as they were written, since the wiring is being left.
    """

    clusters: tuple[str, ...]
    adds: tuple[str, ...]
    removes: tuple[str, ...]
    why: str
    kind: IngressKind = IngressKind.MULTI_CLUSTER_INGRESS
    list_only: bool = False

    def __str__(self) -> str:
        """Say it for people."""
        what = "the address" if self.kind is IngressKind.MULTI_CLUSTER_INGRESS else f"the {self.kind.value}"
        return f"wire {what} to {', '.join(self.clusters)}: {self.why}"


@dataclass(frozen=True, slots=True)
class UnwireIngress:
    """Delete the wiring of a kind: when the service is being deleted, or when the other kind is proven to serve."""

    why: str
    kind: IngressKind = IngressKind.MULTI_CLUSTER_INGRESS

    def __str__(self) -> str:
        """Say it for people."""
        return f"take the {self.kind.value} down: {self.why}"


@dataclass(frozen=True, slots=True)
class ReleaseMember:
    """Delete what we put into a member cluster besides Deployments (ServiceAccount and such); service being deleted."""

    cluster: ClusterRef
    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"clean up {self.cluster}: {self.why}"


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let the GPUService go; everything of it is down."""

    why: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"remove the finalizer: {self.why}"


Action: TypeAlias = (
    ApplyPlacement
    | ScaleDownPlacement
    | DeletePlacement
    | StartAutoscaling
    | StopAutoscaling
    | WireIngress
    | UnwireIngress
    | ReleaseMember
    | RemoveFinalizer
)


class Standing(StrEnum):
    """What a verdict says about an offering in this pass."""

    CHOSEN = "Chosen"
    HELD = "Held"
    RANKED = "Ranked"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One offering in one pass: chosen, held, ranked lower, or refused; why; and when it is tried next.

    reasons: values of `controlplane.model.reasons.Reason`, the first one decides.
    score: lower is better; None when a filter refused it.
    chance: of getting it if it were asked for now, 0 to 1. hazard: losses to be expected in each hour of what is held
    there, or would be. None where nothing is supposed.
    learnt: what was learnt of it, for people, such as "3 of 5 attempts obtained, lost once in 12 h held".
    """

    offering: Offering
    standing: Standing
    reasons: tuple[str, ...]
    message: str
    score: float | None = None
    price: float | None = None
    next_try: datetime | None = None
    chance: float | None = None
    hazard: float | None = None
    learnt: str = ""


def histogram_of(verdicts: Iterable[Verdict]) -> Mapping[str, int]:
    """Count the first reasons of the refused, most frequent first."""
    tally: dict[str, int] = {}
    refused = Standing.REFUSED
    for verdict in verdicts:
        if verdict.standing is refused:
            tally[verdict.reasons[0]] = tally.get(verdict.reasons[0], 0) + 1
    return dict(sorted(tally.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class Condition:
    """A status condition, Cluster API style. `status` is True, False or Unknown; reason and message say why."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An action that a safety guard removed, by which guard (S1, S2 ...) and why."""

    action: Action
    guard: str
    why: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Replicas by what they are, and what they cost an hour at the prices known."""

    wanted: int
    hunting: int
    warming: int
    serving: int
    draining: int
    hourly_cost: float
    regions: tuple[str, ...]
    accelerators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of one pass for one service.

    `feasible` is False when no offering could be tried now or later under the present spec and facts.
    wired_by: the kind of ingress whose address is the service's now; None where nothing is known of it.
    wirings: the kinds that are asked for or of which something is there; empty where nothing is known of it.
    """

    plan: tuple[Action, ...]
    memory: Memory
    verdicts: tuple[Verdict, ...]
    conditions: tuple[Condition, ...]
    counts: Counts
    suppressed: tuple[Suppressed, ...] = ()
    feasible: bool = True
    wired_by: IngressKind | None = None
    wirings: tuple[IngressKind, ...] = ()

    @property
    def histogram(self) -> Mapping[str, int]:
        """How many offerings were refused for which first reason, most frequent first."""
        return histogram_of(self.verdicts)
