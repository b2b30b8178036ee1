"""Which clusters belong, by what GKE and the hub say in their own messages, and by which endpoint they are called."""

import base64
from types import SimpleNamespace

import pytest
from google.api_core.exceptions import NotFound, PermissionDenied, ServiceUnavailable
from google.cloud import container_v1 as k
from google.cloud import gkehub_v1 as h

from controlplane.gateways import errors
from controlplane.gateways.access import Project
from controlplane.gateways.fleet import Fleet
from controlplane.gateways.hub import KEPT, KEPT_UNKNOWN, Hub
from controlplane.gateways.retrying import Retrying
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.fleet import EndpointChoice, FleetSpec
from controlplane.model.offering import ClusterRef

CONFIG, PROJECT, NUMBER = ClusterRef("us-west2", "hunt-config"), "my-project", "123456789"
EAST, EUROPE = ClusterRef("us-east4", "gpu-1"), ClusterRef("europe-west4", "gpu-2")
HUB = "//gkehub.googleapis.com/"


class Clock:
    seconds = 0.0

    def monotonic(self):
        return self.seconds

    def now(self):
        from datetime import UTC, datetime, timedelta

        return datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def sleep(self, seconds):
        self.seconds += seconds


def named(location, name, project=NUMBER):
    return f"projects/{project}/locations/{location}/memberships/{name}"


def cluster(ref, *, membership=None, dns=None, ip="203.0.113.9", enabled=None, **fields):
    """Give a cluster as GKE describes it; `membership`: its full name, "" for none."""
    membership = named(ref.location, ref.name) if membership is None else membership
    config = k.ControlPlaneEndpointsConfig
    endpoints = config(dns_endpoint_config=config.DNSEndpointConfig(endpoint="gke.goog", allow_external_traffic=dns))
    if enabled is not None:
        endpoints.ip_endpoints_config = config.IPEndpointsConfig(enabled=enabled)
    fields = {"status": k.Cluster.Status.RUNNING, "autopilot": k.Autopilot(enabled=True), **fields}
    return k.Cluster(
        name=ref.name,
        location=ref.location,
        endpoint=ip,
        master_auth=k.MasterAuth(cluster_ca_certificate=base64.b64encode(b"-----BEGIN").decode()),
        control_plane_endpoints_config=endpoints,
        fleet=k.Fleet(membership=HUB + membership, project=NUMBER) if membership else k.Fleet(),
        current_master_version="1.37.1",
        **fields,
    )


def membership(ref, *, name=None, state="READY", missing=False, link="locations"):
    resource = f"//container.googleapis.com/projects/{PROJECT}/{link}/{ref.location}/clusters/{ref.name}"
    return h.Membership(
        name=name or named(ref.location, ref.name, PROJECT),
        state=h.MembershipState(code=state),
        endpoint=h.MembershipEndpoint(gke_cluster=h.GkeCluster(resource_link=resource, cluster_missing=missing)),
    )


def feature(config=CONFIG, code="OK", **members):
    states = {
        named(*key.split("/")): h.MembershipFeatureState(state=h.FeatureState(code=state))
        for key, state in ({f"{config.location}/{config.name}": "OK"} | members).items()
    }
    return h.Feature(
        spec=h.CommonFeatureSpec(
            multiclusteringress={"config_membership": named(config.location, config.name, PROJECT)}
        ),
        state=h.CommonFeatureState(state=h.FeatureState(code=code, description="says so")),
        membership_states=states,
    )


class Cloud:
    """Google Cloud's answers, and how often it was asked."""

    def __init__(self):
        self.clusters, self.missing, self.asked = [cluster(CONFIG)], [], []
        self.pages, self.feature, self.hub_error = [], feature(), None
        self.clock = Clock()
        self.project = Project(PROJECT)
        self.kept = None

    def put(self, *clusters):
        self.clusters = [cluster(CONFIG), *clusters]
        self.pages = [([membership(ClusterRef(c.location, c.name)) for c in self.clusters], [])]

    def list_clusters(self, **_):
        self.asked.append("list_clusters")
        return k.ListClustersResponse(clusters=self.clusters, missing_zones=self.missing)

    def list_memberships(self, **_):
        self.asked.append("list_memberships")
        if self.hub_error:
            raise self.hub_error
        pages = [h.ListMembershipsResponse(resources=found, unreachable=dark) for found, dark in self.pages]
        return SimpleNamespace(pages=pages)

    def get_feature(self, **_):
        self.asked.append("get_feature")
        if self.hub_error:
            raise self.hub_error
        if self.feature is None:
            raise NotFound("no such feature")
        return self.feature

    def fleet(self, choice=EndpointChoice.AUTO):
        access = SimpleNamespace(project=self.project, token=lambda: "t", client=lambda _api, _factory: self)
        once = Retrying(attempts=1, clock=self.clock)
        self.kept = self.kept or Hub(access, self.clock, once, 3)
        return Fleet(access, CONFIG, self.kept, clock=self.clock, retrying=once, timeout=60, choice=choice)

    def listing(self, held=(), **wanted):
        return self.fleet().listing(FleetSpec(PROJECT, CONFIG, **wanted), held)


