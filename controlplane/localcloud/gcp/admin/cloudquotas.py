"""Cloud Quotas: the limits of Compute Engine's quotas on GPUs, without their usage.

The limits are those that bind the stock here. One over GPU families has an entry for each family and region; a regional
one has an entry for each region.
Source: https://cloud.google.com/docs/quotas/reference/rest/v1/projects.locations.services.quotaInfos.
"""

from collections.abc import Iterable

from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.errors import not_found
from controlplane.localcloud.gcp.project import Project

_SERVICE = "compute.googleapis.com"
_PARENT = "/v1/projects/{project}/locations/global/services/{service}/quotaInfos"


class CloudQuotasApi:
    """Describes the quotas."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        yield route("GET", _PARENT, self._list)
        yield route("GET", f"{_PARENT}/{{quota}}", self._get)

    def _list(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudquotas.quotas.get")
        return page("quotaInfos", list(self._infos(call["service"]).values()), call.query)

    def _get(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudquotas.quotas.get")
        found = self._infos(call["service"]).get(call["quota"])
        if found is None:
            raise not_found(f"Quota {call['quota']} of service {call['service']} was not found.")
        return found

    def _infos(self, service: str) -> dict[str, Document]:
        found: dict[str, Document] = {}
        if service != _SERVICE:
            return found
        for region in ("", *sorted(each.name for each in self._project.scenario.regions)):
            for quota in self._project.stock.quotas(region):
                name, _, family = quota.metric.partition("/")
                info = self._info(found, name, region, family)
                dimensions = {**({"gpu_family": family} if family else {}), **({"region": region} if region else {})}
                places = [region] if region else ["global"]
                entry = {"details": {"value": f"{quota.limit:.0f}"}, "applicableLocations": places}
                info["dimensionsInfos"].append({**({"dimensions": dimensions} if dimensions else {}), **entry})
        return dict(sorted(found.items()))

    def _info(self, found: dict[str, Document], metric: str, region: str, family: str) -> Document:
        quota_id = f"{metric.replace('_', '-')}-per-project{'-region' if region else ''}"
        parent = f"projects/{self._project.number}/locations/global/services/{_SERVICE}"
        dimensions = [*(["gpu_family"] if family else []), *(["region"] if region else [])]
        return found.setdefault(
            quota_id,
            {
                "name": f"{parent}/quotaInfos/{quota_id}",
                "quotaId": quota_id,
                "metric": f"{_SERVICE}/{metric.lower()}",
                "service": _SERVICE,
                "isPrecise": True,
                "containerType": "PROJECT",
                **({"dimensions": dimensions} if dimensions else {}),
                "metricDisplayName": "GPUs",
                "dimensionsInfos": [],
            },
        )
