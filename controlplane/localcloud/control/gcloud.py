"""The variables that lead gcloud, and whatever else reads them, to a local cloud.

gcloud puts the path behind the host for some APIs and expects it in the override for others; the values here are those
that its own generated clients have, with another host. Source: `gcloud topic configurations`, and the BASE_URL of each
client that gcloud brings along.
"""

from collections.abc import Mapping

REST_APIS = (
    "artifactregistry",
    "cloudbuild",
    "cloudquotas",
    "cloudresourcemanager",
    "cloudscheduler",
    "compute",
    "connectgateway",
    "container",
    "gkehub",
    "iam",
    "iamcredentials",
    "run",
    "serviceusage",
    "storage",
)
_PATHS = {"compute": "compute/v1/", "storage": "storage/v1/"}


def gcloud_overrides(endpoints: Mapping[str, str]) -> dict[str, str]:
    """Give CLOUDSDK_API_ENDPOINT_OVERRIDES_* for endpoints by API, such as {"compute": "https://localhost:1"}."""
    return {
        f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{endpoints[api]}/{_PATHS.get(api, '')}"
        for api in REST_APIS
        if api in endpoints
    }
