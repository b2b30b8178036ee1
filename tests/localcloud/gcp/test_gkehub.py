"""The fleet through the unmodified google-cloud-gke-hub client, over both transports."""

import time

import pytest
from google.api_core import exceptions as x
from google.cloud import container_v1 as k
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


def ingress_feature(endpoints, member):
    name = f"projects/{endpoints.project}/locations/{member}"
    return h.Feature(spec={"multiclusteringress": {"config_membership": name}})


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
    """Both futures are done; what was made can be read, and then no more. An old name is one of `global`."""
    client.delete_membership(name=f"{parent(endpoints, 'us-east4')}/memberships/gpu-us-east4").result(timeout=60)
    made = client.create_membership(
        parent=parent(endpoints, "global"), membership_id="old-style", resource=membership()
    ).result(timeout=60)
    name = f"{parent(endpoints, 'global')}/memberships/old-style"
    assert made.name == name
    with pytest.raises(x.Conflict):
        client.create_membership(parent=parent(endpoints, "global"), membership_id="old-style", resource=membership())
    client.delete_membership(name=name).result(timeout=60)
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
    client.delete_membership(name=f"{parent(endpoints, 'us-east4')}/memberships/gpu-us-east4").result(timeout=60)
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
    names = [each.name.rpartition("/")[2] for each in client.list_features(parent=parent(endpoints, "global"))]
    assert names == ["multiclusteringress", "multiclusterservicediscovery"]


def test_a_membership_outlives_its_cluster_and_says_so(client, endpoints):
    """A membership whose cluster was deleted is there until it is deleted too, and the ingress feature complains."""
    name = f"{parent(endpoints, 'us-east4')}/memberships/gpu-us-east4"
    containers = endpoints.client(k.ClusterManagerClient)
    containers.delete_cluster(name=f"{parent(endpoints, 'us-east4')}/clusters/gpu-us-east4")
    while len(endpoints.host.clusters) == 5:
        time.sleep(0.01)
    assert client.get_membership(name=name).endpoint.gke_cluster.cluster_missing
    feature = client.get_feature(name=f"{parent(endpoints, 'global')}/features/multiclusteringress")
    states = {key.rpartition("/")[2]: state.state.code for key, state in feature.membership_states.items()}
    assert states["gpu-us-east4"] == h.FeatureState.Code.ERROR
    client.delete_membership(name=name).result(timeout=60)
    assert len(list(client.list_memberships(parent=parent(endpoints)))) == 4


@pytest.mark.parametrize(
    ("link", "says"),
    [
        pytest.param("gpu-us-east4", "is already registered as", id="registered"),
        pytest.param("nothing", "was not found", id="no-cluster"),
    ],
)
def test_a_cluster_is_registered_once_and_must_be_there(client, endpoints, link, says):
    """A second membership of a cluster and one of no cluster are refused, and nothing is made."""
    resource = membership(f"//container.googleapis.com/projects/p/locations/us-east4/clusters/{link}")
    with pytest.raises(x.BadRequest, match=says):
        client.create_membership(parent=parent(endpoints, "global"), membership_id="m", resource=resource)
    assert len(list(client.list_memberships(parent=parent(endpoints)))) == 5


def test_a_feature_is_enabled_changed_and_disabled(client, endpoints):
    """The ingress feature comes with a config membership, which can be another later; then it is gone."""
    name = f"{parent(endpoints, 'global')}/features/multiclusteringress"
    client.delete_feature(name=name).result(timeout=60)
    assert endpoints.cloud.config_cluster() is None
    with pytest.raises(x.NotFound):
        client.get_feature(name=name)
    made = client.create_feature(
        parent=parent(endpoints, "global"),
        feature_id="multiclusteringress",
        resource=ingress_feature(endpoints, "us-west2/memberships/hunt-config"),
    ).result(timeout=60)
    assert made.spec.multiclusteringress.config_membership.endswith("us-west2/memberships/hunt-config")
    assert endpoints.cloud.config_cluster() == "us-west2/hunt-config"
    request = h.UpdateFeatureRequest(
        name=name,
        update_mask={"paths": ["spec.multiclusteringress.config_membership"]},
        resource=ingress_feature(endpoints, "us-east4/memberships/gpu-us-east4"),
    )
    client.update_feature(request=request).result(timeout=60)
    assert endpoints.cloud.config_cluster() == "us-east4/gpu-us-east4"


def test_a_config_membership_that_is_not_there_is_an_error_of_the_feature(client, endpoints):
    """The feature says so, and no cluster's ingress objects count."""
    client.delete_membership(name=f"{parent(endpoints, 'us-west2')}/memberships/hunt-config").result(timeout=60)
    feature = client.get_feature(name=f"{parent(endpoints, 'global')}/features/multiclusteringress")
    assert feature.state.state.code == h.FeatureState.Code.ERROR
    assert endpoints.cloud.config_cluster() is None


def test_service_discovery_is_a_feature_of_its_own(client, endpoints):
    """Services are exported while it is enabled; it needs no config membership."""
    name = f"{parent(endpoints, 'global')}/features/multiclusterservicediscovery"
    assert endpoints.cloud.exports_services()
    client.delete_feature(name=name).result(timeout=60)
    assert not endpoints.cloud.exports_services()
    client.create_feature(
        parent=parent(endpoints, "global"), feature_id="multiclusterservicediscovery", resource=h.Feature()
    ).result(timeout=60)
    assert endpoints.cloud.exports_services()


@pytest.mark.parametrize(
    ("feature", "member", "error"),
    [
        pytest.param("multiclusteringress", "us-west2/memberships/hunt-config", x.Conflict, id="exists"),
        pytest.param("configmanagement", "us-west2/memberships/hunt-config", x.BadRequest, id="unknown"),
    ],
)
def test_a_feature_that_makes_no_sense_is_refused(client, endpoints, feature, member, error):
    """One that is enabled already, or that the local cloud does not have."""
    with pytest.raises(error):
        client.create_feature(
            parent=parent(endpoints, "global"), feature_id=feature, resource=ingress_feature(endpoints, member)
        )


def test_state_brings_memberships_labels_and_addresses_back(endpoints):
    """What users made outlives the daemon."""
    client = endpoints.client(h.GkeHubClient)
    client.delete_membership(name=f"{parent(endpoints, 'us-east4')}/memberships/gpu-us-east4").result(60)
    client.create_membership(parent=parent(endpoints, "global"), membership_id="m", resource=membership()).result(60)
    client.delete_membership(name=f"{parent(endpoints, 'us-central1')}/memberships/gpu-us-central1").result(60)
    state = endpoints.cloud.to_state()
    client.delete_membership(name=f"{parent(endpoints, 'global')}/memberships/m").result(60)
    endpoints.cloud.from_state(state)
    names = {each.name.rpartition("/")[2] for each in client.list_memberships(parent=parent(endpoints))}
    assert names == {"hunt-config", "gpu-europe-west4", "gpu-asia-southeast1", "m"}
