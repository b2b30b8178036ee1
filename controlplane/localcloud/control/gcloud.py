"""The variables that lead gcloud, and whatever else reads them, to a local cloud.

gcloud puts the path behind the host for some APIs and expects it in the override for others; the values here are those
that its own generated clients have, with another host. Source: `gcloud topic configurations`, and the BASE_URL of each
client that gcloud brings along.
"""

from collections.abc import Mapping
from pathlib import Path

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


# requests, and so gcloud, would put these before the authority that gcloud is told to trust.
IN_THE_WAY = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def gcloud_environment(
    *, project: str, endpoints: Mapping[str, str], ca_file: Path, credentials_file: Path, folder: Path
) -> dict[str, str]:
    """Give all variables of a gcloud that knows nothing but this cloud; its own files, and kubectl's, are in `folder`.

    What is in `IN_THE_WAY` must be unset besides.
    """
    return {
        "CLOUDSDK_CONFIG": str(folder),
        "CLOUDSDK_CORE_PROJECT": project,
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(ca_file),
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": str(credentials_file),
        # gcloud does not read the token endpoint that the key file names.
        "CLOUDSDK_AUTH_TOKEN_HOST": f"{endpoints['compute']}/token",
        **gcloud_overrides(endpoints),
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
        "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "1",
        "KUBECONFIG": str(folder / "kubeconfig"),
    }
