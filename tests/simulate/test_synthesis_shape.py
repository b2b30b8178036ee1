"""The shape of a trace is measured as defined, on traces small enough to count by hand."""

import pytest

from controlplane.simulate.synthesis import shape_of, table
from controlplane.simulate.trace import Trace, Zone


def trace_of(*rows: str, regions: str = "", prices: tuple[float, ...] = (), interval: float = 600.0) -> Trace:
    """Make a trace with a zone per row, a digit of capacity per interval, a letter for the region of each."""
    zones = tuple(
        Zone(f"z{n}", (regions or "a" * len(rows))[n], (prices or (1.0,) * len(rows))[n], tuple(map(int, row)), "gpu")
        for n, row in enumerate(rows)
    )
    return Trace("by hand", "gpu", interval, 3.0, zones)


def test_hazard_is_turns_over_time_at_risk() -> None:
    """Two spells of one interval end at once: each was at risk for half of it, and nothing reached the next band."""
    shape = shape_of(trace_of("0100010"))
    assert shape.lost_per_hour == (pytest.approx(2 / (2 * 0.5 / 6)), None, None, None, None, None, None)


def test_hazard_goes_to_the_age_at_which_the_turn_came() -> None:
    """A spell of 4 intervals of 10 minutes was lost at 30 to 40 minutes; until then it was at risk without a loss."""
    shape = shape_of(trace_of("0111100"))
    assert shape.lost_per_hour[:3] == (0.0, 0.0, pytest.approx(1 / (0.5 / 6)))


def test_spells_without_a_beginning_do_not_count() -> None:
    """The age of what was up when the trace began is unknown."""
    assert shape_of(trace_of("1111000")).lost_per_hour == (None,) * 7


def test_a_spell_cut_by_the_end_is_at_risk_without_a_loss() -> None:
    """Up for three intervals of which two were seen through."""
    assert shape_of(trace_of("0000111")).lost_per_hour[:3] == (0.0, 0.0, None)


def test_returns_are_counted_like_losses() -> None:
    """The mirror image has the mirrored hazards."""
    shape, mirrored = shape_of(trace_of("0111100")), shape_of(trace_of("1000011"))
    assert mirrored.returned_per_hour == shape.lost_per_hour


@pytest.mark.parametrize(
    ("rows", "correlation"),
    [
        pytest.param(("0011", "0011"), 1.0, id="alike"),
        pytest.param(("0011", "1100"), -1.0, id="opposite"),
        pytest.param(("0011", "0101"), 0.0, id="unrelated"),
    ],
)
def test_correlation_is_that_of_being_up(rows: tuple[str, ...], correlation: float) -> None:
    """Pearson's, of two zones of one region; nothing is known of two regions."""
    shape = shape_of(trace_of(*rows))
    assert shape.correlation_inside == pytest.approx(correlation)
    assert shape.correlation_outside is None


def test_zones_that_never_change_have_no_correlation() -> None:
    """There is nothing to correlate, and that is not 0."""
    assert shape_of(trace_of("1111", "0101")).correlation_inside is None


@pytest.mark.parametrize(
    ("other", "share"),
    [
        pytest.param("11110000", 1.0, id="at once"),
        pytest.param("11111000", 1.0, id="one interval later"),
        pytest.param("11111100", 0.0, id="too late"),
        pytest.param("00000011", None, id="was not up"),
    ],
)
def test_lost_together_is_within_ten_minutes_either_way(other: str, share: float | None) -> None:
    """Of the losses while the other zone was up, those that the other followed or led by 10 minutes at most."""
    shape = shape_of(trace_of("11110000", other, regions="ab"))
    assert shape.lost_together_outside == share
    assert shape.lost_together_inside is None


def test_up_means_room_for_all_that_are_asked_about() -> None:
    """With `at_least` 3, a zone that has room for 2 is down."""
    trace = trace_of("1123")
    assert shape_of(trace).availability == {"z0": 1.0}
    assert shape_of(trace, at_least=3).availability == {"z0": 0.25}


def test_price_ratio_is_dearest_over_cheapest() -> None:
    """Over all zones."""
    assert shape_of(trace_of("1", "1", prices=(2.0, 5.0))).price_ratio == 2.5


def test_several_traces_are_measured_as_one() -> None:
    """Turns and time at risk add up, whatever the interval."""
    both = shape_of(trace_of("0100010"), trace_of("0111100"))
    assert both.lost_per_hour[0] == pytest.approx(2 / (2 * 0.5 / 6 + 1 / 6))


def test_figures_are_laid_side_by_side() -> None:
    """A column per shape, a dash where nothing was to be measured, and the same figures as a mapping for JSON."""
    shape = shape_of(trace_of("0011", "0101", prices=(2.0, 5.0)))
    text = table({"one": shape, "other": shape}).splitlines()
    assert text[0].split() == ["one", "other"]
    assert text[-1].split() == ["price", "ratio", "2.50", "2.50"]
    assert any(line.split() == ["correlation", "outside", "-", "-"] for line in text)
    assert shape.as_dict()["correlation"] == {"inside": 0.0, "outside": None}
