"""A changed template is rolled out placement by placement, and stops at the first that does not get healthy.

What holds no GPU is changed at once: there is nothing to lose. Of what holds some, one placement at a time is changed,
the least preferred first, and only while every placement that has the new template is complete and serving.
"""

from collections.abc import Mapping
from datetime import datetime

from controlplane.decide.allocation import worst_first
from controlplane.decide.candidates import Candidate
from controlplane.decide.capacity import cooling
from controlplane.decide.world import Holding, World, outdated
from controlplane.model.memory import OfferingMemory
from controlplane.model.offering import RefusalClass
from controlplane.model.service import ServiceSpec


def behind(spec: ServiceSpec, world: World) -> tuple[Holding, ...]:
    """Give the placements that are still to be brought to the present template."""
    return tuple(h for h in world.holdings if h.visible and h.kept and outdated(spec, h))


def to_roll(
    spec: ServiceSpec,
    world: World,
    candidates: Mapping[str, Candidate],
    offerings: Mapping[str, OfferingMemory],
    now: datetime,
) -> frozenset[str]:
    """Give the keys of the placements to bring to the new template in this pass."""
    old = {h.key: h for h in behind(spec, world)}
    if not old:
        return frozenset()
    chosen = {key for key, h in old.items() if not h.scheduled}
    unwell = any(cooling(m, now) and m.last_refusal is RefusalClass.APP_UNHEALTHY for m in offerings.values())
    if unwell or any(_unfinished(h) for h in world.holdings if h.key not in old):
        return frozenset(chosen)
    held = [h for h in worst_first(spec, world.holdings, candidates, now) if h.key in old and h.scheduled]
    return frozenset([*chosen, *(h.key for h in held[:1])])


def _unfinished(holding: Holding) -> bool:
    """Tell whether a placement with the new template still changes or has not come to serve."""
    if not holding.kept or not holding.visible or not holding.workload or not holding.scheduled:
        return False
    return holding.serving < holding.scheduled or len(holding.workload.live_pods) > holding.workload.replicas
