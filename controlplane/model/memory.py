"""What must outlive a pass. It lives in the status of the GPUService and is bounded in size."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from controlplane.model.offering import Offering, RefusalClass
from controlplane.model.service import IngressKind

MEMORY_VERSION = 2


class Phase(StrEnum):
    """Where a placement stands."""

    HUNTING = "Hunting"
    WARMING = "Warming"
    SERVING = "Serving"
    DRAINING = "Draining"
    COOLING = "Cooling"


class Outcome(StrEnum):
    """How an attempt ended, or that it has not."""

    OPEN = "Open"
    OBTAINED = "Obtained"
    REFUSED = "Refused"
    TIMED_OUT = "TimedOut"
    WITHDRAWN = "Withdrawn"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at getting `replicas` more from an offering."""

    offering: Offering
    started_at: datetime
    deadline: datetime
    replicas: int
    outcome: Outcome = Outcome.OPEN
    ended_at: datetime | None = None
    refusal: RefusalClass | None = None
    message: str = ""
    failback: bool = False


@dataclass(frozen=True, slots=True)
class PlacementMemory:
    """A placement's phase and since when; `replicas` is what it is meant to hold, `obtained` how many had their GPUs.

    unwired_at: when a draining placement was first seen out of the load balancer.
    impaired_since: since when it holds GPUs on which the app does not serve, without a break.
    rolling: it was given another template, and has not been seen to serve with it alone since.
    ceiling: how many replicas its autoscaler may come to by itself; 0 where it has none.
    unscaled: why no autoscaler could be made there, and unscaled_at when that was tried; empty where nothing was in the
    way.
    """

    offering: Offering
    phase: Phase
    since: datetime
    replicas: int
    serving_since: datetime | None = None
    unwired_at: datetime | None = None
    impaired_since: datetime | None = None
    reason: str = ""
    obtained: int = 0
    rolling: bool = False
    ceiling: int = 0
    unscaled: str = ""
    unscaled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OfferingMemory:
    """What was learnt about one offering.

    budget: how many replicas the next attempt may ask for; doubled by success, one again after a failure.
    not_before: no attempt before this instant.
    tries, wins: attempts that ended here and those of them that obtained GPUs; older ones count less.
    losses: how often GPUs were lost here. exposure: how many losses the general hazard would have foretold for the
    time they were held, so that losses / exposure is what is peculiar to this place.
    up_since: since when it is known to have had capacity without a break.
    held_since: since when something is held here without a break.
    unwell_template: the fingerprint of the template with which the app held GPUs here and did not come to serve.
    """

    budget: int = 1
    failures: int = 0
    not_before: datetime | None = None
    last_refusal: RefusalClass | None = None
    last_refused_at: datetime | None = None
    last_message: str = ""
    last_obtained_at: datetime | None = None
    last_lost_at: datetime | None = None
    blocked_generation: int | None = None
    tries: float = 0
    wins: float = 0
    losses: float = 0
    exposure: float = 0
    up_since: datetime | None = None
    held_since: datetime | None = None
    unwell_template: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """The service left a region by our own action (for the bound of two moves per region and hour)."""

    region: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Rewired:
    """How far a move between the kinds of ingress has come, while both are there.

    kind: that by which the service is reached, since `at`. proven: since when the one that is to take over has been
    seen to serve all that the other serves; None while it is not.
    """

    kind: IngressKind
    at: datetime
    proven: datetime | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """All of it for one service.

    unknown_since: by link, the instant of the first pass that could not see this member cluster; absent while it
    answers, so that a pass in which nothing happens changes nothing that would have to be written.
    passes: counted in memory, but never a reason to write the status.
    """

    version: int = MEMORY_VERSION
    fence: int = 0
    passes: int = 0
    placements: tuple[PlacementMemory, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    offerings: Mapping[str, OfferingMemory] = field(default_factory=dict)
    moves: tuple[Move, ...] = ()
    unknown_since: Mapping[str, datetime] = field(default_factory=dict)
    preferred_since: datetime | None = None
    below_target_since: datetime | None = None
    whole_since: datetime | None = None
    rewired: Rewired | None = None
