"""Trace files: JSON, checked to the last number before anything is replayed.

    {"name": "...", "accelerator": "V100", "interval_seconds": 300, "on_demand_usd_per_hour": 3.06,
     "zones": {"us-east-2a": {"region": "us-east-2", "spot_usd_per_hour": 0.93, "capacity": [0, 4, 4, 1]}}}

`source`, `note` and a zone's own `accelerator` may be added; other keys are left alone. A replay of wrong numbers looks
just like one of right numbers, so nothing is guessed or mended: the first thing that is wrong is told in one line.
"""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from controlplane.api.problems import Problem, SpecError, did_you_mean
from controlplane.simulate.trace import LARGEST_AMOUNT, MOST_HELD, Trace, Zone

LARGEST_FILE = 64 * 1024 * 1024
_KNOWN = ("name", "accelerator", "interval_seconds", "on_demand_usd_per_hour", "zones", "source", "note")
_KNOWN_OF_ZONE = ("region", "spot_usd_per_hour", "capacity", "accelerator")


class TraceProblem(SpecError):  # noqa: N818 - a Problem of a trace, as `api` calls what can be mended
    """A trace file that cannot be used, in one line: file, position, what is wrong, what to do."""

    def __init__(self, file: Path | str, where: str, what: str, remedy: str) -> None:
        super().__init__([Problem(where, what, remedy, str(file))])


class _TwiceError(ValueError):
    """A key that is written twice in one object."""


def read_trace(path: Path) -> Trace:
    """Read a trace. Raises TraceProblem for whatever is wrong with the file or in it."""
    data = _parse(path, _text(path))
    if not isinstance(data, dict):
        raise TraceProblem(path, "", "is not a JSON object", "write name, interval_seconds, zones and so on into it")
    return _Reader(path).trace(data)


def write_trace(trace: Trace, path: Path) -> None:
    """Write a trace as `read_trace` reads it. Raises TraceProblem when the file cannot be written."""
    zones: dict[str, Any] = {}
    for zone in trace.zones:
        entry = {"region": zone.region, "spot_usd_per_hour": zone.spot_price}
        own = {} if zone.accelerator == trace.accelerator else {"accelerator": zone.accelerator}
        zones[zone.name] = {**entry, **own, "capacity": list(zone.capacity)}
    data = {
        "name": trace.name,
        "source": trace.source,
        "accelerator": trace.accelerator,
        "interval_seconds": trace.interval_seconds,
        "on_demand_usd_per_hour": trace.on_demand_price,
        "note": trace.note,
        "zones": zones,
    }
    try:
        path.write_text(json.dumps(data, separators=(",", ":")) + "\n", encoding="utf-8")
    except OSError as error:
        what = f"cannot be written ({error.strerror})"
        raise TraceProblem(path, "", what, "name a file in a folder that exists and may be written to") from error


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise TraceProblem(path, "", f"is larger than {LARGEST_FILE >> 20} MiB", "cut it into shorter traces")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise TraceProblem(path, "", "there is no such file", "check the path") from error
    except IsADirectoryError as error:
        raise TraceProblem(path, "", "is a directory", "name a file") from error
    except UnicodeDecodeError as error:
        raise TraceProblem(path, "", "is not UTF-8 text", "save it as UTF-8") from error
    except OSError as error:
        raise TraceProblem(path, "", f"cannot be read ({error.strerror})", "check its permissions") from error


def _parse(path: Path, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}:{error.colno}"
        raise TraceProblem(place, "", f"is not JSON ({error.msg})", "correct it there") from error
    except _TwiceError as error:
        raise TraceProblem(_line_of(path, text, str(error)), str(error), "is written twice", "keep one") from error
    except RecursionError as error:
        raise TraceProblem(path, "", "is nested too deeply", "write it as the documentation shows") from error
    except ValueError as error:  # a number of more digits than Python converts
        raise TraceProblem(path, "", f"cannot be read ({error})", "write numbers of a sensible size") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(key)
            seen.add(key)
    return found


def _line_of(path: Path, text: str, key: str) -> str:
    """Give file:line of the second time a key is written; of a key that other objects have too only the file."""
    written = json.dumps(key)
    if text.count(written) != 2:
        return str(path)
    return f"{path}:{text.count(chr(10), 0, text.rfind(written)) + 1}"


