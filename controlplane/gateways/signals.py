"""What Google Cloud says before anything is paid: GPU types by zone, quotas by region, by family and for the project.

All of it is a hint or a necessary condition, none proves capacity, and all of it may be missing: a permission that
lacks, a zone that could not be asked. What is missing is Unknown, never 0 and never "not offered". The compute client
takes over a second to import, so it is imported by the first call. Families without a regional metric are asked for at
Cloud Quotas, where a service wants one. All is asked at once in a common time: what keeps one API from answering, be it
that its client takes long to import, costs nothing else.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from controlplane.clock import Clock
from controlplane.gateways.advice import CapacityAdvice
from controlplane.gateways.cloudquotas import FamilyLimits, Limits
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.together import together
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import Advice, Quota, RegionSignals
from controlplane.model.offering import Capacity, Offering, region_of
from controlplane.model.quotas import by_family, family_metric, regional_metric

CATALOGUE_LASTS = timedelta(minutes=10)
PROJECT_METRIC = "GPUS_ALL_REGIONS"
ALL_TOGETHER = 9.0
"""Seconds for everything: less than the engine waits, so that what is known by then is not lost with the rest."""
LATEST = 5.0
"""Seconds after which no second question is put to Cloud Quotas."""
ByRegion = Mapping[str, Mapping[str, Quota] | None]
"""Quotas by region and metric; None where the API says that it could not read them."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """GPU types by zone. unreachable: zones that the listing could not ask."""

    zones: Mapping[str, frozenset[str]]
    unreachable: frozenset[str]
    at: datetime

    def in_region(self, region: str) -> Known[frozenset[str]] | Unknown:
        """Give the GPU types of a region; Unknown when one of its zones could not be asked."""
        if any(region_of(zone) == region for zone in self.unreachable):
            return Unknown(UnknownReason.LIST_INCOMPLETE, self.at, "a zone of the region did not answer")
        types = (names for zone, names in self.zones.items() if region_of(zone) == region)
        return Known(frozenset().union(*types), self.at)

    def by_type(self, region: str) -> dict[str, frozenset[str]]:
        """Give the region's zones by GPU type."""
        found: dict[str, set[str]] = defaultdict(set)
        for zone, names in self.zones.items():
            if region_of(zone) == region:
                for name in names:
                    found[name].add(zone)
        return {name: frozenset(zones) for name, zones in found.items()}


class ComputeSignals:
    """Reads the signals; the catalogue is kept for a while, since GPU types do not come and go by the minute."""

    def __init__(
        self,
        clients: ComputeClients,
        clock: Clock,
        *,
        retrying: Retrying,
        timeout: float,
        families: FamilyLimits | None = None,
        left: Callable[[int], int] | None = None,
        within: float = ALL_TOGETHER,
    ) -> None:
        self._within = within
        self._clients, self._clock, self._retrying, self._timeout = clients, clock, retrying, timeout
        self._families = families
        self._catalogue: Catalogue | None = None
        self._advice = CapacityAdvice(clients, clock, timeout=timeout, left=left)

    def regions(self, wanted: Iterable[str], accelerators: Iterable[str] = ()) -> dict[str, RegionSignals]:
        """Give the signals of these regions. `accelerators`: for which GPU types the limits of families are asked."""
        began, regions = self._clock.monotonic(), tuple(wanted)
        newer = sorted(filter(by_family, set(accelerators)))
        calls: dict[str, Callable[[], Any]] = {"catalogue": self._catalogue_fact, "quotas": self._quotas_fact}
        if newer and self._families is not None:
            calls["families"] = partial(self._families.limits, _over_families(newer, Capacity.ON_DEMAND), regions)
        asked = together(calls, seconds=self._within, clock=self._clock)
        facts = {name: self._fact(answer) for name, answer in asked.items()}
        found = {region: _signals(region, facts["catalogue"], facts["quotas"]) for region in regions}
        if "families" not in facts or self._families is None:
            return found
        limits = facts["families"]
        lacking = _lacking(newer, found.values())
        if isinstance(limits, Known) and lacking and self._clock.monotonic() - began < LATEST:
            limits = self._families.limits(_over_families(newer, Capacity.ON_DEMAND) | lacking, regions)
        return {region: _with_families(region, signals, limits) for region, signals in found.items()}

    def _fact(self, answer: Any) -> Any:
        """Give the fact that a call brought, or why there is none."""
        is_error = isinstance(answer, GatewayError)
        return Unknown(answer.unknown, self._clock.now(), answer.message) if is_error else answer

    def project_gpu_quota(self) -> Known[Quota] | Unknown:
        """Give the quota over all regions; 0 on new projects."""
        now = self._clock.now()
        try:
            project = self._retrying.read(
                lambda: self._clients.get("ProjectsClient").get(
                    project=self._clients.project, timeout=self._timeout, retry=None
                )
            )
        except GatewayError as error:
            return Unknown(error.unknown, now, error.message)
        quotas = _quotas(project.quotas)
        if PROJECT_METRIC not in quotas:
            return Unknown(UnknownReason.NOT_PUBLISHED, now, f"the project publishes no {PROJECT_METRIC}")
        return Known(quotas[PROJECT_METRIC], now)

    def advice(self, offerings: Iterable[Offering]) -> dict[Offering, Known[Advice] | Unknown]:
        """Give the capacity advice, of what the catalogue does not rule out; see `advice`."""
        return self._advice.advice([offering for offering in offerings if self._may_offer(offering)])

    def _may_offer(self, offering: Offering) -> bool:
        kept = self._catalogue
        offered = None if kept is None else kept.in_region(offering.region)
        return not isinstance(offered, Known) or offering.accelerator.type in offered.value

    def _catalogue_fact(self) -> Known[Catalogue] | Unknown:
        now, kept = self._clock.now(), self._catalogue
        if kept is not None and now - kept.at < CATALOGUE_LASTS:
            return Known(kept, kept.at)
        try:
            fresh = self._retrying.read(lambda: self._list_catalogue(now))
        except GatewayError as error:
            return Unknown(error.unknown, now, error.message)
        self._catalogue = None if fresh.unreachable else fresh
        return Known(fresh, now)

    def _list_catalogue(self, now: datetime) -> Catalogue:
        client = self._clients.get("AcceleratorTypesClient")
        zones: dict[str, set[str]] = defaultdict(set)
        unreachable: set[str] = set()
        pager = client.aggregated_list(project=self._clients.project, timeout=self._timeout, retry=None)
        for page in pager.pages:  # `pager.unreachables` forgets all pages but the last
            unreachable |= {name.rpartition("/")[2] for name in page.unreachables}
            for scope, listed in page.items.items():
                zone = scope.rpartition("/")[2]
                if listed.warning.code == "UNREACHABLE":
                    unreachable.add(zone)
                zones[zone] |= {t.name for t in listed.accelerator_types if not t.name.endswith("-vws")}
        return Catalogue({zone: frozenset(names) for zone, names in zones.items()}, frozenset(unreachable), now)

    def _quotas_fact(self) -> Known[ByRegion] | Unknown:
        now = self._clock.now()
        try:
            return Known(self._retrying.read(self._list_regions), now)
        except GatewayError as error:
            return Unknown(error.unknown, now, error.message)

    def _list_regions(self) -> dict[str, Mapping[str, Quota] | None]:
        client = self._clients.get("RegionsClient")
        pager = client.list(project=self._clients.project, timeout=self._timeout, retry=None)
        return {
            region.name: None if region.quota_status_warning.code else _quotas(region.quotas)
            for page in pager.pages
            for region in page.items
        }


