"""Service Usage, Resource Manager, the ingress feature's life, regional addresses, and the Date of every answer."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
import requests
from google.api_core.exceptions import Forbidden, NotFound
from google.cloud import compute_v1, container_v1, gkehub_v1
from google.cloud.container_v1.services.cluster_manager.transports import ClusterManagerGrpcTransport

from controlplane.localcloud.serving import serve

PROJECT = "projects/gpu-hunter-local"
PARENT = f"{PROJECT}/locations/global"
FEATURE = f"{PARENT}/features/multiclusteringress"


def call(endpoints, method, path, body=None):
    headers = {"Authorization": f"Bearer {endpoints.cloud.tokens.issue('somebody')}"}
    return requests.request(method, f"{endpoints.rest}/v1/{path}", json=body, headers=headers, timeout=60)


def enabled(endpoints):
    answer = call(endpoints, "GET", f"{PROJECT}/services?filter=state:ENABLED").json()
    return {each["config"]["name"] for each in answer["services"]}


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_disabled_api_is_refused_in_googles_words_until_it_is_enabled(endpoints, transport):
    """The list of services and the API itself say the same."""
    assert "container.googleapis.com" in enabled(endpoints)
    client = (
        endpoints.client(container_v1.ClusterManagerClient)
        if transport == "rest"
        else container_v1.ClusterManagerClient(transport=ClusterManagerGrpcTransport(channel=endpoints.grpc_channel()))
    )
    assert call(endpoints, "POST", f"{PROJECT}/services/container.googleapis.com:disable").status_code == 200
    assert "container.googleapis.com" not in enabled(endpoints)
    with pytest.raises(Forbidden, match=r"container.googleapis.com API has not been used in project \d+ before"):
        client.list_clusters(parent=f"{PROJECT}/locations/-")
    call(endpoints, "POST", f"{PROJECT}/services/container.googleapis.com:enable")
    assert client.list_clusters(parent=f"{PROJECT}/locations/-").clusters


def test_an_api_that_does_not_exist_cannot_be_switched(endpoints):
    """As Service Usage answers, whether it does not exist or may not be seen."""
    assert call(endpoints, "POST", f"{PROJECT}/services/nothing.googleapis.com:enable").status_code == 404


def test_a_denied_permission_is_not_granted_and_the_call_that_needs_it_is_refused(endpoints):
    """`testIamPermissions` leaves it out, and the refusal names it; the rest goes on."""
    endpoints.cloud.deny(["compute.regions.list"])
    asked = {"permissions": ["compute.regions.list", "compute.projects.get"]}
    answer = call(endpoints, "POST", f"{PROJECT}:testIamPermissions", asked).json()
    assert answer == {"permissions": ["compute.projects.get"]}
    with pytest.raises(Forbidden, match=r"compute\.regions\.list"):
        list(endpoints.client(compute_v1.RegionsClient).list(project="gpu-hunter-local"))
    assert endpoints.client(compute_v1.ProjectsClient).get(project="gpu-hunter-local").name


def test_another_projects_permissions_cannot_be_asked(endpoints):
    """Refused, as a project that does not exist is."""
    answer = call(endpoints, "POST", "projects/other:testIamPermissions", {"permissions": ["compute.projects.get"]})
    assert answer.status_code == 403


def test_the_ingress_feature_can_be_deleted_made_and_moved(endpoints):
    """Through the published client; its config membership is what was set last."""
    hub = endpoints.client(gkehub_v1.GkeHubClient)
    member = next(iter(hub.list_memberships(parent=f"{PROJECT}/locations/-"))).name

    def feature(membership):
        return gkehub_v1.Feature(spec={"multiclusteringress": {"config_membership": membership}})

    hub.delete_feature(name=FEATURE)
    with pytest.raises(NotFound):
        hub.get_feature(name=FEATURE)
    assert FEATURE not in {each.name for each in hub.list_features(parent=PARENT)}
    hub.create_feature(parent=PARENT, feature_id="multiclusteringress", resource=feature(member))
    assert hub.get_feature(name=FEATURE).spec.multiclusteringress.config_membership == member
    gone = f"{PROJECT}/locations/global/memberships/gone"
    hub.update_feature(name=FEATURE, update_mask="spec", resource=feature(gone))
    assert hub.get_feature(name=FEATURE).state.state.code == gkehub_v1.FeatureState.Code.ERROR


def test_addresses_of_regions_are_listed_beside_global_ones(endpoints):
    """Each in its scope, as the published client reads the aggregated list."""
    project = "gpu-hunter-local"
    regional, everywhere = endpoints.client(compute_v1.AddressesClient), compute_v1.GlobalAddressesClient
    made = regional.insert(project=project, region="us-central1", address_resource=compute_v1.Address(name="here"))
    operations = endpoints.client(compute_v1.RegionOperationsClient)
    assert operations.wait(project=project, region="us-central1", operation=made.name).status.name == "DONE"
    assert regional.get(project=project, region="us-central1", address="here").address
    endpoints.client(everywhere).insert(project=project, address_resource=compute_v1.Address(name="there"))
    endpoints.cloud.from_state(endpoints.cloud.to_state())  # as after a restart of the daemon
    found = {
        scope: [each.name for each in listed.addresses] for scope, listed in regional.aggregated_list(project=project)
    }
    assert found["regions/us-central1"] == ["here"]
    assert found["global"] == ["there"]
    assert found["regions/us-east4"] == []
    regional.delete(project=project, region="us-central1", address="here").result(timeout=60)
    assert list(regional.list(project=project, region="us-central1")) == []


def test_what_was_changed_outlives_the_daemon(endpoints):
    """Disabled APIs and the feature's config membership are part of the state."""
    call(endpoints, "POST", f"{PROJECT}/services/run.googleapis.com:disable")
    endpoints.client(gkehub_v1.GkeHubClient).delete_feature(name=FEATURE)
    kept = endpoints.cloud.to_state()
    call(endpoints, "POST", f"{PROJECT}/services/run.googleapis.com:enable")
    endpoints.cloud.from_state(kept)
    assert "run.googleapis.com" not in enabled(endpoints)
    with pytest.raises(NotFound):
        endpoints.client(gkehub_v1.GkeHubClient).get_feature(name=FEATURE)


def test_answers_carry_the_clouds_time(loop):
    """So that a client can compare clocks, also with one that a fault has set ahead."""
    offset = timedelta(hours=1)

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def run(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    server = run(serve(app, "127.0.0.1", 0, None, None, now=lambda: datetime.now(UTC) + offset))
    try:
        said = parsedate_to_datetime(requests.get(f"http://127.0.0.1:{server.port}/", timeout=60).headers["Date"])
        assert abs(said - datetime.now(UTC) - offset) < timedelta(seconds=5)
    finally:
        run(server.stop())
