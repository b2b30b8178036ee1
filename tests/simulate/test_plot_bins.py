"""A replay is put into columns without losing what matters in it."""

import pytest

from controlplane.simulate.ledger import Kind, Lease
from controlplane.simulate.plot.bins import Bins
from controlplane.simulate.trace import Zone

TEN = Bins(duration=100.0, count=10)


def lease(asked: float, ready: float, ended: float | None) -> Lease:
    """Make a lease of zone 0 with these times."""
    return Lease(1, 0, Kind.SPOT, asked, ready, accepted=True, ended_at=ended)


@pytest.mark.parametrize(
    ("span", "columns"),
    [
        pytest.param((10.0, 20.0), [(1, 1.0)], id="one whole column"),
        pytest.param((5.0, 25.0), [(0, 0.5), (1, 1.0), (2, 0.5)], id="parts"),
        pytest.param((-50.0, 5.0), [(0, 0.5)], id="begins before"),
        pytest.param((95.0, 500.0), [(9, 0.5)], id="ends after"),
        pytest.param((30.0, 30.0), [], id="nothing"),
    ],
)
def test_a_span_covers_columns_by_share(span: tuple[float, float], columns: list[tuple[int, float]]) -> None:
    """What lies outside the picture is cut off."""
    assert list(TEN.overlaps(*span)) == columns


@pytest.mark.parametrize(
    ("one", "warming", "ready"),
    [
        pytest.param(lease(0, 20, 50), [1, 1, 0, 0, 0], [0, 0, 1, 1, 1], id="served"),
        pytest.param(lease(0, 40, 20), [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], id="lost before it served"),
        pytest.param(lease(80, 90, None), [0] * 8 + [1, 0], [0] * 9 + [1], id="still held"),
        pytest.param(lease(0, 5, 10), [0.5], [0.5], id="within a column"),
    ],
)
def test_held_is_split_into_warming_and_ready(one: Lease, warming: list[float], ready: list[float]) -> None:
    """From the request to readiness, and from there to the end."""
    pad = [0.0] * 10
    assert TEN.held([one]) == ((warming + pad)[:10], (ready + pad)[:10])


def test_room_for_some_is_half_missing() -> None:
    """Capacity beyond what is wanted does not count, capacity below it counts in part."""
    zone = Zone("z", "r", 1.0, (1000, 4, 2, 0, 4), "gpu")
    assert TEN.missing(zone, interval=20.0, wanted=4) == [0, 0, 0, 0, 0.5, 0.5, 1, 1, 0, 0]


def test_a_short_shortage_survives_a_wide_column() -> None:
    """The mean hides three seconds in ten; the lowest does not."""
    mean, lowest = TEN.ready([(0.0, 4), (12.0, 1), (15.0, 4)], since=0.0)
    assert mean[1] == pytest.approx(3.1)
    assert lowest[:3] == [4, 1, 4]


def test_the_start_that_is_not_scored_shows_no_shortage() -> None:
    """Columns before `since` have no lowest; a column that it cuts has that of its rest."""
    _, lowest = TEN.ready([(0.0, 0), (14.0, 4)], since=15.0)
    assert lowest[:3] == [None, 4, 4]


def test_near_times_become_one_mark() -> None:
    """Times in one span of columns are counted together, at their mean."""
    assert TEN.gather([1.0, 3.0, 55.0], columns=2) == [(2.0, 2), (55.0, 1)]
