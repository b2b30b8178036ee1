"""What each offering is worth, in words: its price, what losing it would cost, and what one more would save."""

from collections.abc import Mapping
from functools import lru_cache

from controlplane.decide.allocation import Pick
from controlplane.decide.candidates import Candidate
from controlplane.decide.valued.stand import Stand

BRIDGES = "only bridges what Spot does not give"
DEARER = "dearer than on-demand, so not asked for"


class Telling:
    """Weighs offerings for the verdicts, as the service will stand once this pass has done what it decided."""

    def __init__(self, stand: Stand, picks: Mapping[str, Pick]) -> None:
        self._offers, self._terms, self._all = stand.offers, stand.terms, stand.aims
        for key, pick in picks.items():
            if key in stand.offers.aims:
                self._all = self._all.with_more(key, pick.replicas)
        self._cost = self._all.cost()

    def weigh(self, candidate: Candidate) -> tuple[float, str]:
        """Give what one more makes the whole dearer by in USD an hour, or the last one held does; and words for it."""
        key = candidate.key
        line = self._offers.lines[key]
        losses = round(self._terms.missing * self._terms.recovery * line.hazard, 3)
        if key in self._offers.bridges:
            return round(line.price, 3), _told(candidate.price, losses, BRIDGES)
        held = self._all.count(key) > 0
        if not held and key not in self._offers.aims:
            return round(line.price + losses, 3), _told(candidate.price, losses, DEARER)
        if held:
            more = round(self._cost - self._all.with_more(key, -1).cost(), 3)
        else:
            more = round(self._all.cost_with(key) - self._cost, 3)
        return more, _told(candidate.price, losses, _difference(more, held=held))


@lru_cache(maxsize=8192)
def _told(price: float | None, losses: float, rest: str) -> str:
    costs = "price unknown" if price is None else f"${price:.2f}/h"
    risk = f" and ${losses:.2f}/h for losses to be expected" if losses else ""
    return f"{costs}{risk}; {rest}"


@lru_cache(maxsize=8192)
def _difference(more: float, *, held: bool) -> str:
    what = "the last one" if held else "one more"
    if more <= 0:
        return f"{what} {'saves' if held else 'would save'} ${-more:.2f}/h more than it costs"
    return f"{what} {'costs' if held else 'would cost'} ${more:.2f}/h more than it saves"
