"""Clusters through the unmodified google-cloud-container client, over both transports."""

import json
import time

import pytest
from google.api_core import exceptions as x
from google.cloud import container_v1 as k
from google.cloud.container_v1.services.cluster_manager.transports import ClusterManagerGrpcTransport

from controlplane.localcloud.faults import Fault


@pytest.fixture(params=["rest", "grpc"])
def client(request, endpoints):
    if request.param == "rest":
        return endpoints.client(k.ClusterManagerClient)
    return k.ClusterManagerClient(transport=ClusterManagerGrpcTransport(channel=endpoints.grpc_channel()))


def parent(endpoints, location="-"):
    return f"projects/{endpoints.project}/locations/{location}"


def new_cluster(name="gpu-new", **values):
    return k.Cluster(name=name, autopilot=k.Autopilot(enabled=True), resource_labels={"team": "a"}, **values)


def wait(client, endpoints, operation, location="us-east4"):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = client.get_operation(name=f"{parent(endpoints, location)}/operations/{operation.name}")
        if found.status == k.Operation.Status.DONE:
            return found
        time.sleep(0.02)
    raise AssertionError("the operation did not end")


def test_lists_every_cluster_with_what_a_client_needs_to_reach_it(client, endpoints):
    """A list gives name, place, endpoint, CA and fleet membership of all clusters."""
    answer = client.list_clusters(parent=parent(endpoints))
    assert {each.name for each in answer.clusters} >= {"hunt-config", "gpu-us-central1", "gpu-europe-west4"}
    assert list(answer.missing_zones) == []
    one = next(each for each in answer.clusters if each.name == "gpu-us-east4")
    assert (one.location, one.status, one.endpoint) == ("us-east4", k.Cluster.Status.RUNNING, "127.0.0.1:6443")
    assert one.autopilot.enabled
    assert one.master_auth.cluster_ca_certificate == "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"
    assert one.fleet.membership.endswith("/locations/us-east4/memberships/gpu-us-east4")
    assert one.control_plane_endpoints_config.dns_endpoint_config.endpoint == "localhost:6443"
    assert not one.control_plane_endpoints_config.dns_endpoint_config.allow_external_traffic


def test_a_list_of_one_location_holds_that_location_only(client, endpoints):
    """The parent's location narrows the list."""
    answer = client.list_clusters(parent=parent(endpoints, "us-east4"))
    assert [each.name for each in answer.clusters] == ["gpu-us-east4"]


def test_a_region_that_is_down_is_missing_and_named(client, endpoints):
    """A partial list can be told from a whole one, and the region itself does not answer."""
    endpoints.stock.region_down("us-east4")
    answer = client.list_clusters(parent=parent(endpoints))
    assert list(answer.missing_zones) == ["us-east4"]
    assert "gpu-us-east4" not in {each.name for each in answer.clusters}
    with pytest.raises(x.ServiceUnavailable):
        client.get_cluster(name=f"{parent(endpoints, 'us-east4')}/clusters/gpu-us-east4", retry=None)


def test_a_partial_list_fault_leaves_a_region_out_and_says_so(client, endpoints):
    """The fault that makes lists partial does so with the field that tells."""
    endpoints.faults.add(Fault("gcp", "partial-list"))
    answer = client.list_clusters(parent=parent(endpoints))
    assert list(answer.missing_zones) == ["us-central1"]


def test_a_new_cluster_is_provisioned_then_runs_and_joins_the_fleet(client, endpoints):
    """Creation gives an operation; the cluster is PROVISIONING until it is done, then RUNNING."""
    operation = client.create_cluster(
        parent=parent(endpoints, "us-east4"), cluster=new_cluster(fleet=k.Fleet(project=endpoints.project))
    )
    name = f"{parent(endpoints, 'us-east4')}/clusters/gpu-new"
    assert operation.operation_type == k.Operation.Type.CREATE_CLUSTER
    assert client.get_cluster(name=name).status == k.Cluster.Status.PROVISIONING
    assert not wait(client, endpoints, operation).error.message
    born = client.get_cluster(name=name)
    assert (born.status, dict(born.resource_labels)) == (k.Cluster.Status.RUNNING, {"team": "a"})
    assert born.fleet.membership.endswith("/locations/us-east4/memberships/gpu-new")


