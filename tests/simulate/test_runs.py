"""Many replays give what each gives alone, in the order they were asked for, wherever they ran."""

from dataclasses import replace

import pytest

from controlplane.api import SpecError
from controlplane.model.offering import Capacity
from controlplane.simulate import registry
from controlplane.simulate.market import Scoring
from controlplane.simulate.registry import KNOWN, chosen
from controlplane.simulate.report import of_trace, together, worst
from controlplane.simulate.runs import Job, run_all
from controlplane.simulate.score import Result
from controlplane.simulate.service import Wish, service_of
from controlplane.simulate.trace import Trace, Zone

FLAKY = (2, 2, 0, 1, 2, 0, 0, 2, 2, 2)
TRACE = Trace(
    "t", "gpu", 600.0, 3.0, (Zone("a", "r", 1.0, FLAKY, "gpu"), Zone("b", "s", 1.2, FLAKY[::-1], "gpu"))
)  # fmt: skip
SPEC = service_of(Wish(replicas=2), TRACE)
BOTH = (Capacity.SPOT, Capacity.ON_DEMAND)


def jobs_for(*names: str, trace: Trace = TRACE, **how: bool) -> list[Job]:
    return [Job(name, SPEC, trace, Scoring(), **how) for name in names]


def test_processes_change_nothing() -> None:
    """The same results in the same order from one process and from two."""
    jobs = jobs_for("spothedge", "on_demand", "round_robin")
    alone = [result for result, _ in run_all(jobs, lambda _: None, processes=1)]
    assert [result.policy for result in alone] == ["spothedge", "on_demand", "round_robin"]
    assert [result for result, _ in run_all(jobs, lambda _: None, processes=2)] == alone


def test_the_order_is_that_of_the_jobs() -> None:
    """Whichever is done first: here the longest comes in the middle and starts first."""
    longer = Trace("long", "gpu", 60_000.0, 3.0, TRACE.zones)
    jobs = [*jobs_for("on_demand"), *jobs_for("spothedge", trace=longer), *jobs_for("round_robin")]
    results = [result.policy for result, _ in run_all(jobs, lambda _: None, processes=2)]
    assert results == ["on_demand", "spothedge", "round_robin"]


def test_what_is_wrong_comes_back_from_another_process_in_one_line() -> None:
    """An error of the input stays one on its way between processes."""
    short = Trace("short", "gpu", 60.0, 3.0, (Zone("a", "r", 1.0, (1, 1), "gpu"),))
    with pytest.raises(SpecError) as caught:
        run_all(jobs_for("on_demand", "round_robin", trace=short), lambda _: None, processes=2)
    assert str(caught.value).startswith("short: lasts 120 s, of which the first 900 s do not count")


def test_a_history_comes_back_when_it_is_asked_for() -> None:
    """It is large, so nobody else gets one."""
    ((_, history),) = run_all(jobs_for("spothedge", keep_history=True), lambda _: None)
    assert history is not None
    assert history.ledger.leases
    assert run_all(jobs_for("spothedge"), lambda _: None)[0][1] is None


def test_progress_only_grows_and_ends_with_all_jobs() -> None:
    """A bar can be drawn from it."""
    told: list[float] = []
    run_all(jobs_for("round_robin", "on_demand"), told.append)
    assert told == sorted(told)
    assert told[-1] == 2
    assert len(told) > 50


@pytest.mark.parametrize("name", [name for name in KNOWN if name != "omniscient"], ids=str)
def test_every_policy_goes_by_the_name_it_is_called_by(name: str) -> None:
    """And replays the same twice."""
    first, second = (run_all(jobs_for(name), lambda _: None)[0][0] for _ in range(2))
    assert first.policy == name
    assert first == second


@pytest.mark.parametrize(
    ("types", "compare", "expected"),
    [
        pytest.param(BOTH, False, ["hunter", "spothedge"], id="two-to-begin-with"),
        pytest.param(BOTH, True, list(KNOWN), id="all"),
        pytest.param((Capacity.ON_DEMAND,), True, ["hunter", "on_demand"], id="no-spot"),
        pytest.param((Capacity.SPOT,), True, [name for name in KNOWN if name != "on_demand"], id="spot-only"),
    ],
)
def test_policies_are_chosen_by_what_they_need(types: tuple[Capacity, ...], compare: bool, expected: list[str]) -> None:
    """One that lives on capacity that is not allowed is left out of a comparison."""
    assert chosen(None, service_of(Wish(2, types), TRACE), compare=compare) == expected


def test_named_policies_are_replayed_in_the_tables_order() -> None:
    """Each once; names nobody knows, and those that cannot be replayed, are told."""
    assert chosen(["round_robin", "hunter", "hunter"], SPEC, compare=False) == ["hunter", "round_robin"]
    with pytest.raises(SpecError, match='did you mean "spothedge"'):
        chosen(["spothedg"], SPEC, compare=False)
    with pytest.raises(SpecError, match="on_demand needs on-demand capacity"):
        chosen(["on_demand"], service_of(Wish(1, (Capacity.SPOT,)), TRACE), compare=False)


def test_spothedge_stays_with_the_services_first_gpu_type() -> None:
    """Of those that the trace has, by the order of the service."""
    mixed = Trace("m", "L4", 600.0, 3.0, (Zone("a", "r", 1.0, (9,) * 9, "T4"), Zone("b", "s", 1.2, (9,) * 9, "L4")))
    spec = service_of(Wish(replicas=2), Trace("l", "L4", 600.0, 3.0, mixed.zones[::-1]))
    _, history = registry.run("spothedge", spec, mixed, Scoring())
    assert history is not None
    assert {lease.zone for lease in history.ledger.leases} == {1, None}


def test_traces_are_taken_together() -> None:
    """Means of shares, sums of what is counted, the longest outage; only of policies that all traces have."""

    def report(*results: Result) -> dict[str, object]:
        return of_trace("f.json", TRACE, SPEC, results)

    one = report(Result("hunter", 1.0, 0.4, 10, 4, 2, 1, 5.0), Result("on_demand", 1.0, 1.0, 0, 0, 0, 0, 0.0))
    two = report(Result("hunter", 0.9, 0.2, 20, 6, 3, 0, 9.0))
    merged = together([one, two])
    assert list(merged) == ["hunter"]
    assert merged["hunter"]["availability"] == pytest.approx(0.95)
    assert merged["hunter"]["cost"] == pytest.approx(0.3)
    counted = ("attempts", "failed_attempts", "preemptions", "moves", "longest_outage_minutes")
    assert [merged["hunter"][key] for key in counted] == [30, 10, 5, 1, 9.0]


def test_the_worst_trace_is_found_for_each_figure() -> None:
    """The one with least availability need not be the one that costs most."""

    def report(name: str, availability: float, cost: float) -> dict[str, object]:
        return of_trace(None, replace(TRACE, name=name), SPEC, [Result("hunter", availability, cost, 0, 0, 0, 0, 0.0)])

    found = worst([report("dear", 1.0, 0.4), report("short", 0.9, 0.2), report("middling", 0.95, 0.3)])
    assert found["hunter"] == {
        "availability": 0.9, "availability_trace": "short", "cost": 0.4, "cost_trace": "dear",
    }  # fmt: skip
