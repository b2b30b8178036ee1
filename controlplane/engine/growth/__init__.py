"""Clusters on demand in a pass: close what is on its way, see, decide, remember, act, note.

The order of writes is that of the services: the memory of what is about to be done is written first, under the
resourceVersion that was read, then it is done. Whoever is killed in between leaves a memory of an intent, and the next
pass looks at what is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from controlplane.clock import Clock
from controlplane.decide.growth import decide_growth, need_of
from controlplane.decide.growth.notes import noted
from controlplane.engine.fence import Fence
from controlplane.engine.fleet import FleetRead, seen_of
from controlplane.engine.growth.act import Hands
from controlplane.engine.growth.look import Look
from controlplane.engine.growth.ports import Grounds
from controlplane.engine.growth.wired import wired_at
from controlplane.engine.lease import FenceLost
from controlplane.engine.observation import Prices
from controlplane.engine.outcome import GrowthReport, ServiceReport
from controlplane.engine.ports import AdviceSource, ConfigCluster, Json, MemberCluster, MemberPool
from controlplane.engine.report import event
from controlplane.engine.view import View
from controlplane.engine.wirings import Wirings
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.fleet import Listing
from controlplane.gateways.sanitise import scrub
from controlplane.model.facts import Known, Unknown
from controlplane.model.fleet import FleetSpec
from controlplane.model.growth import ARRIVING, LEAVING, GrowthMemory, Need
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


def remembered(stored: Json | None) -> Remembered:
    """Read the memory of the Fleet object. One that cannot be read is begun anew, and this pass takes nothing away."""
    from controlplane import api
    from controlplane.api.growth import growth_from_status

    try:
        return Remembered(growth_from_status((stored or {}).get("status")))
    except api.MemoryUnreadable as error:
        return Remembered(GrowthMemory(), scrub(f"the memory of clusters on demand could not be read: {error}"))


@dataclass(frozen=True, slots=True)
class GrowthPass:
    """What a pass has come by when clusters on demand have their turn. doubt: why it saw too little."""

    read: FleetRead
    past: Remembered
    view: View
    reports: tuple[ServiceReport, ...]
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Growing:
    """Clusters on demand for one process."""

    grounds: Grounds
    pool: MemberPool
    wirings: Wirings
    prices: Prices
    advice: AdviceSource | None
    clock: Clock

    def regions(self, read: FleetRead) -> tuple[str, ...]:
        """Give the regions in which a cluster may be made, whose signals a pass needs."""
        asked = read.stored is not None and read.spec is not None and read.spec.on_demand is not None
        return read.spec.on_demand.regions if asked and read.spec and read.spec.on_demand else ()

    def run(self, work: GrowthPass, config: ConfigCluster, fence: Fence, *, dry_run: bool) -> GrowthReport | None:
        """See to clusters on demand, after the services: what they could not get is what is missing.

        None where none are asked for and none are left of when they were.
        """
        read = work.read
        if read.spec is None or read.stored is None or not (self.regions(read) or work.past.memory.clusters):
            return None
        report = self._decide(read.spec, work, fence.left)
        if dry_run:
            return report
        diary = Diary(config, fence, self.clock)
        stored = diary.intend(read, work.view.fleet, report)
        if stored is None:
            return replace(report, problem="the Fleet's status could not be written, so nothing was done")
        done = self._carry_out(report, work, fence)
        diary.note(stored, report, done)
        return done

    def _decide(self, fleet: FleetSpec, work: GrowthPass, left: float) -> GrowthReport:
        """See and decide. Writes nothing."""
        now = self.clock.now()
        found = {
            report.key: need_of(report.spec, report.decision, now)
            for report in work.reports
            if report.spec is not None and report.decision is not None and not report.safe_mode
        }
        needs = tuple(need for need in found.values() if isinstance(need, Need))
        seen = Look(self.grounds, self.prices, self.advice, self.clock).see(
            fleet,
            work.view,
            work.reports,
            needs,
            work.past.memory,
            wiring=lambda ref: wired_at(ref, work.view.wiring),
            doubt=work.past.doubt or work.doubt,
            left=left,
        )
        decision = decide_growth(fleet, seen, needs, work.past.memory, now)
        return GrowthReport(decision, needs, unmet={key: why for key, why in found.items() if isinstance(why, str)})

    def _carry_out(self, report: GrowthReport, work: GrowthPass, fence: Fence) -> GrowthReport:
        """Do what was decided; the memory of it has been written by then."""
        listing = work.view.fleet.value if isinstance(work.view.fleet, Known) else None

        def opened(ref: ClusterRef) -> MemberCluster | None:
            endpoint = listing.endpoints.get(ref) if listing else None
            return None if endpoint is None else self.pool.member(ref, endpoint)

        specs = [each.spec for each in work.reports if each.spec is not None]
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

    def intend(self, read: FleetRead, listing: Known[Listing] | Unknown, report: GrowthReport) -> Json | None:
        """Write what is about to be done, with all else that the Fleet's status tells; give the Fleet as it stands.

        None when it could not be written: then nothing may be done.
        """
        from controlplane.api.fleetstatus import fleet_status

        stored = read.stored or {}
        before = dict(stored.get("status") or {})
        now = self._clock.now()
        base = fleet_status(stored, read.spec, seen_of(listing, now), now, problem=read.problem)
        status = {**base, **growth_status(report, self._fence.number)}
        if not (report.decision.actions or _told(status) != _told(before)):
            return stored
        try:
            self._fence.check()
            return self._config.write_fleet_status(stored, status)
        except (GatewayError, FenceLost) as error:
            self._log.warning("fleet status not written", detail=str(error))
            return None

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


def _told(status: Mapping[str, Any]) -> dict[str, Any]:
    """Give a status without the fence's number, which changes with every run and says nothing to anybody."""
    memory = status.get("memory")
    return {
        **status,
        "memory": {k: v for k, v in memory.items() if k != "fence"} if isinstance(memory, Mapping) else {},
    }
