"""Replaying a trace: time goes from step to step, the policy is asked at each, the market answers in between."""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.api.problems import Problem, SpecError
from controlplane.simulate.ledger import Ledger
from controlplane.simulate.market import Market, Scoring
from controlplane.simulate.policy import Policy
from controlplane.simulate.score import Result, score
from controlplane.simulate.trace import Trace

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class History:
    """A whole replay: what it was asked, what happened (see Ledger) and what it was worth."""

    trace: Trace
    replicas: int
    scoring: Scoring
    ledger: Ledger
    result: Result


def check_length(trace: Trace, scoring: Scoring) -> None:
    """Raise SpecError when nothing of a trace is left to be scored."""
    if trace.duration <= scoring.left_out:
        what = f"lasts {trace.duration:g} s, of which the first {scoring.left_out:g} s do not count"
        raise SpecError([Problem("", what, "take a longer trace", trace.name)])


def replay(trace: Trace, policy: Policy, replicas: int, scoring: Scoring, progress: Progress | None = None) -> History:
    """Replay a trace from its start to its end. `progress` is told the share done (0 to 1), about a hundred times.

    Raises SpecError when the trace is not longer than the time left out.
    """
    check_length(trace, scoring)
    market = Market(trace, scoring)
    steps = int(-(-trace.duration // scoring.step))
    every = max(1, steps // 100)
    for step in range(steps):
        policy.act(market, replicas)
        market.advance(min((step + 1) * scoring.step, trace.duration))
        if progress is not None and step % every == 0:
            progress(step / steps)
    result = score(policy.name, market.ledger, trace, replicas, scoring)
    return History(trace, replicas, scoring, market.ledger, result)
