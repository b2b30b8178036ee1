"""The optimum is what could have been had for the least money, to the cent where that can be reckoned by hand."""

import importlib.util
from random import Random

import pytest

from controlplane.api import SpecError
from controlplane.simulate import optimum
from controlplane.simulate.baselines.round_robin import RoundRobin
from controlplane.simulate.baselines.spothedge import SpotHedge
from controlplane.simulate.market import Scoring
from controlplane.simulate.optimum import omniscient
from controlplane.simulate.replay import replay
from controlplane.simulate.trace import Trace, Zone

pytest.importorskip("scipy", reason="the optimum needs the extra `simulate`")

SPOT, DEAR, ON_DEMAND = 1.0, 2.0, 4.0


def trace_of(*capacities: list[int], interval: float = 900.0) -> Trace:
    zones = tuple(
        Zone(f"z{i}", f"r{i}", (SPOT, DEAR)[i % 2], tuple(column), "gpu") for i, column in enumerate(capacities)
    )
    return Trace("t", "gpu", interval, ON_DEMAND, zones)


def test_steady_capacity_costs_the_cheapest_price() -> None:
    """What is started in the time left out is free."""
    result = omniscient(trace_of([5] * 8, [5] * 8), 3, Scoring())
    assert result.cost == pytest.approx(SPOT / ON_DEMAND)
    assert (result.availability, result.attempts, result.failed_attempts) == (1.0, 3, 0)


def test_a_gap_is_bridged_by_what_is_cheapest_and_ready_in_time() -> None:
    """An interval of 900 s without the cheap zone: the dear one from 180 s before it until 180 s after it."""
    result = omniscient(trace_of([1, 1, 1, 0, 1, 1, 1, 1], [1] * 8), 1, Scoring())
    scored = 7 * 900.0
    expected = (SPOT * (scored - 900) + DEAR * (900 + 2 * 180)) / (ON_DEMAND * scored)
    assert result.cost == pytest.approx(expected)
    assert result.attempts == 3


def test_on_demand_is_used_where_nothing_else_is() -> None:
    """It needs its cold start as well."""
    result = omniscient(trace_of([1, 1, 1, 0, 1, 1, 1, 1]), 1, Scoring())
    scored = 7 * 900.0
    expected = (SPOT * (scored - 900) + ON_DEMAND * (900 + 2 * 180)) / (ON_DEMAND * scored)
    assert result.cost == pytest.approx(expected)


def test_capacity_too_short_for_a_cold_start_is_worth_nothing() -> None:
    """A zone that is there for two minutes never gets a replica ready."""
    result = omniscient(trace_of([0, 1] * 40, interval=120.0), 1, Scoring())
    assert result.cost == pytest.approx(1.0)
    assert result.attempts == 0


def test_without_on_demand_it_is_available_while_capacity_is() -> None:
    """The share of time in which the replicas could be had at all, a cold start after it came; cost for that alone."""
    result = omniscient(trace_of([2, 2, 1, 1, 2, 2, 2, 2]), 2, Scoring(), on_demand=False)
    scored, short = 7 * 900.0, 2 * 900.0 + 180.0
    assert result.availability == pytest.approx(1 - short / scored)
    assert result.longest_outage_minutes == pytest.approx(short / 60)
    assert result.cost <= (scored - 2 * 900) / scored * SPOT / ON_DEMAND + 1e-9


def test_where_nothing_can_be_had_there_is_no_optimum() -> None:
    """A line says so."""
    with pytest.raises(SpecError, match="nothing can be had"):
        omniscient(trace_of([0] * 8), 1, Scoring(), on_demand=False)


def test_a_trace_without_scored_time_is_refused() -> None:
    """A line says so, where a share of nothing would be asked."""
    with pytest.raises(SpecError, match="take a longer trace"):
        omniscient(trace_of([1]), 1, Scoring())


@pytest.mark.parametrize("seed", range(6), ids=lambda seed: f"seed-{seed}")
def test_nobody_is_better(seed: int) -> None:
    """No policy that is always available is cheaper, and no policy without on-demand is more available."""
    chance = Random(seed)
    columns = [[chance.choice([0, 1, 3, 9, 9]) for _ in range(150)] for _ in range(3)]
    trace = trace_of(*columns, interval=chance.choice([195.0, 300.0, 600.0]))
    hedge = replay(trace, SpotHedge(spares=3), 2, Scoring()).result
    bound = omniscient(trace, 2, Scoring())
    assert bound.cost <= hedge.cost + (1 - hedge.availability)  # at worst on-demand in every outage
    robin = replay(trace, RoundRobin(), 2, Scoring()).result
    assert robin.availability <= omniscient(trace, 2, Scoring(), on_demand=False).availability + 1e-9


def test_without_scipy_a_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the simulator needs none."""
    there = importlib.util.find_spec
    monkeypatch.setattr(optimum, "find_spec", lambda name: None if name == "scipy" else there(name))
    with pytest.raises(SpecError, match=r"pip install 'gpu-hunter\[simulate\]'"):
        omniscient(trace_of([1] * 8), 1, Scoring())
