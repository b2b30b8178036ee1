"""What a pass saw, as far as it concerns clusters on demand.

Most of it was seen for the services already. Memberships, endpoint groups and operations are asked for only when a
cluster is at a stage that needs them, so that a quiet pass makes no further call.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

from controlplane.clock import Clock
from controlplane.engine.fanout import Fanout
from controlplane.engine.growth.ports import Grounds
from controlplane.engine.growth.wired import Wired
from controlplane.engine.observation import Prices
from controlplane.engine.outcome import ServiceReport
from controlplane.engine.ports import AdviceSource
from controlplane.engine.view import View
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.fleet import Listing
from controlplane.gateways.memberships import MembershipListing
from controlplane.model.decision import ApplyPlacement, Standing
from controlplane.model.facts import Known, Unknown, UnknownReason, map_fact
from controlplane.model.fleet import FleetSpec
from controlplane.model.growth import (
    ClusterSeen,
    EndpointGroup,
    GrowthMemory,
    GrowthSeen,
    MembershipSeen,
    Need,
    OperationSeen,
    Stage,
    Use,
)
from controlplane.model.observation import Advice
from controlplane.model.offering import ClusterRef, Offering
from controlplane.model.reasons import Reason

PATIENCE = 12.0
"""Seconds for what is asked for here, all at once."""
_OF_FLEET = frozenset({Stage.CREATING, Stage.REGISTERING, Stage.UNREGISTERING, Stage.DELETING})
_OF_GROUPS = frozenset({Stage.UNWIRING, Stage.UNREGISTERING})
_ABOUT_GPUS = frozenset(
    reason.value
    for reason in (
        Reason.COOLING_AFTER_STOCK_OUT,
        Reason.COOLING_AFTER_QUOTA,
        Reason.COOLING_AFTER_TIMEOUT,
        Reason.QUOTA_EXHAUSTED,
        Reason.NOT_OFFERED_IN_REGION,
        Reason.IP_SPACE_EXHAUSTED,
    )
)


@dataclass(frozen=True, slots=True)
class Look:
    """Looks at clusters on demand. `wired` says which addresses lead where; see `wired.py`."""

    grounds: Grounds
    prices: Prices
    advice: AdviceSource | None
    clock: Clock

    def see(
        self,
        fleet: FleetSpec,
        view: View,
        reports: Iterable[ServiceReport],
        needs: Iterable[Need],
        memory: GrowthMemory,
        *,
        wiring: Callable[[ClusterRef], Wired],
        doubt: str = "",
        left: float = PATIENCE,
    ) -> GrowthSeen:
        """Give it all, asking for what else is needed in at most the seconds that are left."""
        reports, needs, now = tuple(reports), tuple(needs), self.clock.now()
        clusters = clusters_seen(view.fleet)
        listed = clusters.value if isinstance(clusters, Known) else {}
        ours = {ref for ref, each in listed.items() if each.on_demand} | {
            ClusterRef.of(link) for link in memory.clusters
        }
        asked = self._ask(memory, listed, min(PATIENCE, left))
        operations = {
            link: operation
            for (kind, link), operation in asked.items()
            if kind == "operation" and isinstance(operation, OperationSeen)
        }
        uses = {ref.link: use_of(ref, view, reports, wiring(ref)) for ref in sorted(ours) if ref in view.members}
        return GrowthSeen(
            at=now,
            clusters=clusters,
            memberships=_memberships(asked.get(("memberships", "")), now),
            groups=cast("Known[tuple[EndpointGroup, ...]] | Unknown", _fact(asked.get(("groups", "")), now)),
            project_gpu_quota=view.project_gpu_quota,
            signals=view.signals,
            members=frozenset(view.members),
            uses=uses,
            operations=operations,
            prices=self.prices,
            advice=self._advice(fleet, needs),
            unlisted=view.unlisted,
            doubt=doubt,
        )

    def _ask(
        self, memory: GrowthMemory, listed: Mapping[ClusterRef, ClusterSeen], seconds: float
    ) -> dict[tuple[str, str], Any]:
        stages = {grown.stage for grown in memory.clusters.values()}
        absent = {link: grown for link, grown in memory.clusters.items() if ClusterRef.of(link) not in listed}
        tasks: dict[tuple[str, str], Callable[[], object]] = {}
        if stages & _OF_FLEET or absent or any(each.on_demand and not each.membership for each in listed.values()):
            tasks["memberships", ""] = self.grounds.registry.listing
        if stages & _OF_GROUPS:
            tasks["groups", ""] = self.grounds.groups.listing
        for link, grown in absent.items():
            if grown.operation and grown.stage is Stage.CREATING:
                tasks["operation", link] = partial(
                    self.grounds.maker.operation, ClusterRef.of(link).location, grown.operation
                )
        fanout: Fanout[tuple[str, str]] = Fanout(self.clock)
        for key, task in tasks.items():
            fanout.start(key, task, seconds=seconds)
        fanout.wait(tasks)
        return {key: fanout.error(key) or fanout.result(key) for key in tasks}

    def _advice(self, fleet: FleetSpec, needs: tuple[Need, ...]) -> Mapping[Offering, Known[Advice] | Unknown]:
        """Ask for advice on what a new cluster would offer; only while a service needs one."""
        if self.advice is None or fleet.on_demand is None or not needs:
            return {}
        wanted = {
            Offering(fleet.cluster(region), *kind)
            for region in fleet.on_demand.regions
            for need in needs
            if need.regions.permits(region)
            for kind in need.kinds
        }
        return self.advice.advice(sorted(wanted, key=lambda offering: offering.order))


def clusters_seen(fleet: Known[Listing] | Unknown) -> Known[Mapping[ClusterRef, ClusterSeen]] | Unknown:
    """Give every cluster of the project as the fleet's listing shows it."""
    if isinstance(fleet, Known) and fleet.value.seen is None:
        return Unknown(UnknownReason.NOT_ASKED, fleet.at, "only members were listed")
    return map_fact(
        fleet,
        lambda listing: {
            each.ref: ClusterSeen(
                each.ref,
                each.uid,
                each.state,
                each.labels,
                membership=each.membership,
                message="" if each.usable else each.why,
                version=each.version,
                reachable=bool(each.endpoint),
            )
            for each in (listing.seen.standings if listing.seen else ())
        },
    )


