"""Cloud Quotas: the limits of Compute Engine's GPU quotas, those included that no regional metric shows.

It has limits and no usage. The newest GPU families have an on-demand quota here only, by family and region.
Source: https://cloud.google.com/docs/quotas/reference/rest/v1/projects.locations.services.quotaInfos.
"""

from collections.abc import Iterable

from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.errors import not_found
from controlplane.localcloud.gcp.project import Project

_BASE = "/v1/projects/{project}/locations/global/services/{service}/quotaInfos"
_SERVICE = "compute.googleapis.com"


class CloudQuotasApi:
    """Describes the quotas of the stock."""

    def __init__(self, project: Project) -> None:
        self._project = project

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        yield route("GET", _BASE, self._list)
        yield route("GET", f"{_BASE}/{{quota}}", self._get)

    def _list(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudquotas.quotas.get")
        found = self._infos() if call["service"] == _SERVICE else {}
        return page("quotaInfos", [found[name] for name in sorted(found)], call.query, size=50)

    def _get(self, call: Call) -> Document:
        self._project.check(call["project"], "cloudquotas.quotas.get")
        found = self._infos() if call["service"] == _SERVICE else {}
        if call["quota"] not in found:
            raise not_found(f"Quota {call['quota']} of service {call['service']} was not found.")
        return found[call["quota"]]

    def _infos(self) -> dict[str, Document]:
        infos: dict[str, Document] = {}
        places = ["", *(region.name for region in self._project.scenario.regions)]
        for place in places:
            for use in self._project.stock.quotas(place):
                metric, _, family = use.metric.partition("/")
                scope = "per-project-region" if place else "per-project"
                quota_id = f"{metric.replace('_', '-')}-{scope}"
                dimensions = {**({"gpu_family": family} if family else {}), **({"region": place} if place else {})}
                info = infos.setdefault(quota_id, self._info(quota_id, metric, list(dimensions)))
                info["dimensionsInfos"].append(
                    {
                        "dimensions": dimensions,
                        "details": {"value": str(int(use.limit))},
                        "applicableLocations": [place or "global"],
                    }
                )
        return infos

    def _info(self, quota_id: str, metric: str, dimensions: list[str]) -> Document:
        parent = f"projects/{self._project.number}/locations/global/services/{_SERVICE}"
        shown = metric.replace("_", " ").capitalize()
        return {
            "name": f"{parent}/quotaInfos/{quota_id}",
            "quotaId": quota_id,
            "metric": f"{_SERVICE}/{metric.lower()}",
            "service": _SERVICE,
            "isPrecise": True,
            "containerType": "PROJECT",
            "dimensions": dimensions,
            "metricDisplayName": shown,
            "quotaDisplayName": shown,
            "metricUnit": "1",
            "quotaIncreaseEligibility": {"isEligible": True},
            "isConcurrent": True,
            "dimensionsInfos": [],
        }