@pytest.fixture
def cloud():
    """Give Google Cloud with a config cluster and nothing else."""
    return Cloud()


def standing(listing, ref=EAST):
    return next(each for each in listing.seen.standings if each.ref == ref)


@pytest.mark.parametrize(
    ("given", "wanted", "why"),
    [
        pytest.param({}, {}, "", id="registered"),
        pytest.param({"autopilot": k.Autopilot()}, {}, "it is no Autopilot cluster", id="standard"),
        pytest.param({"resource_labels": {"gpu-hunter": "ignore"}}, {}, "gpu-hunter=ignore keeps it out", id="ignored"),
        pytest.param({"resource_labels": {"team": "art"}}, {"labels": {"team": "art"}}, "", id="label"),
        pytest.param(
            {"resource_labels": {"team": "web"}},
            {"labels": {"team": "art"}},
            "the Fleet wants the label team=art, and it has team=web",
            id="other-label",
        ),
        pytest.param({}, {"labels": {"team": "art"}}, "team=art, and it lacks team", id="no-label"),
    ],
)
def test_a_cluster_belongs_or_is_told_why_not(cloud, given, wanted, why):
    """The reason is in words that say what would have to change."""
    cloud.put(cluster(EAST, **given))
    listing = cloud.listing(**wanted)
    assert bool(listing.clusters) == (not why)
    assert why in standing(listing).why
    assert standing(listing).belongs == (not why)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param("PROVISIONING", "it is PROVISIONING", id="being-made"),
        pytest.param("STOPPING", "it is STOPPING", id="going"),
        pytest.param("ERROR", "it is ERROR: quota", id="broken"),
    ],
)
def test_a_member_that_cannot_be_used_still_belongs(cloud, state, expected):
    """It is listed, so nothing takes it for gone, and nothing is placed there."""
    cloud.put(cluster(EAST, status=state, status_message="quota" if state == "ERROR" else ""))
    listing = cloud.listing()
    assert [info.usable for info in listing.clusters] == [False]
    assert standing(listing).why == expected


@pytest.mark.parametrize(
    ("own", "hub"),
    [
        pytest.param(named("us-east4", "gpu-1"), named("us-east4", "gpu-1", PROJECT), id="regional"),
        pytest.param(named("global", "mci-gpu-1"), named("global", "mci-gpu-1", PROJECT), id="global"),
        pytest.param("", named("global", "by-hand", NUMBER), id="that-names-the-cluster"),
    ],
)
def test_old_and_new_memberships_register_a_cluster(cloud, own, hub):
    """By the name that the cluster tells, whatever stands for the project in it, or by the cluster that it names."""
    cloud.put(cluster(EAST, membership=own))
    cloud.pages = [([membership(EAST, name=hub, link="locations" if own else "zones")], [])]
    assert [info.ref for info in cloud.listing().clusters] == [EAST]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        pytest.param([], "is not in the fleet of my-project any more", id="gone"),
        pytest.param([membership(EAST, missing=True)], "says that the cluster was deleted", id="of-a-deleted-cluster"),
    ],
)
def test_a_cluster_without_its_membership_does_not_belong(cloud, found, why):
    """GKE may go on naming a membership that the hub has no more."""
    cloud.put(cluster(EAST))
    cloud.pages = [(found, [])]
    listing = cloud.listing()
    assert listing.clusters == ()
    assert why in standing(listing).why
    assert listing.unlisted == ()


def test_a_cluster_whose_membership_is_being_deleted_leaves(cloud):
    """It is still looked at, and nothing new is placed there."""
    cloud.put(cluster(EAST))
    cloud.pages = [([membership(EAST, state="DELETING")], [])]
    listing = cloud.listing()
    assert [(info.leaving, info.usable) for info in listing.clusters] == [(True, True)]
    assert standing(listing).why == "its membership is being deleted"


def test_what_holds_something_of_ours_leaves_when_it_belongs_no_more(cloud):
    """A cluster that the Fleet's labels leave out is drained where it holds placements; an ignored one is let be."""
    cloud.put(cluster(EAST), cluster(EUROPE, resource_labels={"gpu-hunter": "ignore"}))
    listing = cloud.listing({EAST, EUROPE}, labels={"team": "art"})
    assert [(info.ref, info.leaving) for info in listing.clusters] == [(EAST, True)]
    assert EAST in listing.endpoints


