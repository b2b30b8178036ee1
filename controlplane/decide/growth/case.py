"""What is decided about in one pass, and what one step of one cluster comes to."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from controlplane.model.facts import Known
from controlplane.model.fleet import FleetSpec
from controlplane.model.growth import (
    LABEL,
    LEAVING,
    ON_DEMAND,
    Grown,
    GrowthSeen,
    MembershipSeen,
    Need,
    RegionPast,
    Stage,
    Use,
)
from controlplane.model.growthplan import GrowthAction
from controlplane.model.offering import ClusterRef
from controlplane.model.reasons import Reason

CREATION_PATIENCE = timedelta(minutes=30)
"""An Autopilot cluster takes 5 to 10 minutes; one that nobody has seen after three times that will not come."""
SETTLING = timedelta(minutes=5)
"""How long no address must have led to a cluster before it is taken apart: as long as the longest usual draining."""
SHORT_FOR = timedelta(minutes=5)
"""How long a service must be below target first: a cluster takes longer to make than most shortages last."""
COOLING = timedelta(minutes=30)
LONGEST_COOLING = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Case:
    """The input of one pass."""

    fleet: FleetSpec
    seen: GrowthSeen
    needs: tuple[Need, ...]
    now: datetime

    @property
    def labels(self) -> dict[str, str]:
        """The labels of clusters that we make."""
        return {**self.fleet.labels, LABEL: ON_DEMAND}

    def use(self, ref: ClusterRef) -> Use | None:
        """Give what a cluster is used for; None where any of it cannot be seen."""
        use = self.seen.uses.get(ref.link)
        known = use is not None and isinstance(use.placements, Known) and isinstance(use.wired, Known)
        return use if known else None

    def registered(self, ref: ClusterRef) -> MembershipSeen | None:
        """Give the membership of a cluster as far as it is known."""
        memberships = self.seen.memberships
        listed = memberships.value if isinstance(memberships, Known) else ()
        return next((each for each in listed if each.cluster == ref), None)

    @property
    def memberships_known(self) -> bool:
        """Whether a membership that is not listed is not there."""
        return isinstance(self.seen.memberships, Known)


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one cluster in one pass.

    grown: as it is remembered now; None when it is forgotten. failed: reason and message that cool its region.
    until: when time alone moves it on. alone: it is neither used nor taken away, and a person has to look.
    """

    grown: Grown | None
    message: str
    action: GrowthAction | None = None
    failed: tuple[Reason | str, str] | None = None
    until: datetime | None = None
    alone: bool = False


def at(grown: Grown, stage: Stage, now: datetime) -> Grown:
    """Give it at a stage; since now, unless it is there already. What comes back into use is not cleared any more."""
    if grown.stage is stage:
        return grown
    cleared = grown.cleared and stage in LEAVING
    return replace(grown, stage=stage, since=now, cleared=cleared, clean_since=None, trouble="")


def cooled(past: RegionPast | None, reason: Reason | str, message: str, now: datetime) -> RegionPast:
    """Leave a region alone for a while after a failure, longer after each."""
    failures = (past.failures if past else 0) + 1
    wait: timedelta = min(LONGEST_COOLING, COOLING * int(2 ** min(failures - 1, 10)))
    return RegionPast(failures, now + wait, str(getattr(reason, "value", reason)), message[:200])
