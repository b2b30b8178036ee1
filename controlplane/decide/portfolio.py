"""What a set of replicas costs an hour, all in: what is paid for it, and what its losses are to be expected to cost.

A price alone buys what is gone in ten minutes; spreading alone buys what is dear. Both are weighed in money here: a
replica that is missing costs what the user says (`spec.policy`), and how often one will be missing follows from the
hazard of everything held, from what stands together and goes together, and from how many spares there are. All choices
of `controlplane.decide.valued` are differences of this one number, so that they cannot contradict each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.decide.learning import TOGETHER

INTERRUPTION = 2 / 3
"""What it costs that anything is missing at all, in missing replicas: fewer than wanted is an outage to some users."""


@dataclass(frozen=True, slots=True)
class Line:
    """An offering as something to hold: USD an hour for one replica, and losses an hour."""

    key: str
    region: str
    price: float
    hazard: float


@dataclass(frozen=True, slots=True)
class Terms:
    """What is wanted, and what it is worth.

    missing: USD for every hour in which one replica is missing. recovery: hours from a loss to its replacement serving.
    """

    wanted: int
    missing: float
    recovery: float


class Portfolio:
    """Replicas by offering, and what they cost an hour. Changing one gives a new one."""

    __slots__ = ("_counts", "_lines", "_regions", "_terms", "_with_a_stranger", "total")

    def __init__(self, terms: Terms, lines: Mapping[str, Line], counts: Mapping[str, int]) -> None:
        self._terms = terms
        self._lines = lines
        self._counts = {key: count for key, count in counts.items() if count > 0}
        self._regions: dict[str, int] = {}
        for key, count in self._counts.items():
            region = lines[key].region
            self._regions[region] = self._regions.get(region, 0) + count
        self._with_a_stranger: float | None = None
        self.total = sum(self._counts.values())

    def count(self, key: str) -> int:
        """Give how many replicas an offering holds."""
        return self._counts.get(key, 0)

    def with_more(self, key: str, more: int = 1) -> "Portfolio":
        """Give the same with more replicas of one offering, or fewer."""
        return Portfolio(self._terms, self._lines, {**self._counts, key: self.count(key) + more})

    def cost(self) -> float:
        """Give USD an hour: what is paid, what is missing, and what losses are to be expected to cost."""
        return self._cost(self.total)

    def cost_with(self, key: str) -> float:
        """Give the cost with one replica more of an offering; quick where its region holds nothing yet."""
        line = self._lines[key]
        if line.region in self._regions:
            return self.with_more(key).cost()
        if self._with_a_stranger is None:
            self._with_a_stranger = self._cost(self.total + 1)
        exposed = _pain(1 - max(0, self.total + 1 - self._terms.wanted))
        return self._with_a_stranger + line.price + self._worth(line.hazard * exposed)

    def at_stake(self) -> float:
        """Give what losses are to be expected to cost an hour: no spare can save more."""
        return self._worth(self._risk(max(0, self.total - self._terms.wanted)))

    def _cost(self, total: int) -> float:
        """Give the cost as if so many replicas were held, those beyond what is counted for nothing and for ever."""
        wanted = self._terms.wanted
        paid = sum(count * self._lines[key].price for key, count in self._counts.items())
        return paid + self._terms.missing * _pain(wanted - total) + self._worth(self._risk(max(0, total - wanted)))

    def _worth(self, risk: float) -> float:
        return self._terms.missing * self._terms.recovery * risk

    def _risk(self, spares: int) -> float:
        """Give losses an hour, each times the replicas that it would leave missing."""
        total = 0.0
        for key, count in self._counts.items():
            line = self._lines[key]
            alone, along = _pain(count - spares), _pain(self._regions[line.region] - spares)
            total += line.hazard * ((1 - TOGETHER) * alone + TOGETHER * along)
        return total


def _pain(missing: int) -> float:
    return missing + INTERRUPTION if missing > 0 else 0.0
