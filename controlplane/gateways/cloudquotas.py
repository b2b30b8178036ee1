"""Limits of the GPU families that have no regional metric, from the Cloud Quotas API: the H100 and newer.

One quota holds all families, with family and region as its dimensions, and has its id; it is asked for by that, for the
list of all quotas of Compute Engine is megabytes of pages. The API tells limits and no usage. What it does not tell is
not there, neither 0 nor endless: an entry without a value, one without an end (-1), a family that is in no entry.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from controlplane.clock import Clock
from controlplane.gateways.errors import GatewayError, Gone
from controlplane.gateways.rest import Rest, inner
from controlplane.model.facts import Known, Unknown

SERVICE = "compute.googleapis.com"
LASTS = timedelta(minutes=10)
Limits = Mapping[str, Mapping[str, float]]
"""Limits in GPUs by region, then by metric with its family: `GPUS_PER_GPU_FAMILY/NVIDIA_H100`."""


def quota_id(metric: str) -> str:
    """Give the id at Cloud Quotas of a regional metric, or of one over families."""
    return f"{metric.partition('/')[0].replace('_', '-')}-per-project-region"


class FamilyLimits:
    """Reads the limits, and keeps them for a while: they change when somebody is granted more."""

    def __init__(self, rest: Rest, clock: Clock) -> None:
        self._rest, self._clock = rest, clock
        self._kept: dict[str, tuple[datetime, list[Mapping[str, Any]]]] = {}

    def limits(self, metrics: Iterable[str], regions: Iterable[str]) -> Known[Limits] | Unknown:
        """Give what is told of these metrics in these regions; Unknown when one of their quotas cannot be read."""
        wanted, now = sorted(set(metrics)), self._clock.now()
        try:
            entries = {name: self._entries(name) for name in {metric.partition("/")[0] for metric in wanted}}
        except GatewayError as error:
            return Unknown(error.unknown, now, error.message)
        oldest = min((self._kept[name][0] for name in entries), default=now)
        found: dict[str, dict[str, float]] = {}
        for region in regions:
            told = {metric: _limit(entries[metric.partition("/")[0]], metric, region) for metric in wanted}
            found[region] = {metric: limit for metric, limit in told.items() if limit is not None}
        return Known(found, oldest)

    def _entries(self, name: str) -> list[Mapping[str, Any]]:
        now = self._clock.now()
        if name not in self._kept or now - self._kept[name][0] >= LASTS:
            place = f"/v1/projects/{self._rest.project}/locations/global/services/{SERVICE}/quotaInfos"
            try:
                listed = self._rest.call("cloudquotas", "GET", f"{place}/{quote(quota_id(name))}").get(
                    "dimensionsInfos"
                )
            except Gone:
                listed = None  # a quota that does not exist has no entries; the others may have
            entries = [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
            self._kept[name] = (now, entries)
        return self._kept[name][1]


def _limit(entries: Iterable[Mapping[str, Any]], metric: str, region: str) -> float | None:
    """Give the limit of the entry that is made for this region and family more than the others are.

    An entry holds for its dimensions, and where it names only some, for all others in its applicableLocations.
    """
    ours = {"region": region, "gpu_family": metric.partition("/")[2]}
    fitting = [entry for entry in entries if _fits(entry, ours)]
    best = max(fitting, key=lambda entry: len(inner(entry, "dimensions")), default=None)
    return None if best is None else _amount(inner(best, "details").get("value"))


def _fits(entry: Mapping[str, Any], ours: Mapping[str, str]) -> bool:
    places = entry.get("applicableLocations") or ()
    here = not places or ours["region"] in places or "global" in places
    return here and all(ours.get(name) == value for name, value in inner(entry, "dimensions").items())


def _amount(value: object) -> float | None:
    """Read an int64 of JSON, which is a text; a negative one means that there is no end."""
    try:
        amount = int(str(value))
    except ValueError:
        return None
    return float(amount) if amount >= 0 else None
