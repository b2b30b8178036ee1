"""What is asked of a replay, in the words and numbers of a command line; what makes no sense is told in a line."""

from collections.abc import Sequence
from math import isfinite

from controlplane.api.problems import Problem, SpecError, did_you_mean
from controlplane.model.offering import Capacity
from controlplane.model.service import Policy, Preset
from controlplane.simulate.market import Scoring
from controlplane.simulate.service import REPLAYED

LONGEST = 86_400.0
MOST_AT_ONCE = 20
"""How many loops, or worths of a missing replica, are replayed in one call at most."""


def scorings_of(loops: str, answer: float, ready: float) -> list[Scoring]:
    """Give the delays of the world from seconds, one world for each loop of `30,60,300`. Raises SpecError."""
    steps = numbers_of("--loop", loops)
    for name, value, least in (*(("--loop", step, 1.0) for step in steps), ("--answer", answer, 0.0)):
        _check_seconds(name, value, least)
    _check_seconds("--ready", ready, 0.0)
    if ready < answer:
        raise wrong("--ready", f"{ready:g} s is before the answer ({answer:g} s)", "lower --answer or raise --ready")
    return [Scoring(answer_after=answer, ready_after=ready, step=step) for step in steps]


def _check_seconds(name: str, value: float, least: float) -> None:
    if not (isfinite(value) and least <= value <= LONGEST):
        raise wrong(name, f"is {value:g} seconds", f"use {least:g} to {LONGEST:g}")


def worths_of(text: str | None) -> list[float]:
    """Read what a missing replica costs, USD an hour, one or several as in `5,20`. Raises SpecError."""
    costs = [] if text is None else numbers_of("--missing-replica-cost", text)
    for cost in costs:
        if not (isfinite(cost) and 0 < cost <= 1e6):
            raise wrong("--missing-replica-cost", f"is {cost:g} USD an hour", "use more than 0, at most 1000000")
    return costs


def numbers_of(option: str, text: str) -> list[float]:
    """Read numbers with commas between, each once and in that order. Raises SpecError."""
    found: list[float] = []
    for word in text.split(","):
        try:
            found.append(float(word))
        except ValueError:
            raise wrong(option, f'"{word.strip()}" is not a number', "write 30, or several as in 30,60,300") from None
    if len(found) > MOST_AT_ONCE:
        raise wrong(option, f"names {len(found)} numbers", f"name {MOST_AT_ONCE} at most")
    return list(dict.fromkeys(found))


def policy_of(preset: str | None, missing_replica_cost: float | None) -> Policy | None:
    """Give what is valued; None when nothing was said."""
    if preset is None and missing_replica_cost is None:
        return None
    return Policy(preset=None if preset is None else Preset(preset), missing_replica_cost=missing_replica_cost)


def capacity_types_of(text: str) -> tuple[Capacity, ...]:
    """Read `spot,on-demand`. Raises SpecError."""
    known = {one.value: one for one in REPLAYED}
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            advice = did_you_mean(name, known, f"use {' or '.join(known)}, or both with a comma")
            raise wrong("--capacity-types", f'"{name}" is not replayed', advice)
    return tuple(known[name] for name in dict.fromkeys(names))


def names_of(policies: Sequence[str]) -> list[str]:
    """Read names of policies, given one by one or with commas."""
    return [name.strip() for one in policies for name in one.split(",")]


def wrong(where: str, what: str, remedy: str) -> SpecError:
    """Give the error of an option."""
    return SpecError([Problem(where, what, remedy)])
