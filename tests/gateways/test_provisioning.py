"""Clusters and memberships that come and go, through the published clients over sockets."""

import asyncio
import json
import time

import pytest

from controlplane.gateways import errors
from controlplane.gateways.access import GoogleAccess, Project
from controlplane.gateways.balancer import EndpointGroups
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.memberships import Memberships, cluster_of
from controlplane.gateways.provisioning import NewCluster, Provisioning
from controlplane.gateways.retrying import Retrying
from controlplane.localcloud.clock import SystemClock as CloudClock
from controlplane.localcloud.faults import Fault, FaultBook
from controlplane.localcloud.gcp import GoogleCloud, HostedCluster, TokenIssuer, new_credentials
from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth, GroupHealth
from controlplane.localcloud.scenario import load_scenario
from controlplane.localcloud.serving import serve
from controlplane.localcloud.stock.ledger import Stock
from controlplane.model.growth import LABEL, ON_DEMAND, Progress
from controlplane.model.offering import ClusterRef
from regional_deploy.runner import growth_permissions, permissions

KEY = new_credentials("gpu-hunter-local", "http://127.0.0.1:1/token")
OURS = {LABEL: ON_DEMAND, "team": "art"}
NEW = ClusterRef("us-east4", "gpu-more")
CREATE = {"methods": ("POST",), "path": "/clusters"}


class Host:
    """Runs clusters, at once or when it is let to; `refuses` is what it says instead."""

    def __init__(self, scenario):
        self.refuses, self.held = "", None
        self.clusters = [HostedCluster(c.name, c.location, "127.0.0.1:6443", "CA") for c in scenario.all_clusters]

    def list(self):
        return list(self.clusters)

    async def create(self, name, location, labels, **more):
        if self.held is not None:
            await self.held.wait()
        if self.refuses:
            raise RuntimeError(self.refuses)
        self.clusters.append(HostedCluster(name, location, "127.0.0.1:6443", "CA", labels=dict(labels)))

    async def delete(self, name, location):
        self.clusters = [c for c in self.clusters if (c.name, c.location) != (name, location)]


class Balancer:
    def __init__(self):
        self.services = {}

    def health(self):
        return self.services

    def leaked_groups(self):
        return []

    def forwarding_rules(self):
        return []


