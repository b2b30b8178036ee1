"""Recorded availability: how many GPUs each zone could give at each step of some days.

Two forms are read. JSON: `{"interval_seconds": 600, "zones": {"us-central1-a": {"capacity": [3, 0, ...]}}}` (or the
list itself in place of the object). CSV: a header `seconds,<zone>,<zone>...` and one row for each step.
"""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.localcloud.scenario.reader import Place, ScenarioError


@dataclass(frozen=True, slots=True)
class RecordedTrace:
    """The counts of each zone, one for every `interval` seconds."""

    interval: float
    counts: Mapping[str, tuple[int, ...]]


def read_trace(place: Place) -> RecordedTrace:
    """Read the trace file that a scenario names, relative to the scenario itself."""
    path = (place.path.parent / place.text(what="the path of a trace file")).resolve()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise place.fault(f"the trace file {path} cannot be read", "name a readable .json or .csv file") from None
    if path.suffix not in {".json", ".csv"}:
        raise place.fault(f"'{path.name}' is neither .json nor .csv", "name a .json or .csv file")
    recorded = _from_csv(path, text) if path.suffix == ".csv" else _from_json(path, text)
    steps = {len(counts) for counts in recorded.counts.values()}
    if len(steps) != 1 or steps == {0}:
        raise ScenarioError(f"{path}: zones have different numbers of steps or none; give each the same number")
    return recorded


def _from_json(path: Path, text: str) -> RecordedTrace:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ScenarioError(f"{path}: is not JSON ({error}); correct it there") from None
    root = Place(path, "", document)
    fields = dict(root.entries())
    for name in ("interval_seconds", "zones"):
        if name not in fields:
            raise Place(path, name, None).fault("is missing", "add it")
    counts = {}
    for zone, place in fields["zones"].entries():
        series = place if isinstance(place.value, list) else dict(place.entries()).get("capacity")
        if series is None:
            raise place.fault("has no 'capacity'", "add the list of counts")
        counts[zone] = tuple(step.integer() for step in series.items())
    return RecordedTrace(fields["interval_seconds"].number(positive=True), counts)


def _from_csv(path: Path, text: str) -> RecordedTrace:
    rows = list(csv.reader(io.StringIO(text)))
    if len(rows) < 3 or len(rows[0]) < 2 or rows[0][0] != "seconds":
        raise ScenarioError(f"{path}: needs a header 'seconds,<zone>,...' and at least two rows; write it so")
    try:
        steps = [[int(cell) for cell in row] for row in rows[1:]]
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}; every cell is a whole number") from None
    interval = steps[1][0] - steps[0][0]
    for line, row in enumerate(steps, start=2):
        if len(row) != len(rows[0]) or min(row) < 0 or row[0] != steps[0][0] + (line - 2) * interval or interval <= 0:
            raise ScenarioError(f"{path}: line {line}: needs {len(rows[0])} counts of 0 or more at even steps of time")
    return RecordedTrace(interval, {zone: tuple(r[i] for r in steps) for i, zone in enumerate(rows[0]) if i})
