"""One service in one pass: read it, decide, write the intent, act, tell.

The order of writes is the point. The status with the memory of what is about to be tried is written first, under the
resourceVersion that was read; only then follows what adds, then the wiring, then what takes away. Whoever crashes in
between leaves a memory of an attempt, never an attempt without memory.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from controlplane.clock import Clock
from controlplane.engine.act import TAKES_AWAY, Executor, Work
from controlplane.engine.fence import Fence
from controlplane.engine.observation import Prices, observation_of
from controlplane.engine.outcome import Outcome, Result, ServiceReport
from controlplane.engine.ports import AdviceSource, ConfigCluster, Json
from controlplane.engine.record import Record
from controlplane.engine.report import action_events, condition_events, exit_code_of
from controlplane.engine.view import View
from controlplane.engine.wirings import Wirings
from controlplane.gateways.sanitise import scrub
from controlplane.model.decision import (
    Action,
    ApplyPlacement,
    Decision,
    RemoveFinalizer,
    StartAutoscaling,
    Suppressed,
    WireIngress,
)
from controlplane.model.facts import Known, Unknown
from controlplane.model.memory import Memory
from controlplane.model.observation import IngressFact, Observation
from controlplane.model.service import IngressKind, ServiceSpec
from controlplane.model.template import spec_template_hash

Decide = Callable[[ServiceSpec, Observation, Memory, datetime], Decision]


@dataclass(frozen=True, slots=True)
class Judged:
    """A service after deciding, before acting."""

    service: Json
    spec: ServiceSpec
    observation: Observation
    decision: Decision
    status: Json
    previous: Json
    safe_mode: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """Reads a GPUService and decides; the same for a plan and for the pass that carries it out (Q2)."""

    decide: Decide
    wirings: Wirings
    prices: Prices
    clock: Clock
    advice: AdviceSource | None = None

    def judge(self, service: Json, view: View) -> Judged | str:
        """Read, observe and decide one service; a text when it cannot be read."""
        from controlplane import api

        try:
            spec = api.parse_service(service)
        except api.SpecError as error:
            return scrub(str(error))  # it quotes values that users wrote, whatever they wrote
        previous = dict(service.get("status") or {})
        safe_mode = "" if "memory" in previous or "observedGeneration" not in previous else "it is gone"
        try:
            memory = api.memory_from_status(previous)
        except api.MemoryUnreadable as error:
            memory, safe_mode = Memory(), scrub(str(error))
        held = [placement.offering for placement in memory.placements]
        observation = observation_of(spec, view, self.wirings, self.prices, self.advice, remembered=held)
        now = self.clock.now()
        decision = self.decide(spec, observation, memory, now)
        if safe_mode:
            decision = additive_only(decision, f"the memory in the status is not readable: {safe_mode}")
            if spec.max_hourly_cost is not None and any(
                isinstance(m.workloads, Unknown) for m in observation.members.values()
            ):
                # What the silent ones hold was remembered and is not any more, so nobody knows what is left of the cap.
                # The memory stays as it is: a new one would say that they hold nothing.
                return Judged(service, spec, observation, spending_nothing(decision), previous, previous, safe_mode)
            previous.pop("memory", None)
        status = api.status_of(spec, decision, previous, now, address=_address(observation, decision, previous))
        return Judged(service, spec, observation, decision, status, previous, safe_mode)


class ServicePass:
    """Carries out what was decided for the services of one pass."""

    def __init__(self, config: ConfigCluster, executor: Executor, fence: Fence, view: View, clock: Clock) -> None:
        self._executor, self._view, self._clock = executor, view, clock
        self._record = Record(config, fence, clock, "service")

    def carry_out(self, judged: Judged, report: ServiceReport) -> ServiceReport:
        """Write the intent, act, and tell."""
        service, written = self._intend(judged)
        results = self._executor.run(
            Work(
                judged.spec,
                service,
                judged.decision.plan,
                self._view.handles,
                up_to_date=_up_to_date(judged),
                visible=frozenset(ref for ref, fact in self._view.members.items() if isinstance(fact, Known)),
                wired_versions=_wired_versions(judged.observation),
            )
        )
        self._learn(service, judged, results)
        self._record.log(results)
        gone = any(isinstance(r.action, RemoveFinalizer) and r.outcome is Outcome.DONE for r in results)
        now = self._clock.now()
        changes = condition_events(judged.service, judged.status, now) if written and not gone else []
        self._record.emit([*changes, *action_events(service, results, now)])
        code = exit_code_of(judged.spec, judged.decision, results)
        return replace(report, exit_code=code, results=results, status_written=written)

    def refuse(self, service: Json, problem: str) -> None:
        """Say on the object itself why it is not acted on; what runs for it goes on as it is."""
        self._record.refuse(service, problem)

    def _intend(self, judged: Judged) -> tuple[Json, bool]:
        """Write finalizer and status before anything is done. Gives the GPUService as it stands then."""
        from controlplane import api

        service = judged.service if judged.spec.deleting else self._record.hold(judged.service)
        going = any(isinstance(action, RemoveFinalizer) for action in judged.decision.plan)
        # Whoever acts writes, though nothing else be new: the write proves that what was decided on is not an old copy.
        if going or not (judged.decision.plan or api.worth_writing(judged.status, judged.previous)):
            return service, False
        return self._record.write(service, judged.status), True

    def _learn(self, service: Json, judged: Judged, results: tuple[Result, ...]) -> None:
        from controlplane import api

        memory = self._record.learnt(judged.spec, judged.decision.memory, results)
        if memory != judged.decision.memory:
            self._record.learn(service, judged.status, api.memory_to_status(memory))


def additive_only(decision: Decision, why: str) -> Decision:
    """Take everything out of a plan that takes something away: it would rest on a memory that is not there (S2)."""
    kept: list[Action] = []
    held: list[Action] = []
    for action in decision.plan:
        destructive = isinstance(action, TAKES_AWAY) or (isinstance(action, WireIngress) and bool(action.removes))
        (held if destructive else kept).append(action)
    suppressed = tuple(Suppressed(action, "S2", why) for action in held)
    return replace(decision, plan=tuple(kept), suppressed=(*decision.suppressed, *suppressed))


def spending_nothing(decision: Decision) -> Decision:
    """Take everything out of a plan that costs (S4)."""
    costs = (ApplyPlacement, StartAutoscaling)
    kept = tuple(action for action in decision.plan if not isinstance(action, costs))
    why = "the memory is not readable and clusters are silent, so what they cost is not known"
    held = tuple(Suppressed(action, "S4", why) for action in decision.plan if isinstance(action, costs))
    return replace(decision, plan=kept, suppressed=(*decision.suppressed, *held))


def _address(observation: Observation, decision: Decision, previous: Mapping[str, Any]) -> str | None:
    facts = _facts(observation)
    if not facts:
        return previous.get("address")  # not seen is not gone
    return next((fact.address for fact in facts if fact.kind is decision.wired_by), facts[0].address)


def _wired_versions(observation: Observation) -> dict[IngressKind, str]:
    return {fact.kind: fact.resource_version for fact in _facts(observation)}


def _facts(observation: Observation) -> list[IngressFact]:
    """Give what is known of the wirings, that of the kind asked for first."""
    if not isinstance(observation.ingress, Known):
        return []
    mine = observation.ingress.value
    return [mine, mine.other] if mine.other else [mine]


def _up_to_date(judged: Judged) -> frozenset[str]:
    facts = [m.workloads.value for m in judged.observation.members.values() if isinstance(m.workloads, Known)]
    return frozenset(
        workload.offering.key
        for workloads in facts
        for workload in workloads
        if workload.template_hash == spec_template_hash(judged.spec, workload.offering)
    )
