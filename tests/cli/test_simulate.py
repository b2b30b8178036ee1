"""`simulate` as a user meets it: what it prints, what programs read, what it says of mistakes."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.cli.app import run
from controlplane.simulate import optimum

FIGURES = {
    "availability", "cost", "attempts", "failed_attempts", "preemptions", "moves", "longest_outage_minutes",
}  # fmt: skip
SCIPY = pytest.mark.skipif(find_spec("scipy") is None, reason="the optimum needs the extra `simulate`")
SERVICE = """apiVersion: gpuhunter.dev/v1alpha1
kind: GPUService
metadata: {name: mine}
spec:
  replicas: 2
  accelerators: [{type: nvidia-l4}]
  regions: {denied: [us-east1]}
  pod: {image: "app:1"}
"""


def trace_file(folder: Path, name: str = "small", **changes: Any) -> str:
    """Write a trace of six hours and three zones, each of them away for an hour."""
    columns = [[0 if 6 * hour <= step < 6 * hour + 6 else 5 for step in range(36)] for hour in (1, 2, 4)]
    zones = {
        f"{region}-{letter}": {"region": region, "spot_usd_per_hour": price, "capacity": column}
        for region, letter, price, column in zip(
            ("us-east1", "us-east1", "us-west1"), "bca", (1.0, 1.1, 1.3), columns, strict=True
        )
    }
    data = {
        "name": name,
        "accelerator": "L4",
        "interval_seconds": 600,
        "on_demand_usd_per_hour": 3.0,
        "zones": zones,
        **changes,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data))
    return str(path)


def read(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def test_a_trace_is_replayed_beside_spothedge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people: the trace, its days, zones, the replicas, and a line for each policy; notes stay off the result."""
    assert run(["simulate", "--trace", trace_file(tmp_path), "--replicas", "3"]) == 0
    said = capsys.readouterr()
    assert "small: L4, 0.2 days, 3 zones, 3 replicas, spot and on-demand, balanced" in said.out
    assert [line.split()[0] for line in said.out.splitlines()[2:4]] == ["hunter", "spothedge"]
    assert "asked every 30 s" in said.err
    assert all(len(line) <= 80 for line in said.out.splitlines())


def test_programs_read_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one trace the policies stand at the top too; all figures are there, shares are fractions of 1."""
    assert run(["simulate", "--trace", trace_file(tmp_path), "--output", "json", "--loop", "60", "--ready", "90"]) == 0
    data = read(capsys)
    (trace,) = data["traces"]
    assert data["policies"] == trace["policies"]
    assert (trace["trace"], trace["replicas"], len(trace["zones"])) == ("small", 4, 3)
    assert data["settings"] == {
        "loop_seconds": 60.0, "answer_seconds": 60.0, "ready_seconds": 90.0, "left_out_seconds": 900.0,
    }  # fmt: skip
    for figures in data["policies"].values():
        assert set(figures) == FIGURES
        assert 0 <= figures["availability"] <= 1
        assert 0 < figures["cost"] < 2


@SCIPY
def test_all_policies_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours first; on-demand costs exactly 1 and nothing that is always available costs less than the optimum."""
    assert run(["simulate", "--trace", trace_file(tmp_path), "--compare", "--output", "yaml"]) == 0
    policies = yaml.safe_load(capsys.readouterr().out)["policies"]
    assert list(policies) == [
        "hunter", "spothedge", "spothedge_paper", "spothedge_shipped", "round_robin", "even_spread", "on_demand",
        "omniscient",
    ]  # fmt: skip
    assert policies["on_demand"]["cost"] == pytest.approx(1.0)
    assert policies["omniscient"]["availability"] == 1.0
    always = [one["cost"] for one in policies.values() if one["availability"] == 1.0]
    assert policies["omniscient"]["cost"] == min(always)


def test_several_traces_are_shown_one_by_one_and_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named by the option, repeated or followed by more; the top level has the means."""
    files = [trace_file(tmp_path, name) for name in ("one", "two", "three")]
    asked = ["simulate", "--trace", files[0], "--trace", files[1], files[2], "--policy", "round_robin"]
    assert run([*asked, "--output", "json"]) == 0
    data = read(capsys)
    assert {trace["trace"] for trace in data["traces"]} == {"one", "two", "three"}
    each = [trace["policies"]["round_robin"] for trace in data["traces"]]
    together = data["policies"]["round_robin"]
    assert together["attempts"] == sum(one["attempts"] for one in each) > each[0]["attempts"]
    assert together["cost"] == pytest.approx(each[0]["cost"])
    assert run(asked) == 0
    assert "Over 3 traces" in capsys.readouterr().out


def test_zones_capacity_and_policies_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what was asked for is replayed, where it was asked for, on the capacity that is allowed."""
    asked = ["--only", "us-east*", "--capacity-types", "spot", "--policy", "spothedge,round_robin"]
    assert run(["simulate", "--trace", trace_file(tmp_path), *asked, "--output", "json"]) == 0
    data = read(capsys)
    assert data["traces"][0]["zones"] == ["us-east1-b", "us-east1-c"]
    assert data["traces"][0]["capacity_types"] == ["spot"]
    assert list(data["policies"]) == ["spothedge", "round_robin"]


