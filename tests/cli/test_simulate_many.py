"""`simulate` over several seeds, loops and costs of a missing replica: the trade-off, the worst beside the mean."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from controlplane.cli.app import run
from controlplane.cli.replays import points_of

MATPLOTLIB = pytest.mark.skipif(find_spec("matplotlib") is None, reason="pictures need the extra `simulate`")
SMALL = ["--days", "0.5", "--zones", "4", "--regions", "2"]
SERVICE = """apiVersion: gpuhunter.dev/v1alpha1
kind: GPUService
metadata: {name: mine}
spec:
  replicas: 2
  accelerators: [{type: nvidia-l4}]
  regions: {allowed: [us-central1, us-east4]}
  pod: {image: "app:1"}
"""


def data_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["simulate", *arguments, "--output", "json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def service_file(folder: Path, text: str = SERVICE) -> str:
    path = folder / "service.yaml"
    path.write_text(text)
    return str(path)


def test_a_seed_is_replayed_without_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a seed makes is replayed as the file of that seed would be."""
    file = tmp_path / "made.json"
    assert run(["simulate", "--synthesize", str(file), "--seed", "4", *SMALL]) == 0
    capsys.readouterr()
    kept = data_of(capsys, "--trace", str(file), "--policy", "spothedge")
    straight = data_of(capsys, "--seed", "4", *SMALL, "--policy", "spothedge")
    assert straight["policies"] == kept["policies"]
    assert straight["traces"][0]["file"] is None


def test_the_worst_seed_stands_beside_the_mean(capsys: pytest.CaptureFixture[str]) -> None:
    """Of several seeds: each one's figures, their means, and which was available least and which cost most."""
    asked = ["--seed", "11", "--seeds", "3", *SMALL, "--policy", "round_robin"]
    data = data_of(capsys, *asked)
    each = [one["policies"]["round_robin"] for one in data["traces"]]
    worst = data["worst"]["round_robin"]
    assert [one["trace"][-2:] for one in data["traces"]] == ["11", "12", "13"]
    assert worst["availability"] == min(one["availability"] for one in each) < max(one["availability"] for one in each)
    assert worst["cost"] == max(one["cost"] for one in each)
    assert data["policies"]["round_robin"]["cost"] == pytest.approx(sum(one["cost"] for one in each) / 3)
    by_name = {one["trace"]: one["policies"]["round_robin"]["availability"] for one in data["traces"]}
    assert by_name[worst["availability_trace"]] == worst["availability"]
    assert run(["simulate", *asked]) == 0
    said = capsys.readouterr().out
    assert "Over 3 traces" in said
    assert f"{100 * worst['availability']:.2f}" in said
    assert all(len(line) <= 80 for line in said.splitlines()[1:])


def test_several_loops_show_what_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    """Each policy is replayed at every loop; what a slower one loses is against the first."""
    asked = ["--seed", "2", *SMALL, "--policy", "round_robin", "--loop", "30,600"]
    data = data_of(capsys, *asked)
    quick, slow = data["loops"]
    assert (quick["loop_seconds"], slow["loop_seconds"]) == (30.0, 600.0)
    assert quick["policies"] == data["policies"]
    one, other = (loop["policies"]["round_robin"]["availability"] for loop in (quick, slow))
    assert slow["against_the_first"]["round_robin"]["availability_lost"] == pytest.approx(one - other)
    assert one > other
    assert run(["simulate", *asked]) == 0
    assert f"{100 * (one - other):.2f}" in capsys.readouterr().out