def test_a_cluster_without_a_fleet_stays_outside(client, endpoints):
    """Only Cluster.fleet registers."""
    operation = client.create_cluster(parent=parent(endpoints, "us-east4"), cluster=new_cluster())
    wait(client, endpoints, operation)
    assert not client.get_cluster(name=f"{parent(endpoints, 'us-east4')}/clusters/gpu-new").fleet.membership


def test_a_cluster_that_cannot_be_made_ends_in_error_and_can_be_deleted(client, endpoints):
    """The operation carries the error, the cluster shows it, and goes away when told to."""
    endpoints.host.refuses = "no port is free"
    operation = client.create_cluster(parent=parent(endpoints, "us-east4"), cluster=new_cluster())
    assert wait(client, endpoints, operation).error.message == "no port is free"
    name = f"{parent(endpoints, 'us-east4')}/clusters/gpu-new"
    assert client.get_cluster(name=name).status == k.Cluster.Status.ERROR
    client.delete_cluster(name=name)
    with pytest.raises(x.NotFound):
        client.get_cluster(name=name)


def test_a_new_cluster_has_the_endpoints_that_were_asked_for(client, endpoints):
    """The DNS endpoint is open to the outside when the request says so, and an IP endpoint can be left out."""
    config = k.ControlPlaneEndpointsConfig(
        dns_endpoint_config=k.ControlPlaneEndpointsConfig.DNSEndpointConfig(allow_external_traffic=True),
        ip_endpoints_config=k.ControlPlaneEndpointsConfig.IPEndpointsConfig(enabled=False),
    )
    operation = client.create_cluster(
        parent=parent(endpoints, "us-east4"), cluster=new_cluster(control_plane_endpoints_config=config)
    )
    wait(client, endpoints, operation)
    born = client.get_cluster(name=f"{parent(endpoints, 'us-east4')}/clusters/gpu-new")
    dns = born.control_plane_endpoints_config.dns_endpoint_config
    assert (dns.endpoint, dns.allow_external_traffic) == ("localhost:6444", True)
    assert born.endpoint == ""


def test_a_cluster_beyond_the_quota_is_refused_in_googles_words(client, endpoints):
    """The fault `cluster-quota` strikes the cluster that it names, with the 403 that GKE gives, and nothing is made."""
    endpoints.faults.add(Fault("gcp", "cluster-quota", path="us-east4/", times=1))
    client.list_clusters(parent=parent(endpoints))
    with pytest.raises(x.Forbidden, match="Insufficient regional quota to satisfy request"):
        client.create_cluster(parent=parent(endpoints, "us-east4"), cluster=new_cluster())
    assert len(client.list_clusters(parent=parent(endpoints)).clusters) == 5
    client.create_cluster(parent=parent(endpoints, "us-east4"), cluster=new_cluster())


def test_a_creation_can_end_in_an_error(client, endpoints):
    """The fault `cluster-error`: the operation ends with Google's words, the cluster is in ERROR and says why."""
    endpoints.set_delays(cluster_create=0.0)
    endpoints.faults.add(Fault("gcp", "cluster-error"))
    operation = client.create_cluster(
        parent=parent(endpoints, "us-east4"), cluster=new_cluster(fleet=k.Fleet(project=endpoints.project))
    )
    assert "does not have enough resources" in wait(client, endpoints, operation).error.message
    failed = client.get_cluster(name=f"{parent(endpoints, 'us-east4')}/clusters/gpu-new")
    assert failed.status == k.Cluster.Status.ERROR
    assert [each.code for each in failed.conditions] == [k.StatusCondition.Code.GCE_STOCKOUT]
    assert not failed.fleet.membership
    with pytest.raises(x.Conflict, match="Already exists: projects/gpu-hunter-local/locations/us-east4/clusters"):
        client.create_cluster(parent=parent(endpoints, "us-east4"), cluster=new_cluster())


def test_a_cluster_that_is_being_made_takes_no_second_operation(client, endpoints):
    """Deleting it, or labelling it, has to wait, in GKE's words."""
    client.create_cluster(parent=parent(endpoints, "us-east4"), cluster=new_cluster())
    with pytest.raises(x.BadRequest, match="Cluster is running incompatible operation operation-"):
        client.delete_cluster(name=f"{parent(endpoints, 'us-east4')}/clusters/gpu-new")


