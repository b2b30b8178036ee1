"""The metadata server of a Cloud Run job: google-auth takes its credentials from it, and nobody without the header."""

import pytest
import requests

from controlplane.localcloud.metadata import MetadataServer


@pytest.fixture
def server():
    with MetadataServer("p-1", "hunter@p-1.iam.gserviceaccount.com", lambda: "secret-token") as made:
        yield made


def test_google_auth_takes_project_account_and_token(server):
    """Through the published client, unchanged."""
    from google.auth.compute_engine import Credentials
    from google.auth.transport.requests import Request

    class Here(Request):
        def __call__(self, url, **options):
            host = server.environment["GCE_METADATA_HOST"]
            return super().__call__(url.replace("metadata.google.internal", host), **options)

    credentials = Credentials()
    credentials.refresh(Here())
    assert credentials.token == "secret-token"
    assert credentials.service_account_email == "hunter@p-1.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("instance/service-accounts/default/token", {}, 403),
        ("instance/service-accounts/default/token", {"Metadata-Flavor": "Google"}, 200),
        ("project/project-id", {"Metadata-Flavor": "Google"}, 200),
        ("instance/nothing", {"Metadata-Flavor": "Google"}, 404),
    ],
    ids=["without-the-header", "token", "project", "unknown"],
)
def test_only_who_sends_the_header_is_answered(server, path, headers, status):
    """A page in a browser cannot send it."""
    host = server.environment["GCE_METADATA_HOST"]
    answer = requests.get(f"http://{host}/computeMetadata/v1/{path}", headers=headers, timeout=60)
    assert answer.status_code == status
    assert ("secret-token" in answer.text) == (status == 200 and path.endswith("token"))
