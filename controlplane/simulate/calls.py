"""One call of the simulator: every trace with every policy at every loop, as one list of jobs and one report.

All is checked before anything is replayed, so that no mistake costs the minutes before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controlplane.api.problems import SpecError
from controlplane.model.service import ServiceSpec
from controlplane.simulate.asked import wrong
from controlplane.simulate.entrants import Entrant, entrants, tradeoff
from controlplane.simulate.making import Making, made
from controlplane.simulate.market import Scoring
from controlplane.simulate.optimum import missing
from controlplane.simulate.plot import check
from controlplane.simulate.reading import read_trace
from controlplane.simulate.registry import HUNTER, OMNISCIENT, chosen
from controlplane.simulate.replay import History, check_length
from controlplane.simulate.report import Loop, loops_of, of_trace, settings_of, together, tradeoff_of, worst
from controlplane.simulate.runs import Done, Job, run_all
from controlplane.simulate.service import Wish, fitted, read_service, service_of
from controlplane.simulate.service import only as filtered
from controlplane.simulate.trace import Trace

Source = tuple[str | None, Trace]
"""A trace and the file it was read from; None for one that was made."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be replayed on every trace, and drawn. `worths`: what a missing replica costs, where several ask."""

    wish: Wish
    scorings: Sequence[Scoring]
    only: str | None = None
    names: Sequence[str] = ()
    worths: Sequence[float] = ()
    compare: bool = False
    plot: Path | None = None
    tradeoff: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A trace, the service for it, and who is replayed on it."""

    file: str | None
    trace: Trace
    spec: ServiceSpec
    entrants: Sequence[Entrant]


def check_pictures(call: Call, traces: int) -> None:
    """Find what keeps a picture from being drawn. Raises SpecError."""
    for option, path in (("--plot", call.plot), ("--tradeoff", call.tradeoff)):
        if path is None:
            continue
        if len(call.scorings) > 1:
            raise wrong(option, f"draws one loop, {len(call.scorings)} are given", "give one to --loop")
        check(path)
    if call.plot is not None:
        if traces > 1:
            raise wrong("--plot", f"draws one trace, {traces} are given", "give one")
        if list(call.names) == [OMNISCIENT]:
            raise wrong("--plot", f"{OMNISCIENT} has a cost but no history to draw", "name another policy")
        if call.tradeoff is not None or len(call.worths) > 1:
            raise wrong("--plot", "draws one replay of each policy", "call it with one cost and without --tradeoff")
    if call.tradeoff is not None and call.names and HUNTER not in call.names:
        raise wrong("--tradeoff", f"{HUNTER} is not among the policies", f"add --policy {HUNTER}")


def sources_of(files: Sequence[Path], making: Making, service: Path | None) -> list[Source]:
    """Read the traces that are named, or make those that are asked for, like the service. Raises SpecError."""
    if files:
        return [(str(file), read_trace(file)) for file in files]
    return [(None, trace) for trace in made(making, None if service is None else read_service(service))]


def plans_of(sources: Sequence[Source], call: Call, note: Callable[[str], None]) -> list[Plan]:
    """Fit service and traces to each other. Raises SpecError; `note` is told what is left out or looks wrong."""
    lack = missing()
    if lack is not None and OMNISCIENT in call.names:
        raise SpecError([lack])
    if lack is not None and call.compare:
        note(f"left out: {lack}")
    plans = [_planned(file, trace, call, without=OMNISCIENT if lack else None) for file, trace in sources]
    patience, answer = plans[0].spec.timing.attempt_deadline.total_seconds(), call.scorings[0].answer_after
    if patience <= answer:
        note(
            f"spec.timing.attemptDeadline ({patience:g} s) ends each attempt before its answer ({answer:g} s): "
            "raise it, or lower --answer"
        )
    return plans


def _planned(file: str | None, trace: Trace, call: Call, *, without: str | None) -> Plan:
    """Fit one trace and the service to each other; what does not fit is told with the trace's file."""
    spec = service_of(call.wish, trace)
    try:
        check_length(trace, call.scorings[0])
        trace = fitted(trace if call.only is None else filtered(trace, call.only), spec)
    except SpecError as error:
        problems = [replace(problem, source=file or trace.name) for problem in error.problems]
        raise SpecError(problems) from error
    names = [one for one in chosen(list(call.names), spec, compare=call.compare) if one != without]
    if call.tradeoff is None:
        return Plan(file, trace, spec, entrants(names, spec, call.worths))
    return Plan(file, trace, spec, tradeoff(names, spec, trace, call.worths))


def run(plans: Sequence[Plan], call: Call, done: Done) -> tuple[dict[str, Any], list[History]]:
    """Replay everything; give what programs read, and the histories that are to be drawn."""
    drawn = [] if call.plot is None else call.names or [HUNTER]
    jobs = [
        Job(one.policy, one.spec, plan.trace, scoring, keep_history=one.policy in drawn)
        for scoring in call.scorings
        for plan in plans
        for one in plan.entrants
    ]
    ran = iter(run_all(jobs, done))
    histories: list[History] = []
    loops = []
    for scoring in call.scorings:
        reports = []
        for plan in plans:
            outcomes = [(one, *next(ran)) for one in plan.entrants]
            results = [replace(result, policy=one.label) for one, result, _ in outcomes]
            reports.append(of_trace(plan.file, plan.trace, plan.spec, results))
            histories += [history for *_, history in outcomes if history is not None]
        loops.append(Loop(scoring, reports))
    first = loops[0].reports
    data = {"settings": settings_of(call.scorings[0]), "traces": first, "policies": together(first)}
    if len(plans) > 1:
        data["worst"] = worst(first)
    if len(loops) > 1:
        data["loops"] = loops_of(loops)
    if call.tradeoff is not None:
        data["tradeoff"] = tradeoff_of([(plan.trace, plan.entrants) for plan in plans], together(first))
    return data, histories
