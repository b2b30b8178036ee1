"""Taking a deleted service down: the address first, then the Deployments, then what lies around, then the finalizer.

Every step waits until the one before is seen to be done. A cluster that cannot be read may still hold paid GPUs, so it
holds the finalizer, and the condition names it. The engine must leave out `RemoveFinalizer` when any action before it
in the same plan failed.
"""

from dataclasses import dataclass

from controlplane.decide.moving import present
from controlplane.decide.planner import delete
from controlplane.decide.world import World
from controlplane.model.decision import Action, ReleaseMember, RemoveFinalizer, UnwireIngress
from controlplane.model.facts import Known
from controlplane.model.observation import Observation


@dataclass(frozen=True, slots=True)
class Teardown:
    """What to do in this pass, and what the rest waits for."""

    actions: tuple[Action, ...]
    waits_for: str


def take_down(observation: Observation, world: World) -> Teardown:
    """Give the next step of taking everything down."""
    if world.ingress is None:
        return Teardown((), "the config cluster's ingress objects cannot be read")
    wired = [fact.kind for fact in (world.ingress, world.second) if fact is not None and present(fact)]
    if wired:
        unwire = tuple(UnwireIngress("the service is being deleted", kind=kind) for kind in wired)
        return Teardown(unwire, "the address is being taken down")
    deletions = tuple(
        delete(h, h.workload, "the service is being deleted") for h in world.holdings if h.visible and h.workload
    )
    if deletions or world.removing:
        return Teardown(deletions, "Deployments are being deleted")
    dark = [link for link in world.unknown_links if link not in world.gone]
    if dark or not world.fleet_complete:
        names = ", ".join([*dark, *world.unlisted]) or "the fleet"
        return Teardown((), f"cannot see whether anything is left in {names}")
    releases = tuple(
        ReleaseMember(cluster, "the service is being deleted")
        for cluster in world.clusters
        if cluster in world.visible and isinstance(observation.members[cluster].workloads, Known)
    )
    return Teardown((*releases, RemoveFinalizer("nothing of it is left")), "")
