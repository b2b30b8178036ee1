"""What a pass did and how it ended, as values that the command line prints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from controlplane.decide.batches import BatchDecision
from controlplane.decide.growth.notes import Brought
from controlplane.model.batch import BatchAction, BatchSpec
from controlplane.model.decision import Action, Decision
from controlplane.model.facts import Known, Unknown
from controlplane.model.fleet import FleetSeen
from controlplane.model.growth import Need
from controlplane.model.growthplan import GrowthAction, GrowthDecision
from controlplane.model.observation import Observation
from controlplane.model.service import ServiceSpec


class ExitCode(IntEnum):
    """How a pass ended, for the caller of the process."""

    OK = 0
    BELOW_TARGET = 2
    NOTHING_FEASIBLE = 3
    CUT_OFF = 4
    BAD_CONFIGURATION = 64
    BUG = 70


_SEVERITY = (
    ExitCode.OK,
    ExitCode.BELOW_TARGET,
    ExitCode.NOTHING_FEASIBLE,
    ExitCode.CUT_OFF,
    ExitCode.BAD_CONFIGURATION,
    ExitCode.BUG,
)


def worst(*codes: ExitCode) -> ExitCode:
    """Give the gravest of the codes."""
    return max(codes, key=_SEVERITY.index, default=ExitCode.OK)


class Outcome(StrEnum):
    """What became of one action."""

    DONE = "Done"
    REFUSED = "Refused"
    CONFLICT = "Conflict"
    FOREIGN = "ForeignObject"
    FAILED = "Failed"
    AMBIGUOUS = "Ambiguous"
    SKIPPED = "Skipped"


@dataclass(frozen=True, slots=True)
class Result:
    """One action with its outcome; `message` is sanitised, `hint` says what a person may do."""

    action: Action | BatchAction
    outcome: Outcome
    message: str = ""
    hint: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ServiceReport:
    """One service in one pass. `problem` is set when it could not be decided at all."""

    key: str
    exit_code: ExitCode
    spec: ServiceSpec | None = None
    observation: Observation | None = None
    decision: Decision | None = None
    results: tuple[Result, ...] = ()
    problem: str = ""
    safe_mode: str = ""
    status_written: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at an inbox came to, by file.

    made: batches of files that were taken. rejected: files that were refused. known: how many were taken before.
    waiting: files that are not taken yet, since nothing was to be written or they changed while they were read.
    """

    made: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    known: int = 0
    waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch or inbox in one pass. `problem` is set when it could not be decided at all.

    looked: what a look at an inbox came to; None for a batch, and for an inbox that was not looked into.
    """

    key: str
    exit_code: ExitCode
    spec: BatchSpec | None = None
    decision: BatchDecision | None = None
    results: tuple[Result, ...] = ()
    problem: str = ""
    status_written: bool = False
    looked: Looked | None = None


@dataclass(frozen=True, slots=True)
class GrowthReport:
    """What a pass decided about clusters on demand, for which needs, and what became of it.

    unmet: by service, why it needs no cluster that is not there. problem: why nothing of it was done.
    """

    decision: GrowthDecision
    needs: tuple[Need, ...] = ()
    results: tuple[tuple[GrowthAction, Brought], ...] = ()
    unmet: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PassReport:
    """One pass.

    held_by: another live run holds the lease. calls: API calls of this pass by cluster; google_calls: those to Google
    Cloud's APIs.
    warnings: what a person should know of the Fleet, one line each. fleet: the project's clusters, and why they belong.
    growth: of clusters on demand; None where the Fleet has none in the config cluster.
    strays: our Deployments and Jobs whose GPUService or GPUBatch is gone; they are told, never touched.
    """

    run_id: str
    started_at: datetime
    seconds: float
    dry_run: bool
    exit_code: ExitCode
    services: tuple[ServiceReport, ...] = ()
    batches: tuple[BatchReport, ...] = ()
    held_by: str = ""
    message: str = ""
    unknown: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    fence: int = 0
    strays: tuple[str, ...] = ()
    google_calls: int = 0
    growth: GrowthReport | None = None
    warnings: tuple[str, ...] = ()
    fleet: Known[FleetSeen] | Unknown | None = None
