"""Every offering there is, looked up once, so that filters and scorers stay small and a pass stays fast."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from controlplane.decide.attempts import NOTHING_LEARNT
from controlplane.decide.capacity import ABOUT_CAPACITY, cooling, lately_lost
from controlplane.decide.world import Holding, World
from controlplane.model.facts import Known
from controlplane.model.memory import OfferingMemory
from controlplane.model.observation import Advice, Observation
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass
from controlplane.model.service import ServiceSpec


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offering with what the filters and scorers ask about it. `price` is per replica and hour."""

    offering: Offering
    key: str
    region: str
    cluster: ClusterRef
    accelerator_rank: int
    capacity_rank: int
    price: float | None
    cheapest: float | None
    past: OfferingMemory
    holding: Holding | None
    advice: Advice | None


@dataclass(frozen=True, slots=True)
class Blocks:
    """Refusals whose consequence reaches beyond their own offering, by scope.

    cooling, shaken: whether any offering is left alone at all after a refusal, or after a preemption.
    sold_out: by region and kind, when capacity was last refused, while that offering cools.
    """

    project: OfferingMemory | None
    generation: str | None
    regions: Mapping[tuple[str, str, Capacity], OfferingMemory]
    clusters: Mapping[str, OfferingMemory]
    cooling: bool
    shaken: bool
    sold_out: Mapping[tuple[str, tuple[str, int, str]], datetime]


@lru_cache(maxsize=8192)
def parsed(key: str) -> Offering | None:
    """Read an offering's key; None when it is garbled. Memory is foreign text after a restore from somewhere."""
    try:
        return Offering.parse(key)
    except ValueError:
        return None


def price_of(observation: Observation, offering: Offering) -> float | None:
    """Give what one replica costs an hour; None when no sane price is known."""
    price = observation.prices.get(offering)
    if price is None or not 0 <= price < math.inf:
        return None
    return price * offering.accelerator.count


def enumerate_all(
    spec: ServiceSpec, observation: Observation, world: World, offerings: Mapping[str, OfferingMemory]
) -> tuple[Candidate, ...]:
    """List every offering of the fleet for this spec, and those held beyond it, in a stable order."""
    standing = tuple(c for c in world.clusters if c.link not in world.gone) if world.gone else world.clusters
    wanted = _grid(standing, spec.accelerators, spec.capacity_types)
    held = {h.key: h for h in world.holdings}
    accelerators = {a: rank for rank, a in reversed(list(enumerate(spec.accelerators)))}
    capacities = {c: rank for rank, c in reversed(list(enumerate(spec.capacity_types)))}
    standing_at = [h.offering for h in world.holdings]
    beyond = [o for o in standing_at if o.accelerator not in accelerators or o.capacity not in capacities]
    everything = [*wanted, *sorted(beyond, key=lambda o: o.order)]
    prices = [price_of(observation, offering) for offering in everything]
    cheapest = _cheapest(everything, prices)
    ranks = {
        o.kind: (accelerators.get(o.accelerator, len(accelerators)), capacities.get(o.capacity, len(capacities)))
        for o in {offering.kind: offering for offering in everything}.values()
    }
    found: list[Candidate] = []
    for offering, price in zip(everything, prices, strict=True):
        key, kind = offering.key, offering.kind
        new = _new(offering, *ranks[kind], price, cheapest.get(kind))
        advice = observation.advice.get(offering) if observation.advice else None
        if advice is not None or key in offerings or key in held:
            new = replace(
                new,
                past=offerings.get(key, NOTHING_LEARNT),
                holding=held.get(key),
                advice=advice.value if isinstance(advice, Known) else None,
            )
        found.append(new)
    return tuple(found)


@lru_cache(maxsize=8192)
def _new(
    offering: Offering, accelerator_rank: int, capacity_rank: int, price: float | None, cheapest: float | None
) -> Candidate:
    """Give an offering of which nothing is known: most are like that, and the same from pass to pass."""
    return Candidate(
        offering=offering,
        key=offering.key,
        region=offering.region,
        cluster=offering.cluster,
        accelerator_rank=accelerator_rank,
        capacity_rank=capacity_rank,
        price=price,
        cheapest=cheapest,
        past=NOTHING_LEARNT,
        holding=None,
        advice=None,
    )


@lru_cache(maxsize=64)
def _grid(
    clusters: tuple[ClusterRef, ...], accelerators: tuple[Accelerator, ...], capacities: tuple[Capacity, ...]
) -> tuple[Offering, ...]:
    return tuple(
        Offering(cluster, accelerator, capacity)
        for cluster in clusters
        for accelerator in dict.fromkeys(accelerators)
        for capacity in dict.fromkeys(capacities)
    )


def _cheapest(offerings: Iterable[Offering], prices: Iterable[float | None]) -> dict[tuple[str, int, str], float]:
    """Give the lowest price by GPU type, count and capacity type."""
    lowest: dict[tuple[str, int, str], float] = {}
    for offering, price in zip(offerings, prices, strict=True):
        kind = offering.kind
        if price is not None and price < lowest.get(kind, math.inf):
            lowest[kind] = price
    return lowest


def blocks(spec: ServiceSpec, offerings: Mapping[str, OfferingMemory], now: datetime) -> Blocks:
    """Find the refusals that reach beyond their own offering: quota, IP space, permission, a rejected spec."""
    project: OfferingMemory | None = None
    generation: str | None = None
    cools = shaken = False
    regions: dict[tuple[str, str, Capacity], OfferingMemory] = {}
    clusters: dict[str, OfferingMemory] = {}
    sold_out: dict[tuple[str, tuple[str, int, str]], datetime] = {}
    for key, past in sorted(offerings.items()):
        if past.blocked_generation == spec.generation:
            generation = past.last_message or "the API server refuses the Pod"
        shaken = shaken or lately_lost(spec, past, now)
        if not cooling(past, now):
            continue
        cools = True
        offering = parsed(key)
        if offering is None:
            continue
        if past.last_refused_at is not None and past.last_refusal in ABOUT_CAPACITY:
            place = (offering.region, offering.kind)
            sold_out[place] = max(past.last_refused_at, sold_out.get(place, past.last_refused_at))
        if past.last_refusal is RefusalClass.QUOTA_PROJECT:
            project = _longer(project, past)
        elif past.last_refusal is RefusalClass.QUOTA_REGION:
            family = (offering.region, offering.accelerator.type, offering.capacity)
            regions[family] = _longer(regions.get(family), past)
        elif past.last_refusal in (RefusalClass.IP_SPACE, RefusalClass.UNAUTHORISED, RefusalClass.UNREACHABLE):
            clusters[offering.cluster.link] = _longer(clusters.get(offering.cluster.link), past)
    return Blocks(project, generation, regions, clusters, cooling=cools, shaken=shaken, sold_out=sold_out)


def _longer(one: OfferingMemory | None, other: OfferingMemory) -> OfferingMemory:
    if one is None or one.not_before is None or other.not_before is None:
        return other
    return one if one.not_before >= other.not_before else other