class _Reader:
    """Checks the parts of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def trace(self, data: Mapping[str, Any]) -> Trace:
        accelerator = self._name(data, "accelerator", "", _KNOWN)
        zones = self._need(data, "zones", "", _KNOWN)
        if not isinstance(zones, dict):
            raise self._wrong("zones", f"is {_kind(zones)}", "write an object from zone names to zones")
        if not zones:
            raise self._wrong("zones", "there are no zones", "write at least one")
        return Trace(
            name=self._name(data, "name", "", _KNOWN),
            accelerator=accelerator,
            interval_seconds=self._positive(data, "interval_seconds", "", _KNOWN),
            on_demand_price=self._positive(data, "on_demand_usd_per_hour", "", _KNOWN),
            zones=self._same_length([self._zone(name, zone, accelerator) for name, zone in zones.items()]),
            source=self._optional(data, "source"),
            note=self._optional(data, "note"),
        )

    def _zone(self, name: str, zone: Any, accelerator: str) -> Zone:
        at = f"zones.{name}"
        if not name.strip():
            raise self._wrong("zones", "a zone has no name", "name it")
        if not isinstance(zone, dict):
            raise self._wrong(at, f"is {_kind(zone)}", "write region, spot_usd_per_hour and capacity")
        if not zone:
            raise self._wrong(at, "is empty", "write region, spot_usd_per_hour and capacity, or leave the zone out")
        return Zone(
            name=name,
            region=self._name(zone, "region", at, _KNOWN_OF_ZONE),
            spot_price=self._positive(zone, "spot_usd_per_hour", at, _KNOWN_OF_ZONE),
            capacity=self._capacity(zone, at),
            accelerator=self._name(zone, "accelerator", at, _KNOWN_OF_ZONE) if "accelerator" in zone else accelerator,
        )

    def _capacity(self, zone: Mapping[str, Any], at: str) -> tuple[int, ...]:
        capacity = self._need(zone, "capacity", at, _KNOWN_OF_ZONE)
        if not isinstance(capacity, list):
            raise self._wrong(f"{at}.capacity", f"is {_kind(capacity)}", "write a list of whole numbers")
        if not capacity:
            raise self._wrong(f"{at}.capacity", "is empty", "write one number for each interval, or leave the zone out")
        for index, count in enumerate(capacity):
            if type(count) is not int:
                place = f"{at}.capacity[{index}]"
                raise self._wrong(place, f"is {_kind(count)}", "write a whole number of replicas, 0 or more")
            if not 0 <= count <= MOST_HELD:
                what = f"is {count}" if count < 0 else f"is more than {MOST_HELD}"
                raise self._wrong(f"{at}.capacity[{index}]", what, f"write a number from 0 to {MOST_HELD}")
        return tuple(capacity)

    def _same_length(self, zones: list[Zone]) -> tuple[Zone, ...]:
        first = zones[0]
        for zone in zones:
            if len(zone.capacity) != len(first.capacity):
                what = f"has {len(zone.capacity)} intervals where zones.{first.name}.capacity has {len(first.capacity)}"
                raise self._wrong(f"zones.{zone.name}.capacity", what, "give every zone as many")
        return tuple(zones)

    def _need(self, data: Mapping[str, Any], key: str, at: str, known: tuple[str, ...]) -> Any:
        if key not in data:
            strangers = [one for one in data if one not in known]
            remedy = did_you_mean(key, strangers, "write it")
            raise self._wrong(f"{at}.{key}".lstrip("."), "is missing", remedy)
        return data[key]

    def _name(self, data: Mapping[str, Any], key: str, at: str, known: tuple[str, ...]) -> str:
        value = self._need(data, key, at, known)
        if not isinstance(value, str) or not value.strip():
            what = "is empty" if isinstance(value, str) else f"is {_kind(value)}"
            raise self._wrong(f"{at}.{key}".lstrip("."), what, "write a text")
        return value

    def _positive(self, data: Mapping[str, Any], key: str, at: str, known: tuple[str, ...]) -> float:
        value = self._need(data, key, at, known)
        place = f"{at}.{key}".lstrip(".")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(place, f"is {_kind(value)}", "write a number above 0")
        if isinstance(value, float) and not isfinite(value):
            raise self._wrong(place, f"is {'NaN' if value != value else 'infinite'}", "write a number above 0")  # noqa: PLR0124
        if not 0 < value <= LARGEST_AMOUNT:
            raise self._wrong(place, f"is {value:.6g}", "write a number above 0, at most 1e9")
        return float(value)

    def _optional(self, data: Mapping[str, Any], key: str) -> str:
        value = data.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(key, f"is {_kind(value)}", "write a text or leave it out")
        return value

    def _wrong(self, where: str, what: str, remedy: str) -> TraceProblem:
        return TraceProblem(self._path, where, what, remedy)


def _kind(value: Any) -> str:
    """Say what a JSON value is, shortly: `"abc"`, `1.5`, `a list`."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
