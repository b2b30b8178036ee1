"""The fleet through the unmodified google-cloud-gke-hub client, over both transports."""

import pytest
from google.api_core import exceptions as x
from google.cloud import gkehub_v1 as h
from google.cloud.gkehub_v1.services.gke_hub.transports import GkeHubGrpcTransport


@pytest.fixture(params=["rest", "grpc"])
def client(request, endpoints):
    if request.param == "rest":
        return endpoints.client(h.GkeHubClient)
    return h.GkeHubClient(transport=GkeHubGrpcTransport(channel=endpoints.grpc_channel()))


def parent(endpoints, location="-"):
    return f"projects/{endpoints.project}/locations/{location}"


def membership(link="//container.googleapis.com/projects/p/locations/us-east4/clusters/gpu-us-east4"):
    return h.Membership(endpoint=h.MembershipEndpoint(gke_cluster=h.GkeCluster(resource_link=link)))


def test_every_cluster_is_a_ready_member_of_its_region(client, endpoints):
    """Memberships are regional and name their cluster."""
    found = {each.name.rpartition("/")[2]: each for each in client.list_memberships(parent=parent(endpoints))}
    one = found["gpu-us-east4"]
    assert one.name == f"{parent(endpoints, 'us-east4')}/memberships/gpu-us-east4"
    assert one.endpoint.gke_cluster.resource_link.endswith("/locations/us-east4/clusters/gpu-us-east4")
    assert one.state.code == h.MembershipState.Code.READY
    assert len(found) == 5
    assert client.get_membership(name=one.name).unique_id == one.unique_id


def test_pages_together_give_the_whole_list(client, endpoints):
    """Small pages lose and repeat nothing."""
    request = h.ListMembershipsRequest(parent=parent(endpoints), page_size=2)
    names = [each.name for each in client.list_memberships(request=request)]
    assert len(names) == len(set(names)) == 5


def test_a_region_that_is_down_is_unreachable(client, endpoints):
    """The list says which locations it may be missing, and the feature that its cluster cannot be reached."""
    endpoints.stock.region_down("us-east4")
    pager = client.list_memberships(parent=parent(endpoints))
    assert list(pager.unreachable) == ["us-east4"]
    assert len(list(pager)) == 4
    with pytest.raises(x.ServiceUnavailable):
        client.get_membership(name=f"{parent(endpoints, 'us-east4')}/memberships/gpu-us-east4", retry=None)


def test_a_membership_is_made_and_taken_away_by_finished_operations(client, endpoints):
    """Both futures are done; what was made can be read, and then no more."""
    made = client.create_membership(
        parent=parent(endpoints, "global"), membership_id="old-style", resource=membership()
    ).result(timeout=5)
    name = f"{parent(endpoints, 'global')}/memberships/old-style"
    assert made.name == name
    with pytest.raises(x.Conflict):
        client.create_membership(parent=parent(endpoints, "global"), membership_id="old-style", resource=membership())
    client.delete_membership(name=name).result(timeout=5)
    with pytest.raises(x.NotFound):
        client.get_membership(name=name)


def test_a_membership_must_name_a_cluster(client, endpoints):
    """A link that is no GKE cluster's is refused."""
    with pytest.raises(x.BadRequest):
        client.create_membership(
            parent=parent(endpoints, "us-east4"), membership_id="m", resource=membership("https://example.com")
        )


def test_a_deleted_membership_leaves_the_cluster(client, endpoints):
    """The fleet forgets the cluster, the cluster runs on."""
    client.delete_membership(name=f"{parent(endpoints, 'us-east4')}/memberships/gpu-us-east4").result(timeout=5)
    assert len(list(client.list_memberships(parent=parent(endpoints)))) == 4
    assert len(endpoints.host.clusters) == 5


def test_the_ingress_feature_names_the_config_membership(client, endpoints):
    """The feature is active, its config membership is the config cluster's, and each member has a state."""
    feature = client.get_feature(name=f"{parent(endpoints, 'global')}/features/multiclusteringress")
    config = feature.spec.multiclusteringress.config_membership
    assert config == f"{parent(endpoints, 'us-west2')}/memberships/hunt-config"
    assert feature.resource_state.state == h.FeatureResourceState.State.ACTIVE
    assert feature.state.state.code == h.FeatureState.Code.OK
    assert {state.state.code for state in feature.membership_states.values()} == {h.FeatureState.Code.OK}
    endpoints.stock.region_down("us-east4")
    feature = client.get_feature(name=feature.name)
    states = {key.rpartition("/")[2]: state.state.code for key, state in feature.membership_states.items()}
    assert states["gpu-us-east4"] == h.FeatureState.Code.WARNING
    assert [each.name for each in client.list_features(parent=parent(endpoints, "global"))] == [feature.name]


def test_a_cluster_that_is_gone_is_missing_from_its_membership(client, endpoints):
    """A membership outlives its cluster and says so."""
    client.create_membership(parent=parent(endpoints, "global"), membership_id="m", resource=membership()).result(5)
    endpoints.run(endpoints.host.delete("gpu-us-east4", "us-east4"))
    assert client.get_membership(
        name=f"{parent(endpoints, 'global')}/memberships/m"
    ).endpoint.gke_cluster.cluster_missing


def test_state_brings_memberships_labels_and_addresses_back(endpoints):
    """What users made outlives the daemon."""
    client = endpoints.client(h.GkeHubClient)
    client.create_membership(parent=parent(endpoints, "global"), membership_id="m", resource=membership()).result(5)
    client.delete_membership(name=f"{parent(endpoints, 'us-central1')}/memberships/gpu-us-central1").result(5)
    state = endpoints.cloud.to_state()
    client.delete_membership(name=f"{parent(endpoints, 'global')}/memberships/m").result(5)
    endpoints.cloud.from_state(state)
    names = {each.name.rpartition("/")[2] for each in client.list_memberships(parent=parent(endpoints))}
    assert names == {"hunt-config", "gpu-us-east4", "gpu-europe-west4", "gpu-asia-southeast1", "m"}