def test_the_users_own_service_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its replicas and its regions hold; options override it."""
    service = tmp_path / "service.yaml"
    service.write_text(SERVICE)
    asked = ["simulate", "--trace", trace_file(tmp_path), "--service", str(service), "--output", "json"]
    assert run(asked) == 0
    (trace,) = read(capsys)["traces"]
    assert (trace["replicas"], trace["zones"]) == (2, ["us-west1-a"])
    assert run([*asked, "--replicas", "1", "--preset", "available"]) == 0
    (trace,) = read(capsys)["traces"]
    assert (trace["replicas"], trace["preset"]) == (1, "available")


def test_a_trace_is_made_and_can_be_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same seed makes the same file, another one another."""
    made = [tmp_path / f"{number}.json" for number in range(3)]
    for path, seed in zip(made, ("5", "5", "6"), strict=True):
        size = ["--seed", seed, "--days", "1", "--zones", "3", "--regions", "2", "--most", "8"]
        assert run(["simulate", "--synthesize", str(path), *size, "--output", "json"]) == 0
        assert read(capsys)["seed"] == int(seed)
    assert made[0].read_bytes() == made[1].read_bytes() != made[2].read_bytes()
    assert run(["simulate", "--trace", str(made[0]), "--replicas", "2", "--policy", "spothedge"]) == 0
    assert "3 zones" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="pictures need the extra `simulate`")
def test_a_picture_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of what is replayed, into the file that is named."""
    picture = tmp_path / "out.png"
    asked = ["simulate", "--trace", trace_file(tmp_path), "--policy", "spothedge", "--plot", str(picture)]
    assert run(asked) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "drawn" in capsys.readouterr().err


def test_without_scipy_the_rest_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimum is left out with a line that says so; asked for by name, it is an error."""
    monkeypatch.setattr(optimum, "find_spec", lambda _: None)
    asked = ["simulate", "--trace", trace_file(tmp_path), "--output", "json"]
    assert run([*asked, "--compare"]) == 0
    said = capsys.readouterr()
    assert "omniscient" not in json.loads(said.out)["policies"]
    assert "left out: omniscient: SciPy is not installed" in said.err
    assert run([*asked, "--policy", "omniscient"]) == 64
    assert "pip install 'gpu-hunter[simulate]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(["--replicas", "0"], "--replicas", id="no-replicas"),
        pytest.param(["--loop", "nan"], "--loop: is nan seconds; use 1 to 86400", id="loop-nan"),
        pytest.param(["--loop", "0"], "--loop: is 0 seconds", id="loop-0"),
        pytest.param(["--answer", "-1"], "--answer: is -1 seconds", id="answer-negative"),
        pytest.param(["--ready", "10"], "--ready: 10 s is before the answer (60 s)", id="ready-before-answer"),
        pytest.param(["--capacity-types", "spott"], 'did you mean "spot"?', id="capacity-type"),
        pytest.param(["--preset", "cheap"], "--preset", id="preset"),
        pytest.param(["--missing-replica-cost", "0"], "--missing-replica-cost: is 0 USD", id="cost-0"),
        pytest.param(["--missing-replica-cost", "nan"], "--missing-replica-cost: is nan USD", id="cost-nan"),
        pytest.param(["--policy", "huntr"], 'did you mean "hunter"?', id="policy"),
        pytest.param(["--only", "x*"], 'no zone matches "x*"; its zones are us-east1-b', id="no-zone"),
        pytest.param(["--replicas", "99", "--capacity-types", "spot"], "at most 15 could be had on Spot", id="never"),
        pytest.param(["--service", "/no/such.yaml"], "/no/such.yaml: there is no such file", id="service-missing"),
        pytest.param(["--trace", "/no/such.json"], "/no/such.json: there is no such file", id="trace-missing"),
        pytest.param(["--plot", "/no/such/out.png"], "/no/such/out.png", id="no-folder"),
        pytest.param(["--plot", "out.png", "--policy", "omniscient"], "no history to draw", id="plot-optimum"),
        pytest.param(["--synthesize", "x.json"], "--synthesize: makes a trace and replays none", id="both"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_64(
    options: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong and what to do, before anything is replayed."""
    assert run(["simulate", "--trace", trace_file(tmp_path), *options]) == 64
    said = capsys.readouterr()
    assert expected in said.err
    assert said.out == ""
    assert "Traceback" not in said.err


def test_an_option_without_effect_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A seed does not change a replay; what would replay does not go with making a trace."""
    asked = ["simulate", "--trace", trace_file(tmp_path), "--policy", "on_demand", "--seed", "7"]
    assert run(asked) == 0
    assert "--seed has no part in a replay" in capsys.readouterr().err
    assert run(["simulate", "--synthesize", str(tmp_path / "made.json"), "--compare"]) == 64
    assert not (tmp_path / "made.json").exists()


def test_without_a_trace_there_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """It is told how to come by one."""
    assert run(["simulate"]) == 64
    assert "--synthesize trace.json" in capsys.readouterr().err


def test_a_wrong_trace_is_told_with_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that is only too short to be scored."""
    path = trace_file(tmp_path, interval_seconds=20)
    assert run(["simulate", "--trace", path]) == 64
    assert f"{path}: lasts 720 s, of which the first 900 s do not count" in capsys.readouterr().err