def test_what_is_under_way_goes_on_after_a_restart(endpoints):
    """A new daemon makes the cluster that the old one began, under the same operation; labels and fleet included."""
    client = endpoints.client(k.ClusterManagerClient)
    operation = client.create_cluster(
        parent=parent(endpoints, "us-east4"), cluster=new_cluster(fleet=k.Fleet(project=endpoints.project))
    )
    state = json.loads(json.dumps(endpoints.cloud.to_state()))
    endpoints.run(endpoints.cloud.close())
    endpoints.run(endpoints.take_up(state))
    assert not wait(client, endpoints, operation).error.message
    born = client.get_cluster(name=f"{parent(endpoints, 'us-east4')}/clusters/gpu-new")
    assert dict(born.resource_labels) == {"team": "a"}
    assert born.fleet.membership.endswith("/memberships/gpu-new")


def test_a_deleted_cluster_is_gone(client, endpoints):
    """Deletion gives an operation, and then there is no such cluster."""
    name = f"{parent(endpoints, 'us-east4')}/clusters/gpu-us-east4"
    assert not wait(client, endpoints, client.delete_cluster(name=name)).error.message
    with pytest.raises(x.NotFound, match="Not found: projects/gpu-hunter-local/locations/us-east4/clusters"):
        client.get_cluster(name=name)


def test_labels_are_replaced_when_the_fingerprint_is_current(client, endpoints):
    """Labels change as a whole; an old fingerprint is refused."""
    name = f"{parent(endpoints, 'us-east4')}/clusters/gpu-us-east4"
    old = client.get_cluster(name=name).label_fingerprint
    request = k.SetLabelsRequest(name=name, resource_labels={"role": "gpu"}, label_fingerprint=old)
    wait(client, endpoints, client.set_labels(request=request))
    assert dict(client.get_cluster(name=name).resource_labels) == {"role": "gpu"}
    with pytest.raises(x.BadRequest):
        client.set_labels(request=request)


@pytest.mark.parametrize(
    ("cluster", "location", "error"),
    [
        pytest.param(new_cluster("gpu-us-east4"), "us-east4", x.Conflict, id="exists"),
        pytest.param(new_cluster("Bad_Name"), "us-east4", x.BadRequest, id="bad-name"),
        pytest.param(new_cluster(), "us-east4-a", x.BadRequest, id="zonal"),
        pytest.param(new_cluster(), "mars-north1", x.BadRequest, id="unknown-location"),
        pytest.param(k.Cluster(name="std"), "us-east4", x.BadRequest, id="not-autopilot"),
    ],
)
def test_a_bad_cluster_is_refused(client, endpoints, cluster, location, error):
    """What GKE refuses is refused with the same class of error, and nothing is made."""
    with pytest.raises(error):
        client.create_cluster(parent=parent(endpoints, location), cluster=cluster)
    assert len(client.list_clusters(parent=parent(endpoints)).clusters) == 5


def test_another_project_is_forbidden(client):
    """A project that is not ours gives 403 with the missing permission."""
    with pytest.raises(x.Forbidden, match=r'Required "container.clusters.list" permission'):
        client.list_clusters(parent="projects/somebody-else/locations/-")


def test_what_is_not_implemented_says_so(client, endpoints):
    """A method of the real API that is not served here is UNIMPLEMENTED."""
    with pytest.raises(x.GoogleAPICallError) as caught:
        client.list_node_pools(parent=f"{parent(endpoints, 'us-east4')}/clusters/gpu-us-east4", retry=None)
    assert caught.value.code in (501, 12)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        pytest.param("403", x.Forbidden, id="403"),
        pytest.param("429", x.TooManyRequests, id="429"),
        pytest.param("500", x.InternalServerError, id="500"),
        pytest.param("503", x.ServiceUnavailable, id="503"),
    ],
)
def test_faults_come_as_googles_errors(client, endpoints, kind, error):
    """An injected answer is the exception that the real one is."""
    endpoints.faults.add(Fault("gcp", kind))
    with pytest.raises(error):
        client.list_clusters(parent=parent(endpoints), retry=None)


def test_a_lost_answer_loses_the_answer_and_not_the_deed(client, endpoints):
    """After a lost answer the cluster is there."""
    endpoints.faults.add(Fault("gcp", "lost-answer", times=1, path="[cC]lusters|CreateCluster"))
    with pytest.raises(Exception, match=r"(?i)socket|connection|aborted"):
        client.create_cluster(parent=parent(endpoints, "us-east4"), cluster=new_cluster(), retry=None)
    assert client.get_cluster(name=f"{parent(endpoints, 'us-east4')}/clusters/gpu-new").name == "gpu-new"
