"""Traces made from a seed have the recorded shape."""

import pytest

from controlplane.api import SpecError
from controlplane.simulate.synthesis import Pattern, Shape, shape_of, synthesize
from controlplane.simulate.synthesis.pattern import RECORDED

# Some 150,000 intervals of each: the rarest figure rests on about 300 turns.
MADE = {
    Pattern.AWS: {"zones": 9, "regions": 3, "days": 27.0, "interval_seconds": 300.0},
    Pattern.GOOGLE: {"zones": 13, "regions": 8, "days": 15.0, "interval_seconds": 600.0, "most": 16},
}
SEEDS = {Pattern.AWS: range(4), Pattern.GOOGLE: range(8)}


@pytest.fixture(scope="module", params=list(Pattern), ids=str)
def measured(request: pytest.FixtureRequest) -> tuple[Pattern, Shape]:
    """Several traces of a pattern, measured as one."""
    pattern = request.param
    return pattern, shape_of(*(synthesize(seed, pattern, **MADE[pattern]) for seed in SEEDS[pattern]))


@pytest.mark.parametrize("hazards", ["lost_per_hour", "returned_per_hour"])
def test_hazards_by_age_are_the_recorded_ones(measured: tuple[Pattern, Shape], hazards: str) -> None:
    """Within a fifth, or 0.02 per hour where there is little to count."""
    pattern, shape = measured
    assert getattr(shape, hazards) == pytest.approx(getattr(RECORDED[pattern], hazards), rel=0.2, abs=0.02)


def test_zones_share_their_fate_as_recorded(measured: tuple[Pattern, Shape]) -> None:
    """Correlations within 0.06, joint losses within 0.06; inside a region clearly more than outside."""
    pattern, shape = measured
    recorded = RECORDED[pattern]
    for figure in ("correlation_inside", "correlation_outside", "lost_together_inside", "lost_together_outside"):
        assert getattr(shape, figure) == pytest.approx(getattr(recorded, figure), abs=0.06), figure
    assert shape.correlation_inside > 2 * shape.correlation_outside
    assert shape.lost_together_inside > 2 * shape.lost_together_outside


def test_zones_differ_as_recorded_ones_do() -> None:
    """A trace has zones that are nearly always up and zones that are mostly down."""
    up = [shape_of(synthesize(seed, Pattern.GOOGLE, **MADE[Pattern.GOOGLE])).availability.values() for seed in range(3)]
    assert all(min(shares) < 0.3 and max(shares) > 0.95 for shares in up)


def test_a_seed_is_a_trace() -> None:
    """The same seed gives the same trace, another seed another one."""
    first, again, other = (synthesize(seed, zones=4, regions=2, days=2.0, most=8) for seed in (7, 7, 8))
    assert first == again
    assert [zone.capacity for zone in first.zones] != [zone.capacity for zone in other.zones]


@pytest.mark.parametrize(
    ("most", "found"), [pytest.param(None, {0, 1000}, id="unbounded"), pytest.param(3, {0, 1, 2, 3}, id="counts")]
)
def test_capacity_is_unbounded_or_counted(most: int | None, found: set[int]) -> None:
    """Without a highest count, capacity is nothing or without a known bound; with one, all counts occur."""
    trace = synthesize(1, zones=6, days=5.0, most=most)
    assert {count for zone in trace.zones for count in zone.capacity} == found


def test_counts_move_while_a_zone_is_up() -> None:
    """Capacity is not only there or not: it changes within a spell."""
    trace = synthesize(1, zones=6, days=5.0, most=16)
    pairs = [pair for zone in trace.zones for pair in zip(zone.capacity, zone.capacity[1:], strict=False)]
    assert sum(0 < before != after > 0 for before, after in pairs) > 100


@pytest.mark.parametrize(
    ("zones", "regions"), [pytest.param(9, 3, id="three regions"), pytest.param(5, 1, id="one region")]
)
def test_prices_differ_by_the_ratio_asked_for(zones: int, regions: int) -> None:
    """The dearest costs so many times the cheapest, and less than on-demand."""
    trace = synthesize(3, zones=zones, regions=regions, days=1.0, on_demand_price=4.0, price_ratio=4.5)
    spot = [zone.spot_price for zone in trace.zones]
    assert max(spot) / min(spot) == pytest.approx(4.5, rel=0.01)
    assert max(spot) < 4.0


def test_prices_inside_a_region_are_alike() -> None:
    """Zones of a region cost nearly the same."""
    trace = synthesize(3, zones=9, regions=3, days=1.0)
    for region in {zone.region for zone in trace.zones}:
        spot = [zone.spot_price for zone in trace.zones if zone.region == region]
        assert max(spot) < 1.06 * min(spot)


def test_parameters_are_kept() -> None:
    """Days, interval, zones, named regions and accelerator are as asked for."""
    trace = synthesize(1, zones=5, regions=["here", "there"], days=0.5, interval_seconds=120.0, accelerator="L4")
    assert [zone.name for zone in trace.zones] == ["here-a", "here-b", "here-c", "there-a", "there-b"]
    assert {len(zone.capacity) for zone in trace.zones} == {360}
    assert (trace.interval_seconds, trace.accelerator) == (120.0, "L4")


def test_a_trace_begins_with_spells_of_all_ages() -> None:
    """The first hours are no likelier to bring a turn than the rest."""
    traces = [synthesize(seed, zones=9, days=3.0) for seed in range(12)]
    turns = [0, 0]
    for zone in (zone for trace in traces for zone in trace.zones):
        half = len(zone.capacity) // 2
        for step in range(1, 2 * half):
            turns[step >= half] += zone.capacity[step] != zone.capacity[step - 1]
    assert turns[0] == pytest.approx(turns[1], rel=0.15)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param({"zones": 0}, "synthesis: zones: 0 zones are no trace; use 1 or more", id="no zone"),
        pytest.param({"zones": 2, "regions": 3}, "2 zones cannot be in 3 regions; use 1 to 2 regions", id="regions"),
        pytest.param({"regions": ["a", "a"]}, "a region is named twice", id="twin regions"),
        pytest.param({"days": float("nan")}, "days: nan is not a positive number", id="nan days"),
        pytest.param({"interval_seconds": -1.0}, "interval_seconds: -1 is not a positive number", id="interval"),
        pytest.param({"days": 0.001}, "the trace has less than 2 intervals", id="too short"),
        pytest.param({"days": 1e6}, "days: 9 zones of 288000000 intervals are more than", id="too long"),
        pytest.param({"price_ratio": 0.5}, "price_ratio: 0.5 is no ratio", id="ratio"),
        pytest.param({"on_demand_price": 1e12}, "on_demand_price: 1e+12 is not a positive number", id="price too high"),
        pytest.param({"on_demand_price": 1e-5}, "Spot at 1e-05 USD over 4.5 comes to nothing", id="price too low"),
        pytest.param({"most": 10**7}, "most: 10000000 replicas per zone are too many", id="capacity too much"),
        pytest.param({"on_demand_price": 0.0}, "on_demand_price: 0 is not a positive number", id="price"),
        pytest.param({"most": 0}, "most: 0 replicas per zone are none", id="no capacity"),
    ],
)
def test_what_makes_no_trace_is_said(asked: dict[str, object], said: str) -> None:
    """One line says which parameter is wrong and what to do."""
    with pytest.raises(SpecError) as caught:
        synthesize(1, **asked)  # type: ignore[arg-type]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
