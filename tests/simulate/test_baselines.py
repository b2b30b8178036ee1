"""The policies known from papers do what their papers say, and nothing hangs on what zones are called."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from controlplane.simulate.baselines import spothedge
from controlplane.simulate.baselines.even_spread import EvenSpread
from controlplane.simulate.baselines.on_demand import OnDemand
from controlplane.simulate.baselines.round_robin import RoundRobin
from controlplane.simulate.baselines.spothedge import SpotHedge
from controlplane.simulate.market import Market, Scoring
from controlplane.simulate.policy import Policy
from controlplane.simulate.replay import replay
from controlplane.simulate.trace import Trace, Zone

MINUTE = 60.0
PRICES = (1.0, 1.2, 2.0)


def trace_of(*capacities: list[int], prices: tuple[float, ...] = PRICES, interval: float = MINUTE) -> Trace:
    zones = tuple(Zone(f"z{i}", f"r{i}", prices[i], tuple(column), "gpu") for i, column in enumerate(capacities))
    return Trace("t", "gpu", interval, 4.0, zones)


def played(trace: Trace, policy: Policy, replicas: int | dict[float, int], until: float) -> Market:
    """Ask the policy every 30 s up to an instant, that included; for so many, or for so many from each instant on."""
    market = Market(trace, Scoring())
    wanted = {0.0: replicas} if isinstance(replicas, int) else replicas
    while True:
        policy.act(market, max((at, count) for at, count in wanted.items() if at <= market.now)[1])
        if market.now >= until:
            return market
        market.advance(market.now + 30.0)


def held(market: Market) -> list[int | None]:
    return sorted((lease.zone for lease in market.leases.values()), key=lambda zone: -1 if zone is None else zone)


def tries(market: Market, zone: int) -> list[float]:
    """Give when refused requests in a zone had been made."""
    return [at - market.scoring.answer_after for at, where in market.ledger.refusals if where == zone]


def test_on_demand_is_always_there_and_is_the_measure_of_cost() -> None:
    """All replicas all the time, at exactly 1."""
    result = replay(trace_of([0] * 60), OnDemand(), 3, Scoring()).result
    assert (result.availability, result.attempts, result.longest_outage_minutes) == (1.0, 0, 0.0)
    assert result.cost == pytest.approx(1.0)


def test_even_spread_insists_on_every_zone() -> None:
    """The share of a zone without capacity is asked of it again and again, of no other."""
    market = played(trace_of([9] * 60, [0] * 60, [9] * 60), EvenSpread(), 5, 600.0)
    assert held(market).count(0) == 2
    assert held(market).count(2) == 1
    assert len(tries(market, 1)) == 2 * 10


def test_round_robin_goes_one_zone_on_with_every_launch() -> None:
    """Also after a refusal, and without on-demand."""
    market = played(trace_of([9] * 60, [0] * 60, [9] * 60), RoundRobin(), 4, 600.0)
    assert held(market) == [0, 0, 2, 2]
    assert tries(market, 1) == [0.0, 60.0]  # the fifth launch is its turn again, the sixth is the next zone's


def test_spothedge_holds_one_spare_in_unused_zones_first() -> None:
    """The cheapest of the unused ones; when all are used, the cheapest of all."""
    market = played(trace_of([9] * 60, [9] * 60, [9] * 60), SpotHedge(), 4, 0.0)
    assert [lease.zone for lease in market.leases.values()] == [0, 1, 2, 0, 0, None, None, None, None]


def test_spothedge_covers_with_on_demand_what_is_not_ready_on_spot() -> None:
    """At most the wanted number; it goes when all of spot, the spare included, is ready."""
    trace = trace_of([9] * 60, [9] * 60, [9] * 60)
    assert held(played(trace, SpotHedge(), 2, 150.0)).count(None) == 2
    assert held(played(trace, SpotHedge(), 2, 180.0)).count(None) == 0


def test_spothedge_keeps_on_demand_for_a_missing_spare() -> None:
    """It counts what is ready on spot against the target with the spare, as shipped."""
    market = played(trace_of([1] * 60, [1] * 60, [0] * 60), SpotHedge(), 2, 1200.0)
    assert held(market).count(None) == 1


def test_spothedge_leaves_a_zone_that_failed_until_fewer_than_two_are_left() -> None:
    """Then all are forgiven at once; no clock plays a part."""
    market = played(trace_of([9] * 60, [0] * 60, [9] * 60), SpotHedge(), 2, 1200.0)
    assert tries(market, 1) == [0.0]
    market = played(trace_of([1] * 60, [0] * 60), SpotHedge(), 1, 240.0)
    assert tries(market, 1) == [0.0, 60.0, 120.0, 180.0]  # of two zones one is left: the other is forgiven at once


def test_spothedge_comes_back_to_a_zone_that_gave_something() -> None:
    """A launch that was on its way when the zone failed, and succeeds, takes the mark away."""
    trace = trace_of([0] + [9] * 60, [9] * 61, [9] * 61, interval=30.0)
    market = played(trace, SpotHedge(spares=0, on_demand=False), {0.0: 1, 30.0: 4, 90.0: 5}, 90.0)
    assert held(market) == [0, 0, 1, 1, 2]  # refused at 60 s, when zone 1 was taken; accepted at 90 s


def test_spothedge_gives_back_first_what_is_not_ready() -> None:
    """Of on-demand it keeps what serves."""
    trace = trace_of([0] * 8 + [1] * 60, [0] * 68, interval=30.0)
    market = played(trace, SpotHedge(spares=0), {0.0: 1, 390.0: 2}, 420.0)
    (kept,) = (lease for lease in market.leases.values() if lease.zone is None)
    assert kept.requested_at == 0.0


def test_spothedge_avoids_a_zone_that_took_a_replica() -> None:
    """A preemption marks a zone as a failed launch does."""
    trace = trace_of([1] * 20 + [0] + [9] * 39, [9] * 60, [9] * 60)
    market = played(trace, SpotHedge(spares=0), 1, 1230.0)
    assert held(market) == [None, 1]


def test_the_paper_spreads_by_count_before_price() -> None:
    """The fewest placements first, where the shipped code only asks whether there are any."""
    trace = trace_of([9] * 60, [9] * 60, [9] * 60)
    assert held(played(trace, spothedge.paper(), 5, 600.0)) == [0, 0, 1, 1, 2, 2]
    assert held(played(trace, SpotHedge(), 5, 600.0)) == [0, 0, 0, 0, 1, 2]


def test_the_shipped_loop_tries_three_times_before_it_goes_on() -> None:
    """60 s and then 96 s after the failure before; each failure is known after a minute."""
    market = played(trace_of([0] * 60, [9] * 60, [9] * 60), spothedge.shipped(), 1, 600.0)
    assert tries(market, 0) == [0.0, 120.0, 300.0]  # the second pause ends at 276 s, the next step is at 300 s
    assert [lease.zone for lease in market.leases.values()] == [1, 2]


@pytest.mark.parametrize("make", [SpotHedge, spothedge.paper, spothedge.shipped], ids=lambda make: make.__name__)
def test_without_on_demand_there_is_none(make: Callable[..., SpotHedge]) -> None:
    """Where the service may not use it, the fallback is left out."""
    market = played(trace_of([0] * 60, [1] * 60), make(on_demand=False), 2, 900.0)
    assert all(lease.zone is not None for lease in market.ledger.leases)


def test_spothedge_stays_with_one_gpu_type() -> None:
    """The first of the trace, or the one that is named: it cannot fail over between types."""
    plain = trace_of([9] * 60, [9] * 60, [9] * 60)
    mixed = replace(plain, zones=(replace(plain.zones[0], accelerator="old"), *plain.zones[1:]))
    assert set(held(played(mixed, SpotHedge(), 2, 600.0))) == {0}
    assert set(held(played(mixed, SpotHedge(accelerator="gpu"), 2, 600.0))) == {1, 2}


@pytest.mark.parametrize(
    "make",
    [RoundRobin, EvenSpread, SpotHedge, spothedge.paper, spothedge.shipped],
    ids=lambda make: make.__name__,
)
def test_names_of_zones_change_nothing(make: Callable[[], Policy]) -> None:
    """A trace with other names, of zones that all cost the same, is replayed alike."""
    chance = Random(1)
    columns = [[chance.choice([0, 0, 2, 9]) for _ in range(120)] for _ in range(3)]
    trace = trace_of(*columns, prices=(1.0, 1.0, 1.0), interval=200.0)
    renamed = replace(trace, zones=tuple(replace(zone, name=f"x{9 - i}") for i, zone in enumerate(trace.zones)))
    assert replay(trace, make(), 3, Scoring()).result == replay(renamed, make(), 3, Scoring()).result
