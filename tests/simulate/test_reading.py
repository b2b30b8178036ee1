"""A trace file is read as it stands, or refused in one line that says where and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.simulate import reading
from controlplane.simulate.reading import TraceProblem, read_trace, write_trace

GOOD: dict[str, Any] = {
    "name": "small",
    "source": "by hand",
    "accelerator": "V100",
    "interval_seconds": 300,
    "on_demand_usd_per_hour": 3.06,
    "note": "a note",
    "zones": {
        "us-east-2a": {"region": "us-east-2", "spot_usd_per_hour": 0.93, "capacity": [0, 4, 1]},
        "us-west-2c": {"region": "us-west-2", "spot_usd_per_hour": 1, "capacity": [1, 0, 1000], "accelerator": "K80"},
    },
}


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "trace.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def complaint(path: Path) -> str:
    with pytest.raises(TraceProblem) as caught:
        read_trace(path)
    return str(caught.value)


def changed(place: str, value: Any) -> str:
    """Give the good trace with one value changed; `...` leaves it out."""
    data = json.loads(json.dumps(GOOD))
    *parents, last = place.split("/")
    target = data
    for parent in parents:
        target = target[int(parent) if isinstance(target, list) else parent]
    if value is ...:
        del target[last]
    elif isinstance(target, list):
        target[int(last)] = value
    else:
        target[last] = value
    return json.dumps(data)


def test_a_trace_is_read(tmp_path: Path) -> None:
    """Every value comes through; a zone's own GPU type overrides the trace's; unknown keys are left alone."""
    trace = read_trace(written(tmp_path, changed("licence", "none")))
    assert (trace.name, trace.source, trace.note, trace.accelerator) == ("small", "by hand", "a note", "V100")
    assert (trace.interval_seconds, trace.on_demand_price, trace.duration) == (300.0, 3.06, 900.0)
    east, west = trace.zones
    assert (east.name, east.region, east.spot_price, east.accelerator) == ("us-east-2a", "us-east-2", 0.93, "V100")
    assert (west.capacity, west.accelerator) == ((1, 0, 1000), "K80")
    assert [trace.capacity_at(0, at) for at in (0.0, 299.9, 300.0, 5000.0)] == [0, 0, 4, 1]
    assert list(trace.changes()) == [(300.0, 0, 4), (300.0, 1, 0), (600.0, 0, 1), (600.0, 1, 1000)]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Nothing is lost on the way."""
    trace = read_trace(written(tmp_path, json.dumps(GOOD)))
    write_trace(trace, tmp_path / "again.json")
    assert read_trace(tmp_path / "again.json") == trace


