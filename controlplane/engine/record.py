"""What a pass writes of a GPUService or a GPUBatch into the config cluster: finalizer, status and Events.

The order is the same for both kinds: the status with the memory of what is about to be tried goes first, under the
resourceVersion that was read, and what was learnt by trying it goes after.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import structlog

from controlplane.clock import Clock
from controlplane.engine.fence import Fence
from controlplane.engine.lease import FenceLost
from controlplane.engine.outcome import Outcome, Result
from controlplane.engine.ports import EventSink, Json, StatusBook
from controlplane.engine.report import event, unaccepted_status
from controlplane.gateways import errors
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.sanitise import sanitise
from controlplane.model.batch import StartJob
from controlplane.model.decision import ApplyPlacement, StartAutoscaling
from controlplane.model.memory import Memory
from controlplane.model.naming import FINALIZER
from controlplane.model.offering import RefusalClass
from controlplane.model.service import ServiceSpec

_REFUSALS = {
    errors.RejectedSpec.__name__: RefusalClass.REJECTED_SPEC,
    errors.Invalid.__name__: RefusalClass.REJECTED_SPEC,
    errors.QuotaExceeded.__name__: RefusalClass.QUOTA_REGION,
    errors.StockOut.__name__: RefusalClass.STOCK_OUT,
    errors.Forbidden.__name__: RefusalClass.UNAUTHORISED,
    errors.AuthExpired.__name__: RefusalClass.UNAUTHORISED,
}


_TOLD = 240


class Book(StatusBook, EventSink, Protocol):
    """What is needed of the config cluster."""


class Record:
    """Writes about objects of one kind, whose name is for the log."""

    def __init__(self, config: Book, fence: Fence, clock: Clock, kind: str) -> None:
        self._config, self._fence, self._clock = config, fence, clock
        self._log = structlog.get_logger(kind)

    def hold(self, item: Json) -> Json:
        """Set our finalizer, if it is not there. Gives the object as it stands then."""
        finalizers = item["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            return item
        self._fence.check()
        return self._config.set_finalizers(item, [*finalizers, FINALIZER])

    def release(self, item: Json) -> None:
        """Take our finalizer away, if it is there."""
        finalizers = item["metadata"].get("finalizers") or []
        if FINALIZER in finalizers:
            self._fence.check(destructive=True)
            self._config.set_finalizers(item, [name for name in finalizers if name != FINALIZER])

    def write(self, item: Json, status: Mapping[str, Any]) -> Json:
        """Write the status, whose memory tells under which fence. Gives the object as it stands then."""
        self._fence.check()
        return self._config.write_status(item, _fenced(status, self._fence.number))

    def learn(self, item: Json, status: Mapping[str, Any], memory: Json) -> None:
        """Write what was learnt; where that fails, the next pass asks the same once more."""
        try:
            self.write(item, {**status, "memory": memory})
        except (GatewayError, FenceLost) as error:
            self._log.warning("refusal not remembered", detail=str(error))

    def refuse(self, item: Json, problem: str) -> None:
        """Say on the object itself why it is not acted on; what runs for it goes on as it is."""
        now = self._clock.now()
        status = unaccepted_status(item, problem, now)
        if status != item.get("status"):
            self._fence.check()
            self._config.write_status(item, status)
            self.emit([event(item, "SpecRejected", problem, now, warning=True)])

    def log(self, results: Iterable[Result]) -> None:
        """Log what became of each action."""
        for result in results:
            self._log.info("action", action=str(result.action), outcome=result.outcome.value, detail=result.message)

    def emit(self, events: Iterable[Json]) -> None:
        """Write Events."""
        for item in events:
            try:
                self._config.emit(item)
            except GatewayError as error:  # an Event is a courtesy; nothing depends on it
                self._log.warning("event not written", reason=item["reason"], detail=error.message)
                return

    def learnt(self, spec: ServiceSpec, memory: Memory, results: Iterable[Result]) -> Memory:
        """Give the memory with what API servers refused, so that the next pass does not ask the same again."""
        from controlplane.decide.attempts import note_refusal
        from controlplane.decide.autoscaling import note_unscaled

        for result in results:
            # Where something of another's is in the way, the next offering has its turn, not the same one each pass.
            foreign = result.outcome is Outcome.FOREIGN
            refusal = RefusalClass.UNCLASSIFIED if foreign else _REFUSALS.get(result.error)
            if isinstance(result.action, StartAutoscaling) and result.action.begins and refusal is not None:
                why = sanitise("; ".join(part for part in (result.message, result.hint) if part), _TOLD)
                memory = note_unscaled(memory, result.action.offering, why, self._clock.now())
            if isinstance(result.action, ApplyPlacement | StartJob) and refusal is not None:
                memory = note_refusal(
                    spec,
                    memory,
                    result.action.offering,
                    refusal=refusal,
                    message=result.message,
                    now=self._clock.now(),
                )
        return memory


def left_alone(item: Mapping[str, Any]) -> bool:
    """Say whether an object is paused, by what stands there, though the rest of it cannot be read (S10)."""
    spec = item.get("spec")
    paused = isinstance(spec, Mapping) and spec.get("paused") is True
    return paused and "deletionTimestamp" not in item["metadata"]


def _fenced(status: Mapping[str, Any], fence: int) -> Json:
    """Give a status whose memory tells under which fence it was written, so that a later lease rises above it."""
    memory = status.get("memory")
    return {**status, "memory": {**memory, "fence": fence}} if isinstance(memory, Mapping) else dict(status)
