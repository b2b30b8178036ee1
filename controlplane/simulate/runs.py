"""Many replays: one after the other, or in as many processes as there are cores when that is worth their start.

The results come back in the order of the jobs and are the same either way: a replay has no chance in it.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from controlplane.api.problems import Problem, SpecError
from controlplane.model.service import ServiceSpec
from controlplane.simulate.market import Scoring
from controlplane.simulate.registry import run
from controlplane.simulate.replay import History
from controlplane.simulate.score import Result
from controlplane.simulate.trace import Trace

WORTH_A_PROCESS = 50_000  # steps of all jobs together; about a second of the fastest policy
Done = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One policy on one trace. Its history is only brought back when it is asked for."""

    policy: str
    spec: ServiceSpec
    trace: Trace
    scoring: Scoring
    keep_history: bool = False

    @property
    def steps(self) -> float:
        """How often the policy will be asked."""
        return self.trace.duration / self.scoring.step


def run_all(jobs: Sequence[Job], done: Done, *, processes: int | None = None) -> list[tuple[Result, History | None]]:
    """Run every job; `done` is told how many have been done, in fractions of a job.

    `processes`: None for as many as there are cores. An interruption ends them all and is raised again.
    """
    count = min(len(jobs), processes or os.cpu_count() or 1)
    if count < 2 or (processes is None and sum(job.steps for job in jobs) < WORTH_A_PROCESS):
        return _in_turn(jobs, done)
    # The longest first, so that no core idles at the end; spawned, because forking a process with threads may hang.
    order = sorted(range(len(jobs)), key=lambda index: -jobs[index].steps)
    others = set(multiprocessing.active_children())
    results: dict[int, tuple[Result, History | None]] = {}
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, mp_context=context, initializer=_live_with_the_parent)
    try:
        futures = {pool.submit(_run_elsewhere, jobs[index]): index for index in order}
        for future in as_completed(futures):
            results[futures[future]] = _whole(future.result())
            done(len(results))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    pool.shutdown()
    return [results[index] for index in range(len(jobs))]


def _in_turn(jobs: Sequence[Job], done: Done) -> list[tuple[Result, History | None]]:
    results = []
    for index, job in enumerate(jobs):

        def share(of_this: float, before: int = index) -> None:
            done(before + of_this)

        results.append(_run(job, share))
        done(index + 1)
    return results


def _run(job: Job, progress: Done | None = None) -> tuple[Result, History | None]:
    result, history = run(job.policy, job.spec, job.trace, job.scoring, progress)
    return result, history if job.keep_history else None


def _run_elsewhere(job: Job) -> tuple[Result, History | None] | Problem:
    """Run a job in another process: what is wrong comes back as a value, for SpecError does not travel whole."""
    try:
        return _run(job)
    except SpecError as error:
        return error.problems[0]


def _whole(outcome: tuple[Result, History | None] | Problem) -> tuple[Result, History | None]:
    if isinstance(outcome, Problem):
        raise SpecError([outcome])
    return outcome


def _live_with_the_parent() -> None:
    """Leave interrupts to the parent, and end when it does: killed, it can tell nobody, and would be waited for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
