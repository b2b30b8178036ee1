"""From one kind of ingress to the other without a gap: make the new, prove it, tell its address, take the old away.

How far a move has come is seen on both wirings, so whoever goes on with it needs no plan of another's. The service is
reached by the old wiring until whatever serves there has been seen to serve behind the new one too, for as long as a
request may take: a load balancer that spans the world says so before it is true everywhere. From then on its address
is the new one's, and the old one answers for as long again. A new wiring that fails meanwhile gives way to the old.
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


def face(spec: ServiceSpec, world: World, memory: Memory, now: datetime) -> World:
    """Give the world as it is behind the wiring by which the service is to be reached now."""
    if world.ingress is None or world.ingress.other is None:
        return world
    mine, old = replace(world.ingress, other=None), world.ingress.other
    before, after = world.facing(old, mine), world.facing(mine, old)
    moved, past = memory.rewired, _served(before)
    if past == 0 and after.health is not None and _served(after) > 0:
        return after
    if moved is not None and moved.kind is mine.kind:  # its address has been told
        return after if after.health is None or _served(after) > 0 or past == 0 else before
    settled = moved is not None and moved.proven is not None and now - moved.proven >= patience(spec)
    return after if settled and _proven(spec, before, after) else before


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
    moved, second, ingress = memory.rewired, world.second, world.ingress
    if ingress is None or second is None or ingress.kind is not spec.ingress.kind:
        return None
    if moved is None or moved.kind is not ingress.kind or now - moved.at < patience(spec):
        return None
    if not _proven(spec, world.facing(second, ingress), world):
        return None
    return UnwireIngress(f"the {ingress.kind.value} has taken over", kind=second.kind)


def remembered(spec: ServiceSpec, world: World, memory: Memory, now: datetime) -> Rewired | None:
    """Give how far the move has come; None while there is none."""
    ingress, second, past = world.ingress, world.second, memory.rewired
    if ingress is None:
        return past  # not seen is not over
    if second is None:
        return None
    begun = past is not None and past.kind is ingress.kind
    at, since = (past.at, past.proven) if past is not None and begun else (now, None)
    if ingress.kind is spec.ingress.kind or not _proven(spec, world, world.facing(second, ingress)):
        return Rewired(ingress.kind, at)
    return Rewired(ingress.kind, at, since or now)


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
    return _served(after) > 0 and all(there.get(h.key, 0) >= h.serving for h in before.holdings if h.visible)


def _served(world: World) -> int:
    return sum(h.serving for h in world.holdings if h.visible)