class Google:
    """The endpoints on a port, and our gateway pointed at them."""

    def __init__(self, loop, folder):
        self.loop, scenario = loop, load_scenario(None)
        self.host, self.faults, self.balancer, self.stock = Host(scenario), FaultBook(), Balancer(), Stock(scenario)
        self.cloud = GoogleCloud(
            scenario,
            self.stock,
            CloudClock(),
            clusters=self.host,
            backends=self.balancer,
            faults=self.faults,
            tokens=TokenIssuer(CloudClock(), KEY),
        )
        self.http = self.run(serve(self.cloud.app, "127.0.0.1", 0, None, None))
        url = f"http://127.0.0.1:{self.http.port}"
        key = folder / "key.json"
        key.write_text(json.dumps({**KEY, "token_uri": f"{url}/token"}))
        endpoints = dict.fromkeys(("container", "compute", "gkehub"), url)
        self.access = GoogleAccess(Project(scenario.project, endpoints, key))
        retrying = Retrying(patience=60.0, first_wait=0.02)
        self.gateway = Provisioning(self.access, retrying=retrying, timeout=60)
        self.memberships = Memberships(self.access, retrying=retrying, timeout=60)
        self.groups = EndpointGroups(ComputeClients(self.access), retrying=retrying, timeout=60)
        self.project = scenario.project

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def fail(self, kind, **options):
        async def add():
            self.faults.add(Fault("gcp", kind, **options))

        self.run(add())

    def hold(self):
        """Have creations wait; give what lets them go on."""

        async def make():
            self.host.held = asyncio.Event()

        self.run(make())
        return lambda: self.loop.call_soon_threadsafe(self.host.held.set)

    def settled(self, look, wanted):
        """Look until it is as wanted; what is under way in the endpoints takes a turn of their loop."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if wanted(found := look()):
                return found
            self.run(asyncio.sleep(0.01))
        raise AssertionError(found)

    def made(self):
        """Make the cluster NEW; give it as it is seen when it is there."""
        self.gateway.create_cluster(NewCluster(NEW, OURS))
        return self.settled(lambda: self.gateway.cluster(NEW), lambda c: c is not None and c.status == "RUNNING")


@pytest.fixture
def google(loop, tmp_path):
    """Give the endpoints with our gateway."""
    made = Google(loop, tmp_path)
    yield made
    made.run(made.cloud.close())
    made.run(made.http.stop())


def test_a_cluster_is_asked_for_and_is_there_later(google):
    """Creation does not wait; meanwhile the cluster is seen as being made, with our labels."""
    go_on = google.hold()
    operation = google.gateway.create_cluster(NewCluster(NEW, OURS))
    seen = google.gateway.clusters().clusters[NEW]
    assert (seen.status, seen.on_demand, seen.labels["team"], seen.autopilot) == ("PROVISIONING", True, "art", True)
    assert google.gateway.operation(NEW.location, operation).progress is Progress.RUNNING
    go_on()
    done = google.settled(
        lambda: google.gateway.operation(NEW.location, operation), lambda o: o.progress is not Progress.RUNNING
    )
    assert (done.progress, done.message) == (Progress.DONE, "")
    assert google.gateway.cluster(NEW).status == "RUNNING"


def test_a_new_cluster_is_registered_as_it_is_made(google):
    """The fleet field registers it under its own name in its region, and the cluster names its membership."""
    seen = google.made()
    membership = google.memberships.listing().of(NEW)
    assert membership.name.endswith("/locations/us-east4/memberships/gpu-more")
    assert seen.membership.endswith("/locations/us-east4/memberships/gpu-more")


def test_creating_again_is_fine_when_it_is_ours(google):
    """A pass that does not remember its creation repeats it without harm."""
    google.made()
    assert google.gateway.create_cluster(NewCluster(NEW, OURS)) == ""


def test_a_name_that_another_has_is_told_and_left_alone(google):
    """A cluster of that name without our labels is somebody else's."""
    google.host.clusters.append(HostedCluster(NEW.name, NEW.location, "127.0.0.1:6443", "CA", labels={"team": "art"}))
    with pytest.raises(errors.AlreadyExists, match=r"us-east4/gpu-more is .* not ours .*gpu-hunter=on-demand"):
        google.gateway.create_cluster(NewCluster(NEW, OURS))


def test_a_creation_that_ends_badly_says_why(google):
    """The operation fails with the reason, and the broken cluster carries it too and can be taken away."""
    google.host.refuses = 'Insufficient regional quota to satisfy request: resource "CPUS"'
    operation = google.gateway.create_cluster(NewCluster(NEW, OURS))
    done = google.settled(
        lambda: google.gateway.operation(NEW.location, operation), lambda o: o.progress is not Progress.RUNNING
    )
    assert done.progress is Progress.FAILED
    assert "CPUS" in done.message
    broken = google.gateway.cluster(NEW)
    assert broken.status == "ERROR"
    assert "CPUS" in broken.message
    google.gateway.delete_cluster(NEW, uid=broken.uid, labels=OURS)
    assert google.settled(lambda: google.gateway.cluster(NEW), lambda c: c is None) is None


def test_an_operation_that_nobody_knows_is_gone(google):
    """An operation of long ago is neither running nor failed."""
    assert google.gateway.operation(NEW.location, "operation-1").progress is Progress.GONE


def test_a_lost_answer_of_a_creation_is_in_doubt_and_repeating_it_is_safe(google):
    """The cluster was made though nobody heard of it; the next try finds it."""
    google.fail("lost-answer", times=1, **CREATE)
    with pytest.raises(errors.Ambiguous):
        google.gateway.create_cluster(NewCluster(NEW, OURS))
    assert google.gateway.create_cluster(NewCluster(NEW, OURS)) == ""


def test_a_cluster_is_deleted_once_and_gone_later(google):
    """Deleting what is gone already is as good."""
    seen = google.made()
    assert google.gateway.delete_cluster(NEW, uid=seen.uid, labels=OURS).startswith("operation-")
    assert google.settled(lambda: google.gateway.cluster(NEW), lambda c: c is None) is None
    assert google.gateway.delete_cluster(NEW, uid=seen.uid, labels=OURS) == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"uid": "another"}, "made anew", id="another-of-that-name"),
        pytest.param({"labels": {**OURS, "more": "x"}}, "more=x", id="lacks-a-label"),
        pytest.param({"labels": {}}, "none given", id="no-label-asked-for"),
    ],
)
def test_what_is_not_provably_ours_is_not_deleted(google, change, why):
    """The id that was seen and the labels are looked at right before."""
    seen = google.made()
    with pytest.raises(errors.Conflict, match=why):
        google.gateway.delete_cluster(NEW, **{"uid": seen.uid, "labels": OURS, **change})
    assert google.gateway.cluster(NEW).status == "RUNNING"


