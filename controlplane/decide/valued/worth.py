"""What the user's one line is in money, and how long a loss takes to mend."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from controlplane.decide.candidates import Candidate, price_of
from controlplane.decide.world import World
from controlplane.model.observation import Observation
from controlplane.model.offering import Capacity
from controlplane.model.service import Preset, ServiceSpec

PRESETS: Mapping[Preset, float] = {Preset.FRUGAL: 8.0, Preset.BALANCED: 28.0, Preset.AVAILABLE: 80.0}
"""What a missing replica costs an hour, in on-demand prices of one replica of the GPU type that is preferred."""

SPOT_DISCOUNT = 3.0
"""On-demand over Spot, where no on-demand price is known to reckon a preset by."""

RECOVERIES = (timedelta(minutes=3), timedelta(minutes=30))
"""Bounds of what the time from asking to serving is taken for; the lower one while none has been seen."""


def value_of_missing(spec: ServiceSpec, observation: Observation, candidates: Iterable[Candidate]) -> float:
    """Give USD for an hour in which a replica is missing; 0 when the user puts no value on it."""
    policy = spec.policy
    if policy.missing_replica_cost is not None or policy.preset is None:
        return policy.missing_replica_cost or 0.0
    lasting = Capacity.ON_DEMAND
    known = [
        (c.accelerator_rank, c.price) for c in candidates if c.price is not None and c.offering.capacity is lasting
    ]
    if not known:
        known = _told(spec, observation)
    return PRESETS[policy.preset] * (min(known)[1] if known else supposed_price(candidates))


def _told(spec: ServiceSpec, observation: Observation) -> list[tuple[int, float]]:
    """Give (rank of its GPU type, price of a replica) of on-demand that is priced but may not be used."""
    ranks = {a: rank for rank, a in reversed(list(enumerate(spec.accelerators)))}
    lasting = [o for o in observation.prices if o.capacity is Capacity.ON_DEMAND and o.accelerator in ranks]
    priced = ((ranks[o.accelerator], price_of(observation, o)) for o in lasting)
    return [(rank, price) for rank, price in priced if price is not None]


def supposed_price(candidates: Iterable[Candidate]) -> float:
    """Give what one replica costs on demand, the cheapest; reckoned from Spot, or 1, where no price is known."""
    known = [(c.offering.capacity is Capacity.ON_DEMAND, c.price) for c in candidates if c.price is not None]
    lasting = [price for on_demand, price in known if on_demand]
    return min(lasting) if lasting else SPOT_DISCOUNT * min((p for _, p in known), default=1 / SPOT_DISCOUNT)


def recoveries_of(world: World) -> tuple[timedelta, timedelta]:
    """Give how long it takes from asking for a replica to its being ready: the shortest and the longest now seen.

    What is asked for goes by the shortest and what is given back by the longest: one that waited for its GPU looks
    slow for as long as it lives, and an estimate that a new spare changes would give that spare back at once.
    """
    took = [
        pod.ready_at - pod.created_at
        for holding in world.holdings
        if holding.workload and holding.visible
        for pod in holding.workload.live_pods
        if pod.ready_at is not None
    ]
    shortest, longest = RECOVERIES
    if not took:
        return shortest, shortest
    return min(longest, max(shortest, min(took))), min(longest, max(shortest, *took))
