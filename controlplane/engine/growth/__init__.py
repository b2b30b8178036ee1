"""Clusters on demand in a pass: close what is on its way, see, decide, remember, act, note.

The order of writes is that of the services: the memory of what is about to be done is written first, under the
resourceVersion that was read, then it is done. Whoever is killed in between leaves a memory of an intent, and the next
pass looks at what is there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from controlplane.clock import Clock
from controlplane.decide.growth import decide_growth, need_of
from controlplane.decide.growth.notes import Brought, noted
from controlplane.engine.fence import Fence
from controlplane.engine.growth.act import Hands
from controlplane.engine.growth.look import Look
from controlplane.engine.growth.ports import Grounds
from controlplane.engine.growth.wired import wired_at
from controlplane.engine.lease import FenceLost
from controlplane.engine.observe import Prices, View
from controlplane.engine.outcome import ServiceReport
from controlplane.engine.ports import AdviceSource, ConfigCluster, Json, MemberCluster, MemberPool
from controlplane.engine.report import event
from controlplane.engine.wirings import Wirings
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.fleet import Listing
from controlplane.gateways.sanitise import scrub
from controlplane.model.facts import Known, Unknown
from controlplane.model.fleet import FleetSpec
from controlplane.model.growth import ARRIVING, LEAVING, GrowthMemory, Need
from controlplane.model.growthplan import GrowthAction, GrowthDecision
from controlplane.model.observation import ClusterInfo
from controlplane.model.offering import ClusterRef

__all__ = ["Grounds", "Growing", "GrowthReport", "Remembered", "remembered"]


@dataclass(frozen=True, slots=True)
class Remembered:
    """The memory as the pass found it. `doubt`: why it could not be read, and nothing may be taken for granted."""

    memory: GrowthMemory
    doubt: str = ""

    def closed(self, fleet: Known[Listing] | Unknown) -> Known[Listing] | Unknown:
        """Give the listing in which clusters that come or go are closed to services."""
        if isinstance(fleet, Unknown) or not self.memory.clusters:
            return fleet
        clusters = tuple(self._closed(info) for info in fleet.value.clusters)
        return replace(fleet, value=replace(fleet.value, clusters=clusters))

    @property
    def going(self) -> bool:
        """Whether a cluster is on its way out, so that every kind of ingress has to be looked at."""
        return any(grown.stage in LEAVING for grown in self.memory.clusters.values())

    def _closed(self, info: ClusterInfo) -> ClusterInfo:
        grown = self.memory.clusters.get(info.ref.link)
        if grown is None:
            return info
        if grown.stage in ARRIVING:
            return replace(info, usable=False, status=grown.stage.value)
        return replace(info, leaving=True) if grown.stage in LEAVING else info


@dataclass(frozen=True, slots=True)
class GrowthReport:
    """What a pass decided about clusters on demand, for which needs, and what became of it."""

    decision: GrowthDecision
    needs: tuple[Need, ...] = ()
    results: tuple[tuple[GrowthAction, Brought], ...] = ()
    unmet: Mapping[str, str] | None = None

    @property
    def failed(self) -> bool:
        """Whether something was not done."""
        return any(not brought.done for _, brought in self.results)


def remembered(stored: Json | None) -> Remembered:
    """Read the memory of the Fleet object. One that cannot be read is begun anew, and this pass takes nothing away."""
    from controlplane import api
    from controlplane.api.growth import growth_from_status

    try:
        return Remembered(growth_from_status((stored or {}).get("status")))
    except api.MemoryUnreadable as error:
        return Remembered(GrowthMemory(), scrub(f"the memory of clusters on demand could not be read: {error}"))


@dataclass(frozen=True, slots=True)
class Growing:
    """Clusters on demand for one process."""

    grounds: Grounds
    pool: MemberPool
    wirings: Wirings
    prices: Prices
    advice: AdviceSource | None
    clock: Clock

    def decide(
        self,
        fleet: FleetSpec,
        past: Remembered,
        view: View,
        reports: Iterable[ServiceReport],
        *,
        doubt: str,
        left: float,
    ) -> GrowthReport:
        """See and decide. Writes nothing."""
        reports, now = tuple(reports), self.clock.now()
        found = {
            report.key: need_of(report.spec, report.decision, now)
            for report in reports
            if report.spec is not None and report.decision is not None and not report.safe_mode
        }
        needs = tuple(need for need in found.values() if isinstance(need, Need))
        seen = Look(self.grounds, self.prices, self.advice, self.clock).see(
            fleet,
            view,
            reports,
            needs,
            past.memory,
            wiring=lambda ref: wired_at(ref, view.wiring),
            doubt=past.doubt or doubt,
            left=left,
        )
        decision = decide_growth(fleet, seen, needs, past.memory, now)
        return GrowthReport(decision, needs, unmet={key: why for key, why in found.items() if isinstance(why, str)})

    def carry_out(
        self, report: GrowthReport, view: View, fence: Fence, reports: Iterable[ServiceReport]
    ) -> GrowthReport:
        """Do what was decided; the memory of it has been written by then."""

        def opened(ref: ClusterRef) -> MemberCluster | None:
            listing = view.fleet.value if isinstance(view.fleet, Known) else None
            endpoint = listing.endpoints.get(ref) if listing else None
            return None if endpoint is None else self.pool.member(ref, endpoint)

        specs = [each.spec for each in reports if each.spec is not None]
        results = Hands(self.grounds, fence, self.wirings, opened, specs).run(report.decision.actions)
        memory = noted(report.decision.memory, results, self.clock.now())
        log = structlog.get_logger("growth")
        for action, brought in results:
            log.info("cluster on demand", action=str(action), done=brought.done, detail=brought.message)
        return replace(report, decision=replace(report.decision, memory=memory), results=results)


def growth_status(report: GrowthReport, fence: int) -> dict[str, Any]:
    """Give what the Fleet's status says of it."""
    from controlplane.api.growth import growth_to_status, verdicts_to_status

    memory = replace(report.decision.memory, fence=fence)
    return {"memory": growth_to_status(memory), "growth": verdicts_to_status(report.decision.verdicts)}