@pytest.mark.parametrize("own", [None, ""], ids=["of-a-member", "of-a-cluster-that-says-nothing"])
def test_an_unreachable_location_of_the_hub_is_unknown(cloud, own):
    """Nothing there is called gone: a member stays, and the listing says that it is not complete."""
    cloud.put(cluster(EAST, membership=own))
    cloud.pages = [([membership(EUROPE)], ["projects/my-project/locations/us-east4"]), ([membership(CONFIG)], [])]
    listing = cloud.listing()
    assert listing.unlisted == ("us-east4",)
    assert [info.ref for info in listing.clusters] == ([EAST] if own is None else [])


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(PermissionDenied("no"), UnknownReason.FORBIDDEN, id="forbidden"),
        pytest.param(ServiceUnavailable("busy"), UnknownReason.SERVER_FAULT, id="down"),
    ],
)
def test_without_the_hub_what_gke_says_stands_in(cloud, error, reason):
    """Registered clusters stay members; what might be registered is not told to be outside."""
    cloud.put(cluster(EAST), cluster(EUROPE, membership=""))
    cloud.hub_error = error
    listing = cloud.listing()
    assert [info.ref for info in listing.clusters] == [EAST]
    assert listing.unlisted == ("europe-west4",)
    assert isinstance(listing.seen.memberships, Unknown)
    assert (listing.seen.memberships.reason, listing.seen.feature.reason) == (reason, reason)


def test_missing_zones_are_told(cloud):
    """What GKE could not ask is not complete."""
    cloud.missing = ["us-east4"]
    assert cloud.listing().unlisted == ("us-east4",)


def test_the_hub_is_asked_once_for_many_passes(cloud):
    """Four passes make four listings of clusters and one of memberships; later it is asked again."""
    cloud.put(cluster(EAST))
    for _ in range(4):
        cloud.listing()
        cloud.clock.sleep(5)
    assert cloud.asked.count("list_clusters") == 4
    assert (cloud.asked.count("list_memberships"), cloud.asked.count("get_feature")) == (1, 1)
    cloud.clock.sleep(KEPT)
    cloud.listing()
    assert cloud.asked.count("list_memberships") == 2


def test_a_new_cluster_has_the_hub_asked_at_once(cloud):
    """An old answer that lacks its membership is no reason to call that gone."""
    cloud.put(cluster(EAST))
    cloud.listing()
    cloud.put(cluster(EAST), cluster(EUROPE))
    assert [info.ref for info in cloud.listing().clusters] == [EUROPE, EAST]


def test_a_hub_that_failed_is_asked_again_soon(cloud):
    """Not in every pass, and not as late as one that answered."""
    cloud.put(cluster(EAST))
    cloud.hub_error = ServiceUnavailable("busy")
    cloud.listing()
    cloud.listing()
    assert cloud.asked.count("list_memberships") == 1
    cloud.hub_error = None
    cloud.clock.sleep(KEPT_UNKNOWN)
    assert isinstance(cloud.listing().seen.memberships, Known)


def test_a_location_that_answers_again_is_told_soon(cloud):
    """An answer that leaves a location out keeps what is too much from going, so it is not kept like a whole one."""
    cloud.put(cluster(EAST))
    whole, cloud.pages = cloud.pages, [([membership(CONFIG)], ["projects/my-project/locations/us-east4"])]
    assert cloud.listing().unlisted == ("us-east4",)
    cloud.pages = whole
    cloud.listing()
    assert cloud.asked.count("list_memberships") == 1
    cloud.clock.sleep(KEPT_UNKNOWN)
    assert cloud.listing().unlisted == ()


def test_one_listing_finds_the_config_cluster_and_the_members(cloud):
    """A pass needs both; the second pass asks anew."""
    fleet, wanted = cloud.fleet(), FleetSpec(PROJECT, CONFIG)
    assert fleet.config_endpoint().url == "https://203.0.113.9"
    fleet.listing(wanted)
    assert cloud.asked.count("list_clusters") == 1
    fleet.listing(wanted)
    assert cloud.asked.count("list_clusters") == 2


def test_a_config_cluster_that_the_listing_left_out_is_asked_for(cloud):
    """Its location may have been silent for a moment; only who is left out of a whole listing is not there."""
    cloud.missing, whole = ["us-west2"], cloud.list_clusters
    cloud.list_clusters = lambda *, parent, **_: (
        k.ListClustersResponse(missing_zones=cloud.missing) if parent.endswith("/-") else whole()
    )
    assert cloud.fleet().config_endpoint().url == "https://203.0.113.9"
    cloud.missing = []
    with pytest.raises(errors.ConfigurationProblem, match="us-west2/hunt-config is not in project my-project"):
        cloud.fleet().config_endpoint()


