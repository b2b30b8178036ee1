"""All GPUBatches in one pass, after the services: read, decide, write the intent, act, tell.

They come second so that what services ask for in this very pass is known: where a service hunts, a batch gives way. The
order of writes is that of `services.py`: the status with the memory of what is about to be tried goes first, under the
resourceVersion that was read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from controlplane.clock import Clock
from controlplane.engine.fence import Fence
from controlplane.engine.intake import Intake
from controlplane.engine.jobs import JobExecutor
from controlplane.engine.lease import FenceLost
from controlplane.engine.observation import Prices, observation_of
from controlplane.engine.outcome import BatchReport, ExitCode, Looked, Result
from controlplane.engine.ports import AdviceSource, BatchMaker, Json, ParametersSource
from controlplane.engine.record import Book, Record, left_alone
from controlplane.engine.report import FAULT, action_events, condition_events, event
from controlplane.engine.turns import behind
from controlplane.engine.view import View
from controlplane.engine.wirings import Wirings
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.sanitise import scrub
from controlplane.model.batch import BatchMemory, BatchSpec, ReleaseBatch
from controlplane.model.decision import Decision
from controlplane.model.facts import Unknown, UnknownReason, map_fact
from controlplane.model.memory import Memory

_UNCOUNTED = "spec.pictures is missing and nothing here can count them; set it to how many the file asks for"
_AGAIN = "what was rendered is safe in the output: delete the GPUBatch and create it again to go on"
MOST_SHARDS = 10_000
"""Every Job names every shard that is left in one argument, which Linux bounds at 128 KiB."""
_NO_FILES = "this installation cannot read parameters files; install gpu-hunter[batches]"


@dataclass(frozen=True, slots=True)
class Judged:
    """A batch after deciding, before acting."""

    object: Json
    spec: BatchSpec
    decision: Any
    status: Json
    previous: Json


@dataclass(frozen=True, slots=True)
class Outside:
    """What is known beside the view: prices, advice, and who counts the pictures of a file."""

    wirings: Wirings
    prices: Prices
    advice: AdviceSource | None = None
    files: ParametersSource | None = None


class BatchPass:
    """The batches of one pass."""

    def __init__(self, config: "Config", fence: Fence, view: View, outside: Outside, clock: Clock) -> None:
        self._config, self._fence, self._view, self._clock = config, fence, view, clock
        self._outside = outside
        self._executor = JobExecutor(fence, clock)
        self._record = Record(config, fence, clock, "batch")
        self._behind: Mapping[str, str] = {}
        self._log = structlog.get_logger("batch")

    def run(self, batches: Iterable[Json], services: Iterable[Decision], *, dry_run: bool) -> tuple[BatchReport, ...]:
        """Work on every batch; what goes wrong with one concerns no other."""
        memories, known = [decision.memory for decision in services], tuple(batches)
        self._behind = behind(known)
        return tuple(self._one(batch, memories, dry_run=dry_run) for batch in known)

    def _one(self, batch: Json, services: list[Memory], *, dry_run: bool) -> BatchReport:
        key = f"{batch['metadata'].get('namespace')}/{batch['metadata'].get('name')}"
        with structlog.contextvars.bound_contextvars(batch=key):
            try:
                if self._fence.left <= 0:
                    return BatchReport(key, ExitCode.CUT_OFF, problem="the pass is out of time")
                spec = _read(batch)
                if isinstance(spec, BatchSpec) and spec.inbox:
                    return self._inbox(batch, spec, dry_run=dry_run)
                judged = spec if isinstance(spec, str) else self._judge(batch, spec, services)
                if isinstance(judged, str):
                    if not dry_run and not left_alone(batch):
                        self._record.refuse(batch, judged)
                    return BatchReport(key, ExitCode.BAD_CONFIGURATION, problem=judged)
                report = BatchReport(key, _exit_code(judged), spec=judged.spec, decision=judged.decision)
                if dry_run or (judged.spec.paused and not judged.spec.deleting):
                    return report
                return self._carry_out(judged, report)
            except FenceLost as error:
                return BatchReport(key, ExitCode.CUT_OFF, problem=str(error))
            except GatewayError as error:
                return BatchReport(key, ExitCode.CUT_OFF, problem=f"{error.message}; {error.hint}")
            except Exception:  # noqa: BLE001 - one batch must not keep the others from being rendered
                self._log.exception("batch failed")
                return BatchReport(key, ExitCode.BUG, problem=FAULT)

    def _inbox(self, batch: Json, spec: BatchSpec, *, dry_run: bool) -> BatchReport:
        report = BatchReport(spec.key, ExitCode.OK, spec=spec)
        if spec.deleting and not dry_run:
            self._record.release(batch)
        if spec.paused or spec.deleting:
            return report
        if self._outside.files is None:
            return replace(report, exit_code=ExitCode.BAD_CONFIGURATION, problem=_NO_FILES)
        looked = Intake(self._outside.files, self._config, self._fence).look(spec, batch, write=not dry_run)
        if not dry_run:
            self._tell(batch, spec, looked)
        return replace(report, looked=looked)

    def _tell(self, batch: Json, spec: BatchSpec, looked: Looked) -> None:
        from controlplane import api

        status = api.inbox_status_of(spec, batch.get("status") or {}, looked.known + len(looked.made), looked.rejected)
        if status != batch.get("status"):
            self._fence.check()
            self._config.write_status(batch, status)
        now = self._clock.now()
        made = [event(batch, "Taken", f"created GPUBatch {name}", now, warning=False) for name in looked.made]
        refused = [
            event(batch, "Rejected", f"{name} is wrong; rejected/{name}.txt says why", now, warning=True)
            for name in looked.rejected
        ]
        self._record.emit([*made, *refused])

    def _judge(self, batch: Json, spec: BatchSpec, services: list[Memory]) -> Judged | str:
        from controlplane import api
        from controlplane.decide.batches import Seen, ahead_of, as_service, decide_batch

        previous = dict(batch.get("status") or {})
        try:
            # Taking it down needs no memory; without that, one that cannot be read would keep it for ever.
            memory = BatchMemory() if spec.deleting else api.batch_memory_from_status(previous)
        except api.MemoryUnreadable as error:
            return scrub(f"{error}; {_AGAIN}")
        counted = self._counted(spec, memory)
        if isinstance(counted, str):
            return counted
        spec, memory = counted
        held = [placement.offering for placement in memory.hunt.placements]
        observation = observation_of(
            as_service(spec, 1),
            self._view,
            self._outside.wirings,
            self._outside.prices,
            self._outside.advice,
            remembered=held,
        )
        key, now = (spec.namespace, spec.name), self._clock.now()
        nothing = Unknown(UnknownReason.NOT_ASKED, now)
        jobs = {
            ref: map_fact(self._view.jobs.get(ref, nothing), lambda found: found.get(key, ()))
            for ref in self._view.members
        }
        seen = Seen(observation, jobs, now, ahead_of(services), self._behind.get(spec.key, ""))
        decision = decide_batch(spec, seen, memory)
        status = api.batch_status_of(
            spec,
            decision.memory,
            decision.conditions,
            previous,
            now,
            counts=decision.counts,
            refusals=decision.histogram,
        )
        return Judged(batch, spec, decision, status, previous)

    def _counted(self, spec: BatchSpec, memory: BatchMemory) -> tuple[BatchSpec, BatchMemory] | str:
        """Complete what the user left out: how many pictures there are, counted once and then remembered."""
        if spec.pictures:
            return _bounded(spec, memory)
        if not memory.pictures and not spec.deleting:
            if self._outside.files is None:
                return _UNCOUNTED
            found = self._outside.files.pictures(spec.parameters)
            if isinstance(found, str):
                return found
            memory = replace(memory, pictures=found)
        return _bounded(replace(spec, pictures=memory.pictures), memory)

    def _carry_out(self, judged: Judged, report: BatchReport) -> BatchReport:
        batch, written = self._intend(judged)
        results = self._executor.run(judged.spec, judged.decision.plan, self._view.handles)
        self._learn(batch, judged, results)
        self._record.log(results)
        now = self._clock.now()
        if written:
            self._record.emit(
                [*condition_events(judged.object, judged.status, now), *action_events(batch, results, now)]
            )
        if any(isinstance(action, ReleaseBatch) for action in judged.decision.plan):
            self._record.release(batch)
        return replace(report, results=results, status_written=written)

    def _intend(self, judged: Judged) -> tuple[Json, bool]:
        """Write finalizer and status before anything is done. Gives the GPUBatch as it stands then."""
        from controlplane import api

        batch = judged.object if judged.spec.deleting else self._record.hold(judged.object)
        going = any(isinstance(action, ReleaseBatch) for action in judged.decision.plan)
        if going or not (judged.decision.plan or api.batch_worth_writing(judged.status, judged.previous)):
            return batch, False
        return self._record.write(batch, judged.status), True

    def _learn(self, batch: Json, judged: Judged, results: tuple[Result, ...]) -> None:
        from controlplane import api
        from controlplane.decide.batches import as_service

        before = judged.decision.memory
        hunt = self._record.learnt(as_service(judged.spec, 1), before.hunt, results)
        if hunt != before.hunt:
            self._record.learn(batch, judged.status, api.batch_memory_to_status(replace(before, hunt=hunt)))


class Config(Book, BatchMaker, Protocol):
    """What is needed of the config cluster."""


def _read(batch: Json) -> BatchSpec | str:
    """Read a GPUBatch; a text with all that is wrong with it."""
    from controlplane import api

    try:
        return api.parse_batch(batch)
    except api.SpecError as error:
        return scrub(str(error))


def _bounded(spec: BatchSpec, memory: BatchMemory) -> tuple[BatchSpec, BatchMemory] | str:
    """Refuse more shards than a Job's command line and annotations can hold."""
    if spec.shards > MOST_SHARDS and not spec.deleting:
        least = -(-spec.pictures // MOST_SHARDS)
        return f"spec.shardSize: {spec.shards:,} shards are more than {MOST_SHARDS:,}; set it to {least} or more"
    return spec, memory


def _exit_code(judged: Judged) -> ExitCode:
    decision, spec = judged.decision, judged.spec
    if spec.deleting or spec.paused or decision.memory.phase.over:
        return ExitCode.OK
    if not decision.feasible:
        return ExitCode.NOTHING_FEASIBLE
    counts = decision.counts
    on_its_way = counts.serving + counts.warming + counts.hunting >= min(1, counts.wanted)
    return ExitCode.OK if on_its_way else ExitCode.BELOW_TARGET