class Diary:
    """Writes the memory into the Fleet's status, before and after, and tells what happened as Events."""

    def __init__(self, config: ConfigCluster, fence: Fence, clock: Clock) -> None:
        self._config, self._fence, self._clock = config, fence, clock
        self._log = structlog.get_logger("growth")

    def intend(self, stored: Json, report: GrowthReport) -> Json:
        """Write what is about to be done; give the Fleet as it stands then. Raises when it could not be written."""
        before = dict(stored.get("status") or {})
        status = {**before, **growth_status(report, self._fence.number)}
        if not (report.decision.actions or _worth_writing(status, before)):
            return stored
        self._fence.check()
        return self._config.write_fleet_status(stored, status)

    def note(self, stored: Json, planned: GrowthReport, done: GrowthReport) -> None:
        """Write what was learnt by doing it; a failure is found out by looking."""
        if done.decision.memory != planned.decision.memory:
            status = {**(stored.get("status") or {}), **growth_status(done, self._fence.number)}
            try:
                self._fence.check()
                self._config.write_fleet_status(stored, status)
            except (GatewayError, FenceLost) as error:
                self._log.warning("growth not remembered", detail=str(error))
        for action, brought in done.results:
            kind = type(action).__name__
            tail = "" if brought.done else f" ({brought.message})"
            reason = kind if brought.done else f"{kind}Failed"
            told = event(stored, reason, f"{action}{tail}", self._clock.now(), warning=not brought.done)
            try:
                self._config.emit(told)
            except GatewayError as error:  # an Event is a courtesy; nothing depends on it
                self._log.warning("event not written", reason=reason, detail=error.message)
                return


def _worth_writing(status: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Say whether anything but the fence's number changed."""
    old, new = before.get("memory"), status["memory"]
    known = {k: v for k, v in old.items() if k != "fence"} if isinstance(old, Mapping) else {"version": new["version"]}
    return known != {k: v for k, v in new.items() if k != "fence"} or before.get("growth", []) != status["growth"]
