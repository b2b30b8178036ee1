"""From one kind of ingress to the other without a gap: make the new, prove it, tell its address, take the old away.

Nothing but what is observed of both wirings says how far a move has come, so whoever goes on with it needs no plan of
another's. The service is reached by the old wiring until whatever serves there is known to serve behind the new one
too. From then on its address is the new one's; the old one answers for as long as a request may take and a client may
need to look again, counted from the instant that memory holds. A new wiring that fails meanwhile gives way to the old.
"""

from dataclasses import replace
from datetime import datetime

from controlplane.decide.lifecycle import patience
from controlplane.decide.world import World
from controlplane.model.decision import UnwireIngress, WireIngress
from controlplane.model.memory import Memory, Rewired
from controlplane.model.observation import IngressFact
from controlplane.model.service import IngressKind, ServiceSpec
from controlplane.model.template import ingress_spec_hash


def face(spec: ServiceSpec, world: World, memory: Memory) -> World:
    """Give the world as it is behind the wiring by which the service is to be reached now."""
    mine = world.ingress
    if mine is None or mine.other is None:
        return world
    old, mine = mine.other, replace(mine, other=None)
    before, after = world.facing(old, mine), world.facing(mine, old)
    begun = memory.rewired is not None and memory.rewired.kind is spec.ingress.kind
    return after if _proven(spec, before, after) or (begun and _bears(before, after)) else before


def follow(spec: ServiceSpec, world: World, first: WireIngress | None, *, may_remove: bool) -> WireIngress | None:
    """Give what keeps the second wiring to the same clusters as the first; None when it is as it should be."""
    ingress, second = world.ingress, world.second
    if ingress is None or ingress.foreign or second is None or second.foreign or second.going:
        return None
    mine = second.kind is spec.ingress.kind
    if second.clusters is None and not mine:
        return None  # half of it is gone already
    current = frozenset(second.clusters or ())
    wanted = frozenset(first.clusters if first else ingress.clusters or ())
    if not may_remove:
        wanted |= current
    changed = mine and second.spec_hash != ingress_spec_hash(spec)
    if not wanted or (wanted == current and not changed):
        return None
    clusters, adds, removes = (tuple(sorted(s)) for s in (wanted, wanted - current, current - wanted))
    why = "it is to take over" if mine else "it answers until the other has taken over"
    return WireIngress(clusters, adds, removes, why, kind=second.kind, list_only=not mine)


def leave(spec: ServiceSpec, world: World, memory: Memory, now: datetime) -> UnwireIngress | None:
    """Give the end of the old wiring, once the new one has been the service's for long enough."""
    rewired, second, ingress = memory.rewired, world.second, world.ingress
    if ingress is None or second is None or ingress.kind is not spec.ingress.kind:
        return None
    if rewired is None or rewired.kind is not ingress.kind or now - rewired.at < patience(spec):
        return None
    if not _proven(spec, world.facing(second, ingress), world):
        return None
    return UnwireIngress(f"the {ingress.kind.value} has taken over", kind=second.kind)


def remembered(spec: ServiceSpec, world: World, memory: Memory, now: datetime) -> Rewired | None:
    """Give since when the address has been that of the kind asked for, while the other is still there."""
    if world.second is None or world.ingress is None or world.ingress.kind is not spec.ingress.kind:
        return None
    past = memory.rewired
    return past if past is not None and past.kind is world.ingress.kind else Rewired(world.ingress.kind, now)


def kinds(spec: ServiceSpec, world: World) -> tuple[IngressKind, ...]:
    """Give the kinds that are to be looked at in the next pass; none where this one could not look."""
    if world.ingress is None:
        return ()
    return tuple(sorted({spec.ingress.kind, *(f.kind for f in (world.ingress, world.second) if f is not None)}))


def present(fact: IngressFact | None) -> bool:
    """Say whether anything of a wiring is there that is ours to take down."""
    return fact is not None and (fact.clusters is not None or fact.present) and not fact.foreign


def _proven(spec: ServiceSpec, before: World, after: World) -> bool:
    """Tell whether all that serves behind the old wiring is known to serve behind the new one, which is whole."""
    new = after.ingress
    if new is None or new.going or not new.address or after.health is None:
        return False
    if new.spec_hash != ingress_spec_hash(spec):
        return False
    there = {h.key: h.serving for h in after.holdings if h.visible}
    whole = all(there.get(h.key, 0) >= h.serving for h in before.holdings if h.visible)
    return whole and sum(there.values()) > 0


def _bears(before: World, after: World) -> bool:
    """Tell whether the new wiring, once proven, may go on: it serves, or the old one does not either."""
    if after.health is None:
        return True
    there = sum(h.serving for h in after.holdings if h.visible)
    return there > 0 or not any(h.serving for h in before.holdings if h.visible)