def _signals(
    region: str,
    catalogue: Known[Catalogue] | Unknown,
    quotas: Known[ByRegion] | Unknown,
) -> RegionSignals:
    unknown = isinstance(catalogue, Unknown)
    offered = catalogue if isinstance(catalogue, Unknown) else catalogue.value.in_region(region)
    return RegionSignals(
        accelerators=offered,
        quotas=_of_region(region, quotas),
        zones={} if unknown or isinstance(offered, Unknown) else catalogue.value.by_type(region),  # type: ignore[union-attr]
    )


def _over_families(accelerators: Iterable[str], capacity: Capacity) -> set[str]:
    return {family_metric(accelerator, capacity) for accelerator in accelerators}


def _lacking(newer: Iterable[str], found: Iterable[RegionSignals]) -> set[str]:
    """Give the preemptible metrics over families that bind, because some region has no metric of the type's own."""
    published = [signals.quotas.value if isinstance(signals.quotas, Known) else {} for signals in found]
    return _over_families(
        (each for each in newer if not all(regional_metric(each, Capacity.SPOT) in quotas for quotas in published)),
        Capacity.SPOT,
    )


def _with_families(region: str, signals: RegionSignals, limits: Known[Limits] | Unknown) -> RegionSignals:
    if isinstance(limits, Unknown):
        return replace(signals, family_quotas=limits)
    told = {metric: Quota(limit, 0.0, told=False) for metric, limit in limits.value.get(region, {}).items()}
    return replace(signals, family_quotas=Known(told, limits.at))


def _of_region(region: str, quotas: Known[ByRegion] | Unknown) -> Known[Mapping[str, Quota]] | Unknown:
    if isinstance(quotas, Unknown):
        return quotas
    if region not in quotas.value:
        return Unknown(UnknownReason.NOT_PUBLISHED, quotas.at, f"the project lists no region {region}")
    listed = quotas.value[region]
    if listed is None:
        return Unknown(UnknownReason.LIST_INCOMPLETE, quotas.at, "the region's quotas could not be read")
    return Known(listed, quotas.at)


def _quotas(listed: Iterable[Any]) -> dict[str, Quota]:
    """Read quotas by metric; values that are no amounts (negative, NaN, endless) say nothing and are left out."""
    found = {}
    for quota in listed:
        limit, usage = float(quota.limit), float(quota.usage)
        if 0 <= limit < math.inf and 0 <= usage < math.inf:
            found[str(quota.metric)] = Quota(limit, usage)
    return found
