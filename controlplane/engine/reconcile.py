"""One pass over all GPUServices: lease, observe, then each service on its own, then one report."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from controlplane.clock import Clock, new_run_id
from controlplane.engine.act import Executor
from controlplane.engine.batches import BatchPass, Outside
from controlplane.engine.bounded import BoundedConfig, PassTime
from controlplane.engine.fence import Fence
from controlplane.engine.fleet import FleetDesk, FleetStatus, held_clusters, seen_of
from controlplane.engine.growth import Grounds, Growing, GrowthPass, remembered
from controlplane.engine.lease import HIGHEST_FENCE, FenceLost, Lease
from controlplane.engine.limits import LeaseName, Limits
from controlplane.engine.metrics import Metrics
from controlplane.engine.observation import Prices
from controlplane.engine.observe import Observer
from controlplane.engine.outcome import ExitCode, GrowthReport, PassReport, ServiceReport, worst
from controlplane.engine.ports import (
    AdviceSource,
    CallMeter,
    ConfigCluster,
    ConfigSource,
    FleetSource,
    HealthSource,
    Json,
    MemberPool,
    ParametersSource,
    SignalSource,
)
from controlplane.engine.record import left_alone
from controlplane.engine.report import FAULT, exit_code_of
from controlplane.engine.services import Decide, Judge, ServicePass
from controlplane.engine.stopping import Stop
from controlplane.engine.summary import summarise
from controlplane.engine.usage import accelerators_wanted
from controlplane.engine.view import View
from controlplane.engine.wirings import Wirings, kinds_in_use
from controlplane.gateways.errors import ConfigurationProblem, GatewayError
from controlplane.model.decision import Decision
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.memory import Memory
from controlplane.model.observation import Observation
from controlplane.model.offering import region_of
from controlplane.model.service import IngressKind, ServiceSpec

_GIVEN_UP = "asked to stop, and a request that was under way did not end; the next pass looks again"


@dataclass(frozen=True, slots=True)
class Gateways:
    """The outside, as the engine sees it."""

    config: ConfigSource
    fleet: FleetSource
    members: MemberPool
    signals: SignalSource
    health: HealthSource
    desk: FleetDesk
    advice: AdviceSource | None = None
    meter: CallMeter | None = None
    files: ParametersSource | None = None
    grounds: Grounds | None = None


class Reconciler:
    """Makes passes. One object serves one process, which keeps connections and the lease between passes."""

    def __init__(
        self,
        gateways: Gateways,
        wirings: Wirings,
        prices: Prices,
        clock: Clock,
        *,
        limits: Limits | None = None,
        lease: LeaseName | None = None,
        stop: Stop | None = None,
        decide: Decide | None = None,
        metrics: Metrics | None = None,
        run_id: str | None = None,
    ) -> None:
        self.stop = stop or Stop()
        self.metrics = metrics or Metrics()
        self.run_id = run_id or new_run_id()
        self._gateways, self._wirings, self._clock = gateways, wirings, clock
        self._limits, self._lease_name = limits or Limits(), lease or LeaseName()
        self._outside = Outside(wirings, prices, gateways.advice, gateways.files)
        self._judge = Judge(decide or _decide, wirings, prices, clock, gateways.advice)
        self._desk = gateways.desk
        self._growing = (
            None
            if gateways.grounds is None
            else Growing(gateways.grounds, gateways.members, wirings, prices, gateways.advice, clock)
        )
        self._lease: Lease | None = None
        self._time = PassTime(clock)
        self._observer = Observer(
            gateways.fleet,
            gateways.members,
            gateways.signals,
            gateways.health,
            wirings,
            clock=clock,
            limits=self._limits,
        )
        self._log = structlog.get_logger("reconcile")

    def run_pass(self, *, dry_run: bool = False, keep_lease: bool = False) -> PassReport:
        """Make one pass. Never raises for what happens outside; `keep_lease` is for a process that goes on."""
        with structlog.contextvars.bound_contextvars(run_id=self.run_id):
            began, started = self._clock.monotonic(), self._clock.now()
            report = PassReport(self.run_id, started, 0.0, dry_run, ExitCode.OK)
            meter = self._gateways.meter
            before = 0 if meter is None else meter.calls
            try:
                if meter is not None:
                    meter.begin()
                report = self._pass(report, dry_run=dry_run)
            except ConfigurationProblem as error:
                report = replace(report, exit_code=ExitCode.BAD_CONFIGURATION, message=error.message)
            except GatewayError as error:
                report = replace(report, exit_code=ExitCode.CUT_OFF, message=f"{error.message}; {error.hint}")
            except FenceLost as error:
                report = replace(report, exit_code=ExitCode.CUT_OFF, message=str(error))
            except Exception:  # noqa: BLE001 - the process reports its own faults by exit code 70 and goes on watching
                self._log.exception("pass failed")
                report = replace(report, exit_code=ExitCode.BUG, message=FAULT)
            finally:
                if not keep_lease:
                    self.release()
            asked = 0 if meter is None else meter.calls - before
            report = replace(report, seconds=self._clock.monotonic() - began, google_calls=asked)
            self.metrics.record(report)
            summarise(report)
            return report

    def give_up(self, *, dry_run: bool = False) -> PassReport:
        """Leave a pass that does not end although it was asked to: give the lease back, and say so."""
        self._time.cut()
        self.release()
        report = PassReport(self.run_id, self._clock.now(), 0.0, dry_run, ExitCode.CUT_OFF, message=_GIVEN_UP)
        self._log.warning("pass given up", run_id=self.run_id, detail=_GIVEN_UP)
        return report

    def release(self) -> None:
        """Give the lease back."""
        lease, self._lease = self._lease, None
        if lease is not None:
            self._time.last_word()
            lease.release()

    def _pass(self, report: PassReport, *, dry_run: bool) -> PassReport:
        ends = self._time.begin(self._limits.whole_pass)
        config: ConfigCluster = BoundedConfig(self._time.within(self._gateways.config.open), self._time)
        before = config.calls
        if not dry_run:
            lease = self._lease or Lease(config, self._clock, self._lease_name, self.run_id)
            self._lease = lease  # kept while another holds it, since it watches how long that one is silent
            if not lease.acquire():
                return replace(report, held_by=lease.held_by, message=f"another run holds the lease: {lease.held_by}")
        services, batches = config.services(), config.batches()
        read = self._desk.read(config)
        if read.foreign:
            raise ConfigurationProblem(read.problem)
        past = remembered(read.stored)
        held = held_clusters([*services, *batches])
        fleet = past.closed(self._time.within(lambda: self._observer.listing(read, held)))
        if self._lease is not None:
            stored = [*services, *batches, *([read.stored] if read.stored else [])]
            self._lease.raise_above(max(map(_fence_of, stored), default=0))
        fence = Fence(self._lease, self._clock, self.stop, ends=ends)
        view = self._observer.view(
            fleet,
            config,
            kinds=frozenset(IngressKind) if past.going else kinds_in_use(services),
            accelerators=accelerators_wanted([*services, *batches]),
            left=fence.left,
            more_regions=self._growing.regions(read) if self._growing is not None else (),
        )
        executor = Executor(config, self._wirings, fence, self._clock)
        work = ServicePass(config, executor, fence, view, self._clock)
        reports = tuple(self._service(service, view, work, dry_run=dry_run) for service in services)
        decided = [service.decision for service in reports if service.decision is not None]
        work_on = BatchPass(config, fence, view, self._outside, self._clock)
        rendering = work_on.run(batches, decided, dry_run=dry_run)
        doubt = "most regions did not answer" if _mostly_unknown(view) else ""
        growth = self._grow(GrowthPass(read, past, view, reports, doubt), config, fence, dry_run=dry_run)
        if growth is None and not dry_run:
            FleetStatus(config, fence, self._clock).write(read, fleet)
        codes = [*(part.exit_code for part in reports), *(part.exit_code for part in rendering)]
        if isinstance(growth, ExitCode):
            codes.append(growth)
        if read.problem:
            codes.append(ExitCode.BAD_CONFIGURATION)
        if self.stop.requested or fence.cut_off or self._time.over or _mostly_unknown(view):
            codes.append(ExitCode.CUT_OFF)
        return replace(
            report,
            exit_code=worst(*codes),
            services=reports,
            batches=rendering,
            unknown=view.unknown,
            calls={"config": config.calls - before, **view.calls},
            fence=fence.number,
            strays=view.strays(set(map(_key_of, services)), set(map(_key_of, batches))),
            message=read.problem,
            warnings=read.warnings,
            fleet=seen_of(fleet, view.at),
            growth=growth if isinstance(growth, GrowthReport) else None,
        )

    def _grow(
        self, work: GrowthPass, config: ConfigCluster, fence: Fence, *, dry_run: bool
    ) -> GrowthReport | ExitCode | None:
        """See to clusters on demand; what goes wrong with it concerns no service."""
        if self._growing is None or self._time.over:
            return None
        try:
            return self._growing.run(work, config, fence, dry_run=dry_run)
        except (GatewayError, FenceLost) as error:
            self._log.warning("clusters on demand were not seen to", detail=str(error))
            return ExitCode.CUT_OFF
        except Exception:  # noqa: BLE001 - the services have been served; the process reports its own faults
            self._log.exception("clusters on demand failed")
            return ExitCode.BUG

    def _service(self, service: Json, view: View, work: ServicePass, *, dry_run: bool) -> ServiceReport:
        """Work on one service; what goes wrong with it concerns no other."""
        key = f"{service['metadata'].get('namespace')}/{service['metadata'].get('name')}"
        with structlog.contextvars.bound_contextvars(service=key):
            try:
                if self._time.over:
                    return ServiceReport(key, ExitCode.CUT_OFF, problem="the pass is out of time")
                judged = self._judge.judge(service, view)
                if isinstance(judged, str):
                    if not dry_run and not left_alone(service):
                        work.refuse(service, judged)
                    return ServiceReport(key, ExitCode.BAD_CONFIGURATION, problem=judged)
                report = ServiceReport(
                    key,
                    exit_code_of(judged.spec, judged.decision, ()),
                    spec=judged.spec,
                    observation=judged.observation,
                    decision=judged.decision,
                    safe_mode=judged.safe_mode,
                )
                paused = judged.spec.paused and not judged.spec.deleting
                return report if dry_run or paused else work.carry_out(judged, report)
            except FenceLost as error:
                return ServiceReport(key, ExitCode.CUT_OFF, problem=str(error))
            except GatewayError as error:
                return ServiceReport(key, ExitCode.CUT_OFF, problem=f"{error.message}; {error.hint}")
            except Exception:  # noqa: BLE001 - one service must not keep the others from being served
                self._log.exception("service failed")
                return ServiceReport(key, ExitCode.BUG, problem=FAULT)


def _decide(spec: ServiceSpec, observation: Observation, memory: Memory, now: datetime) -> Decision:
    from controlplane.decide import decide

    return decide(spec, observation, memory, now)


def _key_of(service: Mapping[str, Any]) -> tuple[str, str]:
    return service["metadata"].get("namespace", ""), service["metadata"].get("name", "")


def _fence_of(service: Mapping[str, Any]) -> int:
    memory = (service.get("status") or {}).get("memory")
    fence = memory.get("fence") if isinstance(memory, Mapping) else None
    return fence if isinstance(fence, int) and 0 < fence <= HIGHEST_FENCE else 0


def _mostly_unknown(view: View) -> bool:
    """Apply the rule of S8, more than half, to all that was asked or ought to have been."""
    asked = {ref: fact for ref, fact in view.members.items() if not _not_asked(fact)}
    regions = {ref.region for ref in asked} | {region_of(location) for location in view.unlisted}
    seen = {ref.region for ref, fact in asked.items() if isinstance(fact, Known)}
    return not isinstance(view.fleet, Known) or 2 * len(regions - seen) > len(regions)


def _not_asked(fact: object) -> bool:
    return isinstance(fact, Unknown) and fact.reason is UnknownReason.NOT_ASKED