@MATPLOTLIB
def test_the_tradeoff_is_a_table_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours at the presets and between them, and by order alone, beside the others; the picture shows the same."""
    picture = tmp_path / "tradeoff.png"
    data = data_of(capsys, "--seed", "2", *SMALL, "--policy", "hunter,spothedge", "--tradeoff", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")
    points = {point["label"]: point for point in data["tradeoff"]}
    assert {"hunter frugal", "hunter balanced", "hunter available", "hunter by order", "spothedge"} < set(points)
    curve = [point for point in data["tradeoff"] if point["on_demand_prices"] is not None]
    costs = [point["missing_replica_cost"] for point in curve]
    assert len(costs) >= 6
    assert costs == sorted(costs) == [10 * point["on_demand_prices"] for point in curve]
    for label, point in points.items():
        assert point["cost"] == data["policies"][label]["cost"]
    drawn = {point.label: point for point in points_of(data)}
    assert {"frugal (8x)", "16x", "balanced (28x)", "hunter by order", "spothedge"} < set(drawn)
    assert {label for label, point in drawn.items() if not point.curve} == {"hunter by order", "spothedge"}
    assert drawn["frugal (8x)"].cost == points["hunter frugal"]["cost"]


@MATPLOTLIB
def test_a_tradeoff_can_be_drawn_of_costs_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In USD an hour, over several traces; without another policy too."""
    picture = tmp_path / "tradeoff.png"
    wanted = ["--missing-replica-cost", "5,500", "--policy", "hunter", "--tradeoff", str(picture)]
    data = data_of(capsys, "--seeds", "2", *SMALL, *wanted)
    assert [point["label"] for point in data["tradeoff"]] == ["hunter $5", "hunter $500", "hunter by order"]
    assert picture.exists()


def test_a_missing_replica_that_costs_more_is_missing_less(capsys: pytest.CaptureFixture[str]) -> None:
    """Several costs are replayed side by side."""
    data = data_of(capsys, "--seed", "2", *SMALL, "--policy", "hunter", "--missing-replica-cost", "0.5,1000")
    assert list(data["policies"]) == ["hunter $0.5", "hunter $1000"]
    cheap, dear = data["policies"].values()
    assert cheap["availability"] < dear["availability"]
    assert cheap["cost"] < dear["cost"]


def test_a_made_trace_is_like_the_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its GPU type, its regions and what that costs by the price table, where the call names none."""
    service, file = service_file(tmp_path), tmp_path / "made.json"
    asked = ["--service", service, "--days", "0.1", "--zones", "2"]
    (trace,) = data_of(capsys, *asked, "--policy", "on_demand")["traces"]
    assert trace["accelerators"] == ["nvidia-l4"]
    assert trace["zones"] == ["us-central1-a", "us-east4-a"]
    assert run(["simulate", "--synthesize", str(file), *asked]) == 0
    price = json.loads(file.read_text())["on_demand_usd_per_hour"]
    assert 0.4 < price < 1.0
    service_file(tmp_path, SERVICE.replace("nvidia-l4", "nvidia-l4, count: 2"))
    assert run(["simulate", "--synthesize", str(file), *asked]) == 0
    assert json.loads(file.read_text())["on_demand_usd_per_hour"] == pytest.approx(2 * price)


def test_what_a_made_trace_is_can_be_said(tmp_path: Path) -> None:
    """Regions by name, GPU type, prices and interval go into the file."""
    file = tmp_path / "made.json"
    like = ["--regions", "us-west1,asia-east1", "--accelerator", "nvidia-h100-80gb", "--interval", "600"]
    prices = ["--on-demand-price", "12", "--price-ratio", "3"]
    assert run(["simulate", "--synthesize", str(file), "--days", "0.5", "--zones", "4", *like, *prices]) == 0
    made = json.loads(file.read_text())
    spot = [zone["spot_usd_per_hour"] for zone in made["zones"].values()]
    assert {zone["region"] for zone in made["zones"].values()} == {"us-west1", "asia-east1"}
    assert (made["accelerator"], made["interval_seconds"]) == ("nvidia-h100-80gb", 600)
    assert made["on_demand_usd_per_hour"] == 12
    assert max(spot) / min(spot) == pytest.approx(3, rel=0.01)


def test_the_shape_of_traces_is_shown_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of files and of what is made; nothing is replayed."""
    file = tmp_path / "kept.json"
    assert run(["simulate", "--synthesize", str(file), "--seed", "5", *SMALL]) == 0
    capsys.readouterr()
    (kept,) = data_of(capsys, "--trace", str(file), "--shape")["shapes"]
    first, second = data_of(capsys, "--seed", "5", "--seeds", "2", *SMALL, "--shape")["shapes"]
    assert kept["lost_per_hour"] == first["lost_per_hour"] != second["lost_per_hour"]
    assert run(["simulate", "--seeds", "2", *SMALL, "--shape"]) == 0
    said = capsys.readouterr().out
    assert "seed1  synthetic" in said
    assert "lost per hour <10 min" in said


