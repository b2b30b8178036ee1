"""A figure: what was measured, what was promised, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webui_image.clock import Clock

__all__ = ["Bench", "Figure", "Measurement"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `limit` is the promise: at most so much, at least when `at_least`; None: there is none."""

    name: str
    value: float
    limit: float | None = None
    unit: str = ""
    at_least: bool = False
    detail: str = ""
    key: tuple[str, ...] = ()  # where programs find the value in the JSON output; empty: in the list of figures alone

    @property
    def holds(self) -> bool:
        """Say whether the promise is kept."""
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def promise(self) -> str:
        """Give the promise in words; empty where there is none."""
        if self.limit is None:
            return ""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g} {self.unit}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """Give the figure as plain data."""
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "promise": self.promise,
            "holds": self.holds,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement gets: the model to draw with, a scratch directory, the clock, and how thorough to be."""

    model: Path
    scratch: Path
    clock: Clock
    rounds: int = 3
    trained: bool = True  # False: random weights, whose pictures mean nothing


@dataclass(frozen=True, slots=True)
class Measurement:
    """Something that can be measured by name; it gives one or more figures."""

    name: str
    about: str
    measure: Callable[[Bench], list[Figure]]
