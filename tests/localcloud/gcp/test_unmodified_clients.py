"""The clients as a program uses them: default transports, TLS, a key file, and nothing but settings."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.e2e

PROGRAM = textwrap.dedent(
    """
    import json, sys
    from google.cloud import compute_v1, container_v1, gkehub_v1

    project, grpc, rest = sys.argv[1:]
    parent = f"projects/{project}/locations/-"
    container = container_v1.ClusterManagerClient(client_options={"api_endpoint": grpc})
    hub = gkehub_v1.GkeHubClient(client_options={"api_endpoint": grpc})
    regions = compute_v1.RegionsClient(client_options={"api_endpoint": rest})
    by_rest = container_v1.ClusterManagerClient(transport="rest", client_options={"api_endpoint": rest})
    print(json.dumps({
        "transport": container.transport.kind,
        "clusters": [each.name for each in container.list_clusters(parent=parent).clusters],
        "by_rest": [each.name for each in by_rest.list_clusters(parent=parent).clusters],
        "memberships": len(list(hub.list_memberships(parent=parent))),
        "regions": [each.name for each in regions.list(project=project)],
    }))
    """
)


def test_default_transports_reach_the_endpoints_with_settings_alone(over_tls, tmp_path):
    """Both transports work over TLS, authenticated with the issued key file through the token endpoint."""
    endpoints, pki = over_tls
    key_file = tmp_path / "key.json"
    key_file.write_text(json.dumps(endpoints.credentials_info))
    settings = {
        "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
        "REQUESTS_CA_BUNDLE": str(pki.ca_file),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(pki.ca_file),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, endpoints.project, f"localhost:{endpoints.grpc_port}", endpoints.rest],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["transport"] == "grpc"
    assert len(seen["clusters"]) == seen["memberships"] == 5
    assert seen["by_rest"] == seen["clusters"]
    assert "us-east4" in seen["regions"]