def test_patience_shorter_than_the_answer_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that gives up before any answer would look like a market without Spot."""
    impatient = service_file(tmp_path, SERVICE + "  timing: {attemptDeadline: 20s}\n")
    asked = ["simulate", "--seed", "1", "--days", "0.1", "--zones", "2", "--policy", "on_demand"]
    assert run([*asked, "--service", impatient]) == 0
    assert "attemptDeadline (20 s)" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(["--loop", "30,x"], '--loop: "x" is not a number', id="loop-word"),
        pytest.param(["--loop", "30,0"], "--loop: is 0 seconds", id="loop-0"),
        pytest.param(["--loop", ",".join(map(str, range(1, 30)))], "--loop: names 29 numbers", id="too-many-loops"),
        pytest.param(["--missing-replica-cost", "5,-1"], "--missing-replica-cost: is -1 USD", id="cost-negative"),
        pytest.param(["--seeds", "0"], "--seeds: is 0", id="no-seeds"),
        pytest.param(["--regions", "0"], "--regions: 4 zones cannot be in 0 regions", id="no-regions"),
        pytest.param(["--regions", "us-east1,"], "--regions: has an empty name", id="empty-region"),
        pytest.param(["--regions", "1000000000"], "4 zones cannot be in 1000000000 regions", id="endless-regions"),
        pytest.param(["--price-ratio", "0.5"], "--price-ratio: 0.5 is no ratio", id="price-ratio"),
        pytest.param(["--price-ratio", "1e9"], "--price-ratio: Spot at 10 USD over 1e+09", id="spot-for-nothing"),
        pytest.param(["--on-demand-price", "nan"], "--on-demand-price: nan is not a positive number", id="price"),
        pytest.param(["--interval", "0"], "--interval: 0 is not a positive number", id="interval"),
        pytest.param(["--interval", "1e-320"], "--days: 4 zones of inf intervals are more than", id="interval-tiny"),
        pytest.param(["--days", "1e308"], "--days: 1e+308 is not a positive number", id="days-endless"),
        pytest.param(["--accelerator", " "], "--accelerator: is empty", id="accelerator-empty"),
        pytest.param(["--tradeoff", "out.jpg"], "out.jpg: pictures are PNG files", id="no-png"),
        pytest.param(["--tradeoff", "out.png", "--loop", "30,60"], "--tradeoff: draws one loop", id="two-loops"),
        pytest.param(["--tradeoff", "o.png", "--policy", "on_demand"], "hunter is not among", id="without-ours"),
        pytest.param(["--tradeoff", "o.png", "--plot", "p.png"], "--plot: draws one replay", id="two-pictures"),
        pytest.param(["--plot", "o.png", "--seeds", "2"], "--plot: draws one trace, 2 are given", id="plot-seeds"),
        pytest.param(["--shape", "--loop", "60"], "--shape: replays nothing", id="shape-of-a-loop"),
        pytest.param(["--synthesize", "x.json", "--seeds", "2"], "--seeds: one file holds one trace", id="one-file"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_code_64(
    options: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """What is wrong and what to do, by the name of the option, before anything is replayed."""
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", "--days", "0.5", "--zones", "4", *options]) == 64
    said = capsys.readouterr()
    assert expected in said.err
    assert said.out == ""
    assert list(tmp_path.iterdir()) == []