def test_a_listing_says_where_it_could_not_look(google):
    """Clusters and memberships of a dark region are not said to be gone."""
    google.made()
    google.stock.region_down("us-east4")
    clusters, memberships = google.gateway.clusters(), google.memberships.listing()
    assert NEW not in clusters.clusters
    assert any(place.startswith("us-east4") for place in clusters.unlisted)
    assert any(place.startswith("us-east4") for place in memberships.unlisted)


def test_a_cluster_leaves_the_fleet_and_joins_it_again(google):
    """Both may be repeated."""
    google.made()
    name = google.memberships.listing().of(NEW).name
    assert "/operations/" in google.memberships.delete(name, NEW)
    assert google.settled(lambda: google.memberships.listing().of(NEW), lambda m: m is None) is None
    assert google.memberships.delete(name, NEW) == ""
    assert google.memberships.create(NEW, labels=OURS)
    assert google.settled(lambda: google.memberships.listing().of(NEW), lambda m: m is not None).name == name
    assert google.memberships.create(NEW) == ""


def test_a_membership_that_registers_another_cluster_is_left_alone(google):
    """The name alone proves nothing."""
    google.made()
    name = google.memberships.listing().of(NEW).name
    with pytest.raises(errors.Conflict, match="does not register"):
        google.memberships.delete(name, ClusterRef("us-east4", "another"))
    assert google.memberships.listing().of(NEW) is not None


def test_endpoint_groups_are_told_with_their_cluster(google):
    """What the load balancer holds in a zone, and for which cluster."""
    group = GroupHealth(name="k8s1-a", zone="us-east4-a", cluster="us-east4/gpu-more", uid="k1")
    google.balancer.services = {"b": BackendServiceHealth("b", "default", "web", 80, (group,), health_check="hc")}
    (found,) = google.groups.listing()
    assert (found.name, found.zone, found.cluster_uid) == ("k8s1-a", "us-east4-a", "k1")


def test_endpoint_groups_that_cannot_all_be_listed_are_unknown(google):
    """A group that is not seen is not gone."""
    google.stock.region_down("us-east4")
    with pytest.raises(errors.ListIncomplete):
        google.groups.listing()


def test_the_role_for_growth_is_what_is_called_and_no_more(google):
    """Every method has its permission in one of the two roles, and no permission of this one is idle (X2).

    Rights inside a cluster are checked there; see `tests/engine/growth/test_act.py`.
    """
    operation = google.gateway.create_cluster(NewCluster(NEW, OURS))
    seen = google.settled(lambda: google.gateway.cluster(NEW), lambda c: c is not None and c.status == "RUNNING")
    google.gateway.operation(NEW.location, operation)
    google.groups.listing()
    google.settled(lambda: google.memberships.listing().of(NEW), lambda m: m is not None)
    google.memberships.delete(google.memberships.listing().of(NEW).name, NEW)
    google.settled(lambda: google.memberships.listing().of(NEW), lambda m: m is None)
    google.memberships.create(NEW)
    google.gateway.delete_cluster(NEW, uid=seen.uid, labels=OURS)
    used = {use.permission for use in google.cloud.uses}
    ours = {each for each in growth_permissions() if not each.startswith("container.clusterRole")}
    assert used - set(permissions()) == ours


@pytest.mark.parametrize(
    ("link", "ref"),
    [
        pytest.param(
            "//container.googleapis.com/projects/p/locations/us-east4/clusters/c", ClusterRef("us-east4", "c"), id="new"
        ),
        pytest.param(
            "//container.googleapis.com/projects/1/zones/us-east4-a/clusters/c", ClusterRef("us-east4-a", "c"), id="old"
        ),
        pytest.param("//other.example/clusters/c", None, id="none-of-gke"),
    ],
)
def test_a_membership_names_its_cluster(link, ref):
    """Links of both ages are read; what is no GKE cluster has none."""
    assert cluster_of(link) == ref
