"""A figure: what was measured, what was promised, and whether it holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `limit` is the promise: at most so much, or at least, when `at_least`."""

    name: str
    value: float
    limit: float
    unit: str
    at_least: bool = False
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Say whether the promise is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def as_dict(self) -> dict[str, Any]:
        """Give the figure as plain data."""
        bound = "at least" if self.at_least else "at most"
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "promise": f"{bound} {self.limit:g} {self.unit}".rstrip(),
            "holds": self.holds,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """Something that can be measured by name; it gives one or more figures."""

    name: str
    about: str
    measure: Callable[[], list[Figure]]
