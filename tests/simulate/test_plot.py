"""Pictures show what happened in a replay; what keeps one from being drawn is said in a line."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane.api import SpecError
from controlplane.simulate.ledger import Move
from controlplane.simulate.market import Market, Scoring
from controlplane.simulate.plot import Point, canvas, check, draw, draw_tradeoff
from controlplane.simulate.plot.block import Block
from controlplane.simulate.plot.marks import Marks, why
from controlplane.simulate.replay import History, replay
from controlplane.simulate.synthesis import synthesize
from controlplane.simulate.trace import Trace, Zone

pytest.importorskip("matplotlib", reason="pictures need the extra `simulate`")

LONG = "a policy of which the name is rather long, so that it shows"


class Greedy:
    """Keeps asking the zones for what is missing, one after the other; the last resort is on-demand."""

    name = "greedy"

    def __init__(self, *, on_demand: bool = False) -> None:
        self._places = [None] if on_demand else []
        self._turn = 0

    def act(self, market: Market, replicas: int) -> None:
        places = [*range(len(market.trace.zones)), *self._places]
        for _ in range(replicas - len(market.leases)):
            market.request(places[self._turn % len(places)])
            self._turn += 1


def history_of(*capacity: str, replicas: int = 2, hours: float = 0.5, on_demand: bool = False) -> History:
    """Replay a zone per row, a digit of capacity per interval; prices rise from zone to zone."""
    zones = tuple(Zone(f"z{n}", "r", 1.0 + n, tuple(map(int, row)), "gpu") for n, row in enumerate(capacity))
    trace = Trace("by hand", "gpu", 3600 * hours, 9.0, zones)
    return replay(trace, Greedy(on_demand=on_demand), replicas, Scoring())


def painted(path: Path, colour: str, within: float = 0.002) -> int:
    """Count the pixels of this colour; `within` is how far red, green and blue may be from it (0 to 1)."""
    from matplotlib.colors import to_rgb
    from matplotlib.image import imread

    return int((abs(imread(path)[:, :, :3] - to_rgb(colour)).max(axis=2) < within).sum())


def test_a_shortage_is_seen(tmp_path: Path) -> None:
    """Too few ready paints the top panel in the colour of shortage: far more than its entry in the legend."""
    draw(history_of("222222"), tmp_path / "enough.png")
    draw(history_of("220022"), tmp_path / "short.png")
    enough, short = (painted(tmp_path / f"{name}.png", canvas.SHORT) for name in ("enough", "short"))
    assert short > 10 * enough


def test_scarce_zones_have_a_grey_lane(tmp_path: Path) -> None:
    """The ground of a lane tells where nothing was to be had."""
    draw(history_of("222222", "222222"), tmp_path / "plenty.png")
    draw(history_of("222222", "000000"), tmp_path / "scarce.png")
    plenty, scarce = (painted(tmp_path / f"{name}.png", canvas.FEW) for name in ("plenty", "scarce"))
    assert scarce > 20 * plenty


def test_what_is_held_fills_its_lane(tmp_path: Path) -> None:
    """Two replicas held all the time paint twice what two paint that were lost after half of it."""
    draw(history_of("222222"), tmp_path / "all.png")
    draw(history_of("222000"), tmp_path / "half.png")
    whole, half = (painted(tmp_path / f"{name}.png", canvas.READY) for name in ("all", "half"))
    assert whole == pytest.approx(2 * half, rel=0.1)


@pytest.mark.parametrize("days", [1.0, 27.0], ids=lambda days: f"{days:g} days")
def test_a_picture_has_a_lane_for_each_of_many_zones(tmp_path: Path, days: float) -> None:
    """A day and four weeks of 13 zones make pictures of the same size."""
    from matplotlib.image import imread

    trace = synthesize(1, zones=13, regions=5, days=days, interval_seconds=1800.0, most=16)
    draw(replay(trace, Greedy(), 4, Scoring(step=600.0)), tmp_path / "one.png")
    height, width, _ = imread(tmp_path / "one.png").shape
    assert (width, height) == (1680, pytest.approx(1056, abs=60))


def test_several_policies_have_a_panel_each(tmp_path: Path) -> None:
    """Two replays make a picture that is higher than that of one, and less than twice as high."""
    from matplotlib.image import imread

    history = history_of("2202", "2222", "2222", "2222")
    draw(history, tmp_path / "one.png")
    draw([history, history], tmp_path / "two.png")
    one, two = (imread(tmp_path / f"{name}.png").shape[0] for name in ("one", "two"))
    assert 1.3 * one < two < 2 * one


def test_marks_tell_preempted_and_refused() -> None:
    """Each of the two kinds is marked as often as the score has it."""
    history = history_of("220022")
    block = Block(history)
    from matplotlib.figure import Figure

    found = Marks(block).draw(Figure().add_subplot())
    assert found == {"preempted": history.result.preemptions, "attempt refused": history.result.failed_attempts}
    assert found["preempted"] == 2


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(1, 0, "moved to a cheaper zone", id="cheaper"),
        pytest.param(None, 1, "moved off on-demand", id="off on-demand"),
        pytest.param(0, 1, "moved elsewhere", id="dearer"),
        pytest.param(0, None, "moved elsewhere", id="to on-demand"),
    ],
)
def test_a_move_says_what_it_was_good_for(old: int | None, new: int | None, reason: str) -> None:
    """By the prices of both places."""
    history = history_of("22", "22", hours=1.0)
    market = Market(history.trace, history.scoring)
    move = Move(0.0, market.request(old), market.request(new))
    assert why(move, Block(history)) == reason


def test_lanes_are_in_order_of_price() -> None:
    """The cheapest is the first, on-demand the last."""
    history = history_of("22", "22", "22", hours=1.0)
    assert Block(history).order == [0, 1, 2, None]


def test_names_are_no_formulas(tmp_path: Path) -> None:
    """Dollars and underscores in the names of zones, traces and policies are drawn as they are."""
    zone = Zone("$a_$", "r", 1.0, (2, 2), "gpu")
    history = replay(Trace("$x_$", "gpu", 3600.0, 3.0, (zone,)), Greedy(), 2, Scoring())
    draw(history, tmp_path / "names.png")
    draw_tradeoff([Point("$x_$", 0.9, 0.3, "$c_$")], tmp_path / "points.png", "$t_$")
    assert (tmp_path / "names.png").stat().st_size > 10_000
    assert (tmp_path / "points.png").stat().st_size > 10_000


def test_a_curve_stands_beside_single_policies(tmp_path: Path) -> None:
    """Points of a curve are joined in its colour; others are marks of their own."""
    curve = [Point(f"{cost:g}", 0.98 + cost / 100, 0.3 + cost / 20, "by cost") for cost in (0.5, 1.0, 1.5)]
    single = [Point("spothedge", 0.994, 0.41), Point("on_demand", 1.0, 1.0)]
    draw_tradeoff(single, tmp_path / "single.png")
    draw_tradeoff([*curve, *single], tmp_path / "both.png")
    assert painted(tmp_path / "single.png", canvas.SERIES[0]) == 0
    assert painted(tmp_path / "both.png", canvas.SERIES[0]) > 300


def test_labels_of_near_points_do_not_lie_on_each_other(tmp_path: Path) -> None:
    """Five policies at one point hide hardly more of each other than five far apart."""
    near = [Point(LONG, 0.99, 0.4) for _ in range(5)]
    frame = [Point("far", 0.8, 0.9), Point("wide", 0.999, 0.1)]
    draw_tradeoff([*near, *frame], tmp_path / "near.png")
    spread = [Point(LONG, 0.9 + n / 50, 0.3) for n in range(5)]
    draw_tradeoff([*spread, *frame], tmp_path / "apart.png")
    near_ink, apart_ink = (painted(tmp_path / f"{name}.png", canvas.TEXT, within=0.4) for name in ("near", "apart"))
    assert near_ink > 0.9 * apart_ink


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param("picture.pdf", "pictures are PNG files; use a name that ends in .png", id="not a PNG"),
        pytest.param("nowhere/picture.png", "is in no folder that exists", id="no folder"),
        pytest.param("folder.png", "is a folder", id="a folder"),
    ],
)
def test_a_path_that_cannot_be_is_said(tmp_path: Path, name: str, said: str) -> None:
    """One line with the path and what to do."""
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SpecError) as caught:
        draw(history_of("22"), tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "drawing",
    [
        pytest.param(lambda path: draw(history_of("22"), path), id="replay"),
        pytest.param(lambda path: draw_tradeoff([Point("a", 0.9, 0.5)], path), id="points"),
        pytest.param(check, id="beforehand"),
    ],
)
def test_missing_matplotlib_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawing: Callable[[Path], None]
) -> None:
    """It names the extra to install, and no file is left."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SpecError) as caught:
        drawing(tmp_path / "a.png")
    assert str(caught.value).endswith('which is not installed; install the extra: pip install "gpu-hunter[simulate]"')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("drawing", [draw, draw_tradeoff], ids=["replays", "points"])
def test_nothing_to_draw_is_said(tmp_path: Path, drawing: Callable[[list[object], Path], None]) -> None:
    """An empty picture helps nobody."""
    with pytest.raises(SpecError, match="there is no"):
        drawing([], tmp_path / "a.png")
