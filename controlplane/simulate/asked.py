"""What is asked of a replay, in the words and numbers of a command line; what makes no sense is told in a line."""

from collections.abc import Sequence
from math import isfinite

from controlplane.api.problems import Problem, SpecError, did_you_mean
from controlplane.model.offering import Capacity
from controlplane.model.service import Policy, Preset
from controlplane.simulate.market import Scoring
from controlplane.simulate.service import REPLAYED

LONGEST = 86_400.0


def scoring_of(loop: float, answer: float, ready: float) -> Scoring:
    """Give the delays of the world from seconds. Raises SpecError."""
    for name, value, least in (("--loop", loop, 1.0), ("--answer", answer, 0.0), ("--ready", ready, 0.0)):
        if not (isfinite(value) and least <= value <= LONGEST):
            raise wrong(name, f"is {value:g} seconds", f"use {least:g} to {LONGEST:g}")
    if ready < answer:
        raise wrong("--ready", f"{ready:g} s is before the answer ({answer:g} s)", "lower --answer or raise --ready")
    return Scoring(answer_after=answer, ready_after=ready, step=loop)


def policy_of(preset: str | None, missing_replica_cost: float | None) -> Policy | None:
    """Give what is valued; None when nothing was said. Raises SpecError."""
    cost = missing_replica_cost
    if cost is not None and not (isfinite(cost) and 0 < cost <= 1e6):
        raise wrong("--missing-replica-cost", f"is {cost:g} USD an hour", "use more than 0, at most 1000000")
    if preset is None and cost is None:
        return None
    return Policy(preset=None if preset is None else Preset(preset), missing_replica_cost=cost)


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