def chain(endpoint):
    found = []
    while endpoint is not None:
        found.append(endpoint.kind)
        endpoint = endpoint.fallback
    return found


@pytest.mark.parametrize(
    ("given", "choice", "expected"),
    [
        pytest.param({"dns": True}, "auto", ["dns", "ip", "connectGateway"], id="all-there"),
        pytest.param({"dns": False}, "auto", ["ip", "connectGateway"], id="dns-closed"),
        pytest.param({"dns": False, "enabled": False}, "auto", ["connectGateway"], id="ip-closed"),
        pytest.param({"dns": True}, "dns", ["dns"], id="dns"),
        pytest.param({"dns": True}, "ip", ["ip"], id="ip"),
        pytest.param({"dns": True}, "connectGateway", ["connectGateway"], id="gateway"),
        pytest.param({"dns": False}, "dns", [], id="dns-that-is-closed"),
        pytest.param({"enabled": False}, "ip", [], id="ip-that-is-closed"),
        pytest.param({"ip": ""}, "ip", [], id="ip-that-is-not-there"),
    ],
)
def test_the_endpoint_is_the_one_that_was_chosen(cloud, given, choice, expected):
    """Only auto falls back to another one; a choice that a cluster lacks leaves it unused, with the reason."""
    cloud.put(cluster(EAST, **given))
    listing = cloud.listing(endpoint=EndpointChoice(choice))
    assert chain(listing.endpoints.get(EAST)) == expected
    assert [info.usable for info in listing.clusters] == [bool(expected)]
    assert bool(standing(listing).why) == (not expected)


@pytest.mark.parametrize(
    ("own", "url"),
    [
        pytest.param(
            named("us-east4", "gpu-1"),
            "https://us-east4-connectgateway.googleapis.com/v1/projects/123456789/locations/us-east4/gkeMemberships/gpu-1",
            id="regional",
        ),
        pytest.param(
            named("global", "old"),
            "https://connectgateway.googleapis.com/v1/projects/123456789/locations/global/gkeMemberships/old",
            id="global",
        ),
    ],
)
def test_the_gateway_is_called_by_number_and_membership(cloud, own, url):
    """With a public certificate: the cluster's own authority did not sign the gateway's."""
    cloud.put(cluster(EAST, membership=own))
    cloud.pages = [([membership(EAST, name=own)], [])]
    endpoint = cloud.listing(endpoint=EndpointChoice.CONNECT_GATEWAY).endpoints[EAST]
    assert (endpoint.url, endpoint.ca_pem) == (url, None)


def test_certificates_follow_the_endpoint(cloud):
    """The cluster's own authority for its address, the public ones for its name."""
    cloud.put(cluster(EAST, dns=True))
    dns = cloud.listing().endpoints[EAST]
    assert (dns.url, dns.ca_pem) == ("https://gke.goog", None)
    assert (dns.fallback.url, dns.fallback.ca_pem) == ("https://203.0.113.9", "-----BEGIN")


def test_another_cloud_is_never_left_for_googles_gateway(cloud):
    """Where the APIs are elsewhere, so is the gateway, or there is none."""
    cloud.put(cluster(EAST))
    cloud.project = Project(PROJECT, {"container": "http://127.0.0.1:1"})
    assert chain(cloud.listing().endpoints[EAST]) == ["ip"]
    cloud.project, cloud.kept = Project(PROJECT, {"connectgateway": "http://127.0.0.1:2"}), None
    assert cloud.listing().endpoints[EAST].fallback.url.startswith("http://127.0.0.1:2/v1/projects/123456789/")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(feature(), (True, True, ""), id="ours"),
        pytest.param(feature(EAST), (True, False, ""), id="of-another-config-cluster"),
        pytest.param(feature(code="ERROR"), (True, True, "ERROR"), id="broken"),
        pytest.param(None, (False, None, ""), id="not-enabled"),
    ],
)
def test_the_ingress_feature_is_seen(cloud, found, expected):
    """Whether it is enabled, is the config cluster's, and is well."""
    cloud.put(cluster(EAST))
    cloud.feature = found
    told = cloud.listing().seen.feature.value
    assert (told.enabled, told.ours, told.code) == expected


def test_what_the_feature_says_of_a_member_is_told(cloud):
    """A member that the feature cannot lead to is named as such."""
    cloud.put(cluster(EAST))
    cloud.feature = feature(**{"us-east4/gpu-1": "ERROR"})
    assert standing(cloud.listing()).ingress == "ERROR"