ZONE = "zones/us-east-2a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"name": "x",\n  "zones": }', ":2:12: is not JSON", id="malformed"),
        pytest.param("", ":1:1: is not JSON", id="empty-file"),
        pytest.param("[1]", "is not a JSON object", id="a-list"),
        pytest.param(b"\xff\xfe{}", "is not UTF-8", id="not-utf-8"),
        pytest.param("[" * 100_000, "nested too deeply", id="too-deep"),
        pytest.param('{"a": ' + "9" * 5000 + "}", "numbers of a sensible size", id="huge-number"),
        pytest.param('{"name": "x",\n "name": "y"}', ":2: name: is written twice; keep one", id="duplicate-key"),
        pytest.param(changed("zones", {}), "zones: there are no zones", id="no-zones"),
        pytest.param(changed("zones", ...), "zones: is missing", id="zones-missing"),
        pytest.param(changed("zones", [1]), "zones: is a list", id="zones-a-list"),
        pytest.param(changed("name", ""), "name: is empty", id="no-name"),
        pytest.param(changed("name", 7), "name: is 7", id="name-a-number"),
        pytest.param(changed("note", None), "note: is null", id="note-null"),
        pytest.param(changed("interval_seconds", 0), "interval_seconds: is 0", id="interval-0"),
        pytest.param(changed("interval_seconds", -5), "interval_seconds: is -5", id="interval-negative"),
        pytest.param(changed("interval_seconds", "300"), 'interval_seconds: is "300"', id="interval-text"),
        pytest.param(changed("on_demand_usd_per_hour", float("nan")), "on_demand_usd_per_hour: is NaN", id="od-nan"),
        pytest.param(changed("on_demand_usd_per_hour", True), "on_demand_usd_per_hour: is true", id="od-bool"),
        pytest.param(changed(ZONE, {}), "zones.us-east-2a: is empty", id="empty-zone"),
        pytest.param(changed(ZONE, []), "zones.us-east-2a: is a list", id="zone-a-list"),
        pytest.param(changed("zones/ ", {"region": "r"}), "zones: a zone has no name", id="zone-without-name"),
        pytest.param(changed(f"{ZONE}/region", ...), "zones.us-east-2a.region: is missing", id="no-region"),
        pytest.param(changed(f"{ZONE}/capacity", []), "zones.us-east-2a.capacity: is empty", id="empty-capacity"),
        pytest.param(changed(f"{ZONE}/capacity", 4), "zones.us-east-2a.capacity: is 4", id="capacity-a-number"),
        pytest.param(changed(f"{ZONE}/capacity/1", -1), "us-east-2a.capacity[1]: is -1", id="capacity-negative"),
        pytest.param(changed(f"{ZONE}/capacity/2", 1.5), "us-east-2a.capacity[2]: is 1.5", id="capacity-fraction"),
        pytest.param(changed(f"{ZONE}/capacity/0", float("nan")), "capacity[0]: is NaN", id="capacity-nan"),
        pytest.param(changed(f"{ZONE}/capacity/0", True), "capacity[0]: is true", id="capacity-bool"),
        pytest.param(changed(f"{ZONE}/capacity/0", None), "capacity[0]: is null", id="capacity-null"),
        pytest.param(changed(f"{ZONE}/capacity/0", 10**9), "capacity[0]: is more than", id="capacity-endless"),
        pytest.param(
            changed(f"{ZONE}/capacity", [1, 2]),
            "zones.us-west-2c.capacity: has 3 intervals where zones.us-east-2a.capacity has 2",
            id="lengths-differ",
        ),
        pytest.param(changed(f"{ZONE}/spot_usd_per_hour", float("nan")), "spot_usd_per_hour: is NaN", id="price-nan"),
        pytest.param(changed(f"{ZONE}/spot_usd_per_hour", float("inf")), "is infinite", id="price-infinite"),
        pytest.param(changed(f"{ZONE}/spot_usd_per_hour", 0), "spot_usd_per_hour: is 0", id="price-0"),
        pytest.param(changed(f"{ZONE}/spot_usd_per_hour", -0.5), "spot_usd_per_hour: is -0.5", id="price-negative"),
    ],
)
def test_a_wrong_file_is_one_line_with_its_place(tmp_path: Path, text: str | bytes, expected: str) -> None:
    """It names the file, the position, what is wrong and, after a semicolon, what to do."""
    path = written(tmp_path, text)
    said = complaint(path)
    assert said.startswith(str(path))
    assert expected in said
    assert said.count("\n") == 0
    assert said.rpartition("; ")[2]


def test_a_misspelt_key_is_recognised(tmp_path: Path) -> None:
    """What is missing may stand there under nearly its name."""
    said = complaint(written(tmp_path, json.dumps({**json.loads(changed("zones", ...)), "zonse": {}})))
    assert 'zones: is missing; did you mean "zonse"?' in said


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("missing.json", "there is no such file", id="missing"),
        pytest.param("", "is a directory", id="directory"),
    ],
)
def test_what_is_no_file_is_told(tmp_path: Path, name: str, expected: str) -> None:
    """A path that cannot be read is named."""
    said = complaint(tmp_path / name)
    assert str(tmp_path) in said
    assert expected in said


def test_a_file_that_is_too_big_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not filled with what nobody can replay."""
    monkeypatch.setattr(reading, "LARGEST_FILE", 10)
    assert "is larger than" in complaint(written(tmp_path, json.dumps(GOOD)))


def test_a_trace_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A folder that is not there is a line, no traceback."""
    trace = read_trace(written(tmp_path, json.dumps(GOOD)))
    with pytest.raises(TraceProblem, match="cannot be written"):
        write_trace(trace, tmp_path / "nowhere" / "trace.json")
