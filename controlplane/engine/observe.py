"""Seeing everything at once: the fleet, every member, the wiring and the load balancer, each with its own patience.

What belongs to clusters is observed once and shared by all services of the pass. A member that does not answer becomes
Unknown with the reason; it is never taken for empty and never delays the others.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, cast

from controlplane.clock import Clock
from controlplane.engine.fanout import Fanout
from controlplane.engine.fleet import FleetRead
from controlplane.engine.limits import Limits
from controlplane.engine.ports import (
    ConfigCluster,
    FleetSource,
    HealthSource,
    Json,
    MemberCluster,
    MemberPool,
    SignalSource,
)
from controlplane.engine.usage import with_our_usage
from controlplane.engine.view import Jobs, View, Workloads
from controlplane.engine.wirings import Health, Wirings, WiringView
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.fleet import Listing
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import ClusterInfo, RegionSignals, WorkloadFact
from controlplane.model.offering import ClusterRef
from controlplane.model.service import IngressKind
from ingress.wiring import Kind, in_use


class Observer:
    """Observes. Between passes of one process it keeps the last listing and since when a member has been silent."""

    def __init__(
        self,
        fleet: FleetSource,
        pool: MemberPool,
        signals: SignalSource,
        health: HealthSource,
        wirings: Wirings,
        *,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._fleet, self._pool, self._signals, self._health = fleet, pool, signals, health
        self._wirings, self._clock, self._limits = wirings, clock, limits
        self._silent_since: dict[ClusterRef, datetime] = {}
        self._last: Listing | None = None

    def listing(self, read: FleetRead, held: Collection[ClusterRef] = ()) -> Known[Listing] | Unknown:
        """Ask for the fleet. The last answer's endpoints serve for reading while the GKE API is silent.

        held: clusters in which placements are remembered. A Fleet that cannot be read makes the fleet unknown.
        """
        now = self._clock.now()
        if read.spec is None:
            return Unknown(UnknownReason.UNREADABLE, now, read.problem)
        try:
            self._last = self._fleet.listing(read.spec, held)
        except GatewayError as error:
            return Unknown(error.unknown, now, error.message)
        return Known(self._last, now)

    def view(
        self,
        fleet: Known[Listing] | Unknown,
        config: ConfigCluster,
        *,
        kinds: Collection[IngressKind],
        accelerators: Collection[str] = (),
        left: float = float("inf"),
        more_regions: Collection[str] = (),
    ) -> View:
        """See members, wiring, health and signals at once, in at most the seconds that are left of the pass.

        `accelerators`: the GPU types that are wanted; some quotas are asked for only where one of them needs it.
        `more_regions`: regions without a cluster, whose signals are wanted all the same.
        """
        limits = self._limits
        listing = fleet.value if isinstance(fleet, Known) else self._last
        infos = listing.clusters if listing else ()
        handles = (
            {i.ref: self._pool.member(i.ref, listing.endpoints[i.ref]) for i in infos if i.usable} if listing else {}
        )
        before = {ref: handle.calls for ref, handle in handles.items()}
        fanout: Fanout[object] = Fanout(self._clock)
        for ref, handle in handles.items():
            fanout.start(ref, _dated(handle.workloads, self._clock), seconds=min(limits.member, left))
            fanout.start(("jobs", ref), _dated(handle.jobs, self._clock), seconds=min(limits.member, left))
        fanout.start("wiring", lambda: self._see_wiring(config, handles, kinds), seconds=min(limits.config, left))
        regions = sorted({*(info.ref.region for info in infos), *more_regions})
        signals = partial(self._signals.regions, regions, accelerators)
        fanout.start("signals", signals, seconds=min(limits.signals, left))
        fanout.start("quota", self._signals.project_gpu_quota, seconds=min(limits.signals, left))
        jobs = [("jobs", ref) for ref in handles]
        fanout.wait([*handles, *jobs, "wiring", "signals", "quota"])
        wiring, health = self._wiring_facts(fanout)
        members = {info.ref: self._member_fact(info, fanout) for info in infos}
        rendering: dict[ClusterRef, Known[Jobs] | Unknown] = {
            ref: self._fact(fanout, (kind, ref)) for kind, ref in jobs
        }
        return View(
            at=self._clock.now(),
            fleet=fleet,
            members=members,
            handles=handles,
            wiring=wiring,
            health=health,
            signals=with_our_usage(self._signal_facts(fanout, regions), _everything(members, rendering)),
            project_gpu_quota=self._fact(fanout, "quota"),
            calls={ref.link: handle.calls - before[ref] for ref, handle in handles.items()},
            jobs=rendering,
        )

    def _see_wiring(
        self, config: ConfigCluster, handles: Mapping[ClusterRef, MemberCluster], wanted: Collection[IngressKind]
    ) -> tuple[WiringView, Health]:
        wirings = [wiring for kind, wiring in self._wirings.items() if kind in wanted]
        kinds = [kind for wiring in wirings for kind in wiring.observed_kinds()]
        lists: Fanout[Kind] = Fanout(self._clock)
        for kind in kinds:
            lists.start(kind, partial(config.list_kind, kind), seconds=self._limits.config * 0.4)
        lists.wait(kinds)
        objects = {kind: cast("list[Json]", lists.result(kind)) for kind in kinds}
        names = sorted({name for wiring in wirings for name in wiring.backend_services(objects)})
        used = [wiring.member_kind() for wiring in wirings if in_use(wiring, objects)]
        pairs = [(kind, ref) for kind in used if kind is not None for ref in handles]
        fanout: Fanout[object] = Fanout(self._clock)
        for name in names:
            task = _dated(lambda name=name: self._health.healthy([name]), self._clock)  # type: ignore[misc]
            fanout.start(name, task, seconds=self._limits.config * 0.6)
        for kind, ref in pairs:
            patience = min(self._limits.member, self._limits.config * 0.6)
            fanout.start((kind, ref), partial(handles[ref].list_kind, kind), seconds=patience)
        fanout.wait([*names, *pairs])
        members: dict[Kind, dict[str, Sequence[Json] | None]] = {kind: {} for kind, _ in pairs}
        for kind, ref in pairs:
            seen = fanout.error((kind, ref)) is None
            members[kind][ref.link] = cast("list[Json]", fanout.result((kind, ref))) if seen else None
        return WiringView(objects, members), {name: self._fact(fanout, name) for name in names}

    def _wiring_facts(self, fanout: Fanout[object]) -> tuple[Known[WiringView] | Unknown, Health]:
        error = fanout.error("wiring")
        if error is not None:
            return self._unknown(error), {}
        seen, health = cast("tuple[WiringView, Health]", fanout.result("wiring"))
        return Known(seen, self._clock.now()), health

    def _member_fact(self, info: ClusterInfo, fanout: Fanout[object]) -> Known[Workloads] | Unknown:
        now = self._clock.now()
        if not info.usable:
            return Unknown(UnknownReason.NOT_ASKED, self._since(info.ref, now), f"the cluster is {info.status}")
        fact: Known[Workloads] | Unknown = self._fact(fanout, info.ref)
        if isinstance(fact, Known):
            self._silent_since.pop(info.ref, None)
            return fact
        return replace(fact, since=self._since(info.ref, now))

    def _since(self, ref: ClusterRef, now: datetime) -> datetime:
        return self._silent_since.setdefault(ref, now)

    def _fact(self, fanout: Fanout[Any], key: object) -> Known[Any] | Unknown:
        """Give the fact that a task brought, or why it brought none."""
        error = fanout.error(key)
        return cast("Known[Any]", fanout.result(key)) if error is None else self._unknown(error)

    def _unknown(self, error: GatewayError) -> Unknown:
        return Unknown(error.unknown, self._clock.now(), error.message)

    def _signal_facts(self, fanout: Fanout[object], regions: Iterable[str]) -> Mapping[str, RegionSignals]:
        error = fanout.error("signals")
        if error is None:
            return cast("Mapping[str, RegionSignals]", fanout.result("signals"))
        unknown = self._unknown(error)
        return {region: RegionSignals(unknown, unknown) for region in regions}


def _everything(
    members: Mapping[ClusterRef, Known[Workloads] | Unknown], rendering: Mapping[ClusterRef, Known[Jobs] | Unknown]
) -> Iterator[WorkloadFact]:
    """Give the workloads of all services and batches, as far as they are seen."""
    for found in rendering.values():
        if isinstance(found, Known):
            yield from (job.workload for jobs in found.value.values() for job in jobs)
    for fact in members.values():
        if isinstance(fact, Known):
            for workloads in fact.value.values():
                yield from workloads


def _dated(read: Callable[[], object], clock: Clock) -> Callable[[], object]:
    """Date a fact by the moment before it was asked for: it cannot be newer than that."""

    def task() -> object:
        at = clock.now()
        return Known(read(), at)

    return task