def use_of(
    ref: ClusterRef,
    view: View,
    reports: Iterable[ServiceReport],
    wired: Wired,
) -> Use:
    """Give what a member cluster is used for: what stands there, and what this very pass began there."""
    begun: set[str] = set()
    refused = ""
    for report in reports:
        if report.decision is None:
            continue
        if any(isinstance(a, ApplyPlacement) and a.offering.cluster == ref for a in report.decision.plan):
            begun.add(report.key)
        here = [v for v in report.decision.verdicts if v.offering.cluster == ref and v.standing is Standing.REFUSED]
        told = (reason for verdict in here for reason in verdict.reasons if reason in _ABOUT_GPUS)
        refused = refused or next(told, "")
    fact = view.members[ref]
    stands = map_fact(fact, lambda all_of: {f"{ns}/{name}" for (ns, name), each in all_of.items() if each})
    standing = [workload for each in fact.value.values() for workload in each] if isinstance(fact, Known) else []
    jobs = view.jobs.get(ref)
    if isinstance(jobs, Unknown):
        stands = jobs  # batches may be rendered there, and nobody can see it
    elif jobs is not None:
        begun |= {f"{ns}/{name}" for (ns, name), each in jobs.value.items() if each}
        standing += [job.workload for each in jobs.value.values() for job in each]
    holds = any(pod.scheduled for workload in standing for pod in workload.live_pods)
    return Use(
        placements=map_fact(stands, lambda names: tuple(sorted(names | begun))),
        wired=wired[0],
        only=wired[1],
        holds=holds,
        refused=refused,
    )


def _fact(answer: object, now: datetime) -> Known[Any] | Unknown:
    if answer is None:
        return Unknown(UnknownReason.NOT_ASKED, now, "nothing needed it in this pass")
    if isinstance(answer, GatewayError):
        return Unknown(answer.unknown, now, answer.message)
    return Known(answer, now)


def _memberships(answer: object, now: datetime) -> Known[tuple[MembershipSeen, ...]] | Unknown:
    fact = _fact(answer, now)
    if isinstance(fact, Unknown):
        return fact
    listing: MembershipListing = fact.value
    if listing.unlisted:
        return Unknown(UnknownReason.LIST_INCOMPLETE, now, f"left out: {', '.join(listing.unlisted)}")
    return Known(listing.memberships, now)
