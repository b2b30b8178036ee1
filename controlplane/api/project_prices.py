"""Prices of what a project consists of apart from GPUs: a table that is part of the configuration, as the GPUs' is.

Google Cloud changes its prices and its free tiers; a number in the code would be wrong one day without anybody seeing
it. Here each stands with its source, and a user can hand in a table of their own.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.api.loading import Document, load_documents
from controlplane.api.problems import Problem, SpecError, did_you_mean

DEFAULT_TABLE = Path(__file__).with_name("project_prices.yaml")
KEYS = (
    "cluster", "forwarding-rule", "wired-pod", "idle-address", "image-gib", "build-minute", "job-vcpu-second",
    "job-gib-second", "trigger",
)  # fmt: skip
_PERIODS = ("hour", "month", "unit")
_FIELDS = ("what", "usd", "per", "free", "source")


@dataclass(frozen=True, slots=True)
class Price:
    """A price in USD. per: `hour` and `month` mean that it is charged all the time, `unit` that it is charged once.

    free: units a month that cost nothing, once for a billing account.
    """

    what: str
    usd: float
    per: str
    free: float
    source: str


ProjectPrices = Mapping[str, Price]


def load_project_prices(path: Path = DEFAULT_TABLE) -> ProjectPrices:
    """Read a table. Raises SpecError with file, line and remedy for everything that is wrong."""
    document = load_documents(path)[0]
    problems: list[Problem] = []
    prices: dict[str, Price] = {}
    for key, row in document.object.items():
        if key not in KEYS:
            problems.append(_at(document, str(key), "is not a price", did_you_mean(str(key), KEYS, "remove it")))
        elif wrong := _wrong(row):
            problems.append(_at(document, ".".join(filter(None, (key, wrong[0]))), wrong[1], wrong[2]))
        else:
            prices[key] = Price(
                str(row["what"]), float(row["usd"]), str(row["per"]), float(row.get("free", 0)), str(row["source"])
            )
    missing = [key for key in KEYS if key not in document.object]
    problems += [_at(document, key, "is missing", f"copy it from {DEFAULT_TABLE.name}") for key in missing]
    if problems:
        raise SpecError(problems)
    return prices


def _wrong(row: Any) -> tuple[str, str, str] | None:
    if not isinstance(row, Mapping):
        return "", "is not a mapping", f"write {', '.join(_FIELDS)} below it"
    for field in ("what", "source"):
        if not isinstance(row.get(field), str):
            return field, "is missing", "say what it is" if field == "what" else "say where the price comes from"
    if row.get("per") not in _PERIODS:
        return "per", f"{row.get('per')!r} is no period", f"use one of {', '.join(_PERIODS)}"
    for field in ("usd", "free"):
        value = row.get(field, 0 if field == "free" else None)
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not number or value < 0:
            return field, f"{value!r} is not a number of zero or more", "correct it"
    return None


def _at(document: Document, path: str, what: str, remedy: str) -> Problem:
    return Problem(path, what, remedy, document.place(path))
