"""What an action brought, into the memory: a pass that is killed before this finds the same out by looking."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.decide.growth.case import cooled
from controlplane.model.growth import GrowthMemory
from controlplane.model.growthplan import ClearCluster, CreateCluster, GrowthAction, PrepareCluster
from controlplane.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class Brought:
    """What became of an action.

    done: it happened. refused: it will not happen however often it is asked for; else it is in doubt or failed for now.
    taken: its name is somebody else's.
    operation, kube_uid: what was learnt by it. message: why it did not happen, for people.
    """

    done: bool
    refused: bool = False
    taken: bool = False
    operation: str = ""
    kube_uid: str = ""
    message: str = ""


def noted(memory: GrowthMemory, results: Iterable[tuple[GrowthAction, Brought]], now: datetime) -> GrowthMemory:
    """Give the memory with what the actions of a pass brought."""
    for action, brought in results:
        memory = _noted(memory, action, brought, now)
    return memory


def _noted(memory: GrowthMemory, action: GrowthAction, brought: Brought, now: datetime) -> GrowthMemory:
    link, region = action.ref.link, action.ref.region
    grown = memory.clusters.get(link)
    if grown is None:
        return memory
    if isinstance(action, CreateCluster) and brought.refused:
        reason = Reason.NAME_TAKEN if brought.taken else Reason.CLUSTER_FAILED
        past = cooled(memory.regions.get(region), reason, brought.message, now)
        others = {key: value for key, value in memory.clusters.items() if key != link}
        return replace(memory, clusters=others, regions={**memory.regions, region: past})
    if not brought.done:
        changed = replace(grown, trouble=brought.message[:200])
    elif isinstance(action, PrepareCluster):
        changed = replace(grown, prepared=True, kube_uid=brought.kube_uid or grown.kube_uid, trouble="")
    elif isinstance(action, ClearCluster):
        changed = replace(grown, cleared=True, trouble="")
    else:
        changed = replace(grown, operation=brought.operation or grown.operation, trouble="")
    return replace(memory, clusters={**memory.clusters, link: changed})
