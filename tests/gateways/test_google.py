"""The Google Cloud APIs over sockets, through the published clients: fleet, signals, advice and backend health."""

import asyncio
import json
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from google.oauth2 import service_account
from requests.adapters import HTTPAdapter

from controlplane.clock import SystemClock
from controlplane.gateways import errors
from controlplane.gateways.access import GoogleAccess, Project
from controlplane.gateways.advice import CapacityAdvice
from controlplane.gateways.balancer import LoadBalancerHealth
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.elsewhere import is_elsewhere
from controlplane.gateways.fleet import Fleet
from controlplane.gateways.hub import Hub
from controlplane.gateways.kubeapi import KubernetesApi
from controlplane.gateways.resources import NAMESPACES
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.signals import ComputeSignals
from controlplane.localcloud.apiserver.server import ApiServer
from controlplane.localcloud.clock import SystemClock as CloudClock
from controlplane.localcloud.faults import Fault, FaultBook
from controlplane.localcloud.gcp import GoogleCloud, HostedCluster, TokenIssuer, new_credentials
from controlplane.localcloud.loadbalancer.resources import BackendServiceHealth, EndpointHealth, GroupHealth
from controlplane.localcloud.scenario import load_scenario
from controlplane.localcloud.serving import serve
from controlplane.localcloud.stock.ledger import Stock
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.fleet import EndpointChoice, FleetSpec
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering

APIS = ("container", "compute", "gkehub", "connectgateway")
CONFIG = ClusterRef("us-west2", "hunt-config")
KEY = new_credentials("gpu-hunter-local", "http://127.0.0.1:1/token")


class Host:
    def __init__(self, scenario):
        self.clusters = [
            HostedCluster(spec.name, spec.location, "127.0.0.1:6443", "-----BEGIN CERTIFICATE-----", labels=spec.labels)
            for spec in scenario.all_clusters
        ]

    def list(self):
        return list(self.clusters)


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
    """The endpoints on a port, and our gateways pointed at them."""

    def __init__(self, loop, folder):
        self.loop, scenario = loop, load_scenario(None)
        self.host, self.stock, self.faults, self.balancer = Host(scenario), Stock(scenario), FaultBook(), Balancer()
        self.tokens, self.servers = TokenIssuer(CloudClock(), KEY), {}
        self.cloud = GoogleCloud(
            scenario,
            self.stock,
            CloudClock(),
            clusters=self.host,
            backends=self.balancer,
            faults=self.faults,
            tokens=self.tokens,
            servers=lambda link: self.servers[link].app if link in self.servers else None,
        )
        self.http = self.run(serve(self.cloud.app, "127.0.0.1", 0, None, None))
        url = f"http://127.0.0.1:{self.http.port}"
        key = folder / "key.json"
        key.write_text(json.dumps({**KEY, "token_uri": f"{url}/token"}))
        self.access = GoogleAccess(Project(scenario.project, dict.fromkeys(APIS, url), key))
        self.retrying = Retrying(attempts=2, patience=60.0, first_wait=0.02)
        self.compute = ComputeClients(self.access)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def fail(self, kind, **options):
        async def add():
            self.faults.add(Fault("gcp", kind, **options))

        self.run(add())

    def fleet(self, config=CONFIG, choice=EndpointChoice.AUTO, clock=None, **options):
        """Give the gateway as a pass with such a Fleet uses it; one object keeps what the hub told."""
        clock = clock or SystemClock()
        hub = Hub(self.access, clock, self.retrying, 60)
        fleet = Fleet(
            self.access,
            config,
            hub,
            clock=clock,
            retrying=self.retrying,
            timeout=60,
            choice=options.get("endpoint", choice),
        )
        wanted = FleetSpec(self.access.project.name, CONFIG, **options)
        return SimpleNamespace(listing=partial(fleet.listing, wanted), config_endpoint=fleet.config_endpoint)

    def signals(self):
        return ComputeSignals(self.compute, SystemClock(), retrying=self.retrying, timeout=60)


@pytest.fixture
def google(loop, tmp_path):
    """Give the endpoints with our gateways."""
    made = Google(loop, tmp_path)
    yield made
    made.run(made.http.stop())


def test_members_are_the_autopilot_clusters_of_the_fleet(google):
    """All clusters but the config cluster, with endpoint and certificate authority."""
    listing = google.fleet().listing()
    assert [info.ref.location for info in listing.clusters] == [
        "asia-southeast1",
        "europe-west4",
        "us-central1",
        "us-east4",
    ]
    assert CONFIG not in listing.endpoints
    endpoint = listing.endpoints[listing.clusters[0].ref]
    assert endpoint.url == "https://127.0.0.1:6443"
    assert endpoint.ca_pem.startswith("-----BEGIN CERTIFICATE")
    assert listing.unlisted == ()


def test_membership_follows_fleet_and_labels(google):
    """A cluster outside the fleet or with the label `ignore` is no member; labels asked for narrow the choice."""
    first, second, third, *_ = [c for c in google.host.clusters if c.name != CONFIG.name]
    google.host.clusters = [
        replace(first, labels={"gpu-hunter": "ignore"}),
        replace(second, fleet=False),
        replace(third, labels={"team": "a"}),
    ]
    assert [info.ref.name for info in google.fleet().listing().clusters] == [third.name]
    assert google.fleet(labels={"team": "b"}).listing().clusters == ()


def test_a_listing_tells_that_it_is_not_complete(google):
    """A region that could not be asked is named, and its clusters are not said to be gone."""
    google.stock.region_down("us-east4")
    listing = google.fleet().listing()
    assert any(place.startswith("us-east4") for place in listing.unlisted)


def test_a_cluster_that_is_being_made_is_not_usable(google):
    """Only running and reconciling clusters are asked."""
    google.host.clusters[1] = replace(google.host.clusters[1], status="PROVISIONING")
    listing = google.fleet().listing()
    assert [i.usable for i in listing.clusters].count(False) == 1


def test_the_config_cluster_must_exist(google):
    """A wrong name is a configuration problem with the remedy, not an unreachable cloud."""
    google.host.clusters = google.host.clusters[1:]
    with pytest.raises(errors.ConfigurationProblem, match="us-west2/hunt-config"):
        google.fleet().config_endpoint()


def test_a_project_without_a_config_cluster_is_told_what_to_do(google):
    """As an empty project of the local cloud has none; no API is asked for what has no name."""
    with pytest.raises(errors.ConfigurationProblem, match="no multiclusteringress feature names one; enable it"):
        google.fleet(ClusterRef("", "")).config_endpoint()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("503", errors.ServerFault), ("429", errors.Throttled), ("cut", errors.Unreachable), ("403", errors.Forbidden)],
)
def test_a_listing_under_faults(google, kind, expected):
    """What goes wrong with the listing is told by its class."""
    google.access.token()
    google.fail(kind, path="clusters")
    with pytest.raises(expected):
        google.fleet().listing()


def test_signals_by_region(google):
    """GPU types by zone and quotas by metric; a metric that does not exist is not there, rather than 0."""
    found = google.signals().regions(["us-central1", "us-east4"])
    central = found["us-central1"]
    assert central.accelerators.value == {"nvidia-l4", "nvidia-tesla-t4", "nvidia-tesla-a100"}
    assert central.zones["nvidia-tesla-a100"] == {"us-central1-f"}
    assert central.quotas.value["NVIDIA_L4_GPUS"].limit == 16
    assert "NVIDIA_H100_GPUS" not in central.quotas.value
    assert google.signals().project_gpu_quota().value.limit == 64


def test_a_zone_that_does_not_answer_makes_its_region_unknown(google):
    """The catalogue of a region with a silent zone is Unknown; the other regions stay known."""
    google.stock.region_down("us-east4")
    found = google.signals().regions(["us-central1", "us-east4"])
    assert isinstance(found["us-east4"].accelerators, Unknown)
    assert found["us-east4"].accelerators.reason is UnknownReason.LIST_INCOMPLETE
    assert isinstance(found["us-central1"].accelerators, Known)


def test_signals_that_fail_are_unknown(google):
    """No permission, no signals, no exception."""
    google.access.token()
    google.fail("403")
    signals = google.signals()
    found = signals.regions(["us-central1"])["us-central1"]
    assert found.accelerators.reason is UnknownReason.FORBIDDEN
    assert found.quotas.reason is UnknownReason.FORBIDDEN
    assert signals.project_gpu_quota().reason is UnknownReason.FORBIDDEN


def offering(region, accelerator="nvidia-l4", capacity=Capacity.SPOT):
    return Offering(ClusterRef(region, "gpu-1"), Accelerator(accelerator), capacity)


def test_advice_for_spot(google):
    """Scores come for Spot where they are published; on-demand is not asked, silence is Unknown and not 0."""
    known, silent, unasked = (
        offering("europe-west4"),
        offering("europe-west4", "nvidia-tesla-t4"),
        offering("us-east4", capacity=Capacity.ON_DEMAND),
    )
    found = CapacityAdvice(google.compute, SystemClock(), timeout=60).advice([known, silent, unasked])
    assert (found[known].value.obtainability, found[known].value.preemption_rate) == (0.9, 0.03)
    assert isinstance(found[silent], Unknown) or found[silent].value.obtainability is None
    assert unasked not in found


def test_advice_that_hangs_costs_little(google):
    """All advice together gets two seconds; then it is Unknown."""
    google.compute.get("AdviceClient")
    google.fail("hang", path="advice")
    clock = SystemClock()
    found = CapacityAdvice(google.compute, clock, timeout=600).advice([offering("us-east4"), offering("us-central1")])
    assert all(isinstance(fact, Unknown) for fact in found.values())


def test_advice_outlives_a_silence_for_an_hour(google):
    """While the API is away the last answer stands, so that prices do not come and go; after an hour it is Unknown."""

    class Later(SystemClock):
        shift = timedelta(0)

        def now(self):
            return super().now() + self.shift

    clock, asked = Later(), offering("europe-west4")
    advice = CapacityAdvice(google.compute, clock, timeout=60)
    first = advice.advice([asked])[asked]
    google.fail("503", path="advice")
    clock.shift = timedelta(minutes=30)
    assert advice.advice([asked])[asked] == first
    clock.shift = timedelta(minutes=61)
    assert isinstance(advice.advice([asked])[asked], Unknown)


def group(zone, *healthy):
    endpoints = [EndpointHealth(f"127.1.0.{i}", 7860, healthy=h, pod=f"p{i}", node="n") for i, h in enumerate(healthy)]
    return GroupHealth(f"k8s1-{zone}", zone, "us-central1/cluster", tuple(endpoints))


def test_backend_health_by_region(google):
    """Healthy endpoints are counted by the region of their group; sick ones are not."""
    groups = (group("us-central1-a", True, False), group("us-central1-b", True), group("us-east4-a", False))
    google.balancer.services = {
        "mci-1-web": BackendServiceHealth("mci-1-web", "default", "web", 80, groups, health_check="hc")
    }
    health = LoadBalancerHealth(google.compute, SystemClock(), retrying=google.retrying, timeout=60)
    assert health.healthy(["mci-1-web"]) == {"us-central1": 2, "us-east4": 0}


def test_half_a_count_is_no_count(google):
    """When one group cannot be asked, there is no answer at all."""
    google.balancer.services = {
        "mci-1-web": BackendServiceHealth(
            "mci-1-web",
            "default",
            "web",
            80,
            (group("us-central1-a", True), group("us-east4-a", True)),
            health_check="hc",
        )
    }
    health = LoadBalancerHealth(google.compute, SystemClock(), retrying=Retrying(attempts=1), timeout=60)
    google.access.token()
    google.compute.get("BackendServicesClient")
    google.fail("503", path="getHealth", times=1)
    with pytest.raises(errors.ServerFault):
        health.healthy(["mci-1-web"])


def test_credentials_that_are_missing(tmp_path):
    """A key file that is not there is a configuration problem that names it and says what to do."""
    access = GoogleAccess(Project("p", {}, tmp_path / "nothing.json"))
    with pytest.raises(errors.ConfigurationProblem, match=r"nothing\.json.*gcloud auth"):
        access.token()


def test_a_refused_token_is_replaced_at_most_once_a_minute(google):
    """A token that a server does not accept is asked for anew, not in every call when that does not help."""
    first = google.access.token()
    assert google.access.refused(first)
    second = google.access.token()
    assert second != first
    assert google.access.refused(first), "another thread has renewed it already"
    assert google.access.token() == second
    assert not google.access.refused(second)
    assert google.access.token() == second


def test_where_the_apis_are_elsewhere_google_is_asked_nothing(google, monkeypatch):
    """No request goes to another host, not even one of the library's own in the background."""
    looks_up = "_is_regional_access_boundary_lookup_required"  # tests are kept from it; the library does it by itself
    monkeypatch.setattr(service_account.Credentials, looks_up, lambda _: True)
    hosts, sent, running = set(), HTTPAdapter.send, set(threading.enumerate())

    def send(self, request, **options):
        hosts.add(urlsplit(request.url).hostname)
        if hosts != {"127.0.0.1"}:
            raise AssertionError
        return sent(self, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", send)
    google.fleet().listing()
    google.compute.get("BackendServicesClient").list(project=google.access.project.name)
    for thread in set(threading.enumerate()) - running:
        thread.join(30)
    assert hosts == {"127.0.0.1"}


def test_a_client_goes_on_with_another_token_when_its_own_is_refused(google):
    """A token that ends before its time costs one call more, and no failure."""
    client = google.compute.get("BackendServicesClient")
    client.list(project=google.access.project.name)
    google.tokens.revoke(google.access.token())
    client.list(project=google.access.project.name)


@pytest.mark.parametrize(
    ("url", "elsewhere"),
    [
        pytest.param("https://localhost:8443", True, id="local"),
        pytest.param("https://compute.googleapis.com", False, id="usual"),
        pytest.param("https://compute-private.p.googleapis.com", False, id="private"),
        pytest.param("https://notgoogleapis.com", True, id="alike"),
    ],
)
def test_which_addresses_are_googles(url, elsewhere):
    """Private endpoints are Google's too."""
    assert is_elsewhere(url) is elsewhere


def test_a_member_is_reached_through_the_connect_gateway(google):
    """Reads and writes go by project number and membership; a way that leads nowhere is not an empty cluster."""
    listing = google.fleet(endpoint=EndpointChoice.CONNECT_GATEWAY).listing()
    ref, other, *_ = [info.ref for info in listing.clusters]
    assert "/v1/projects/100000000001/locations/" in listing.endpoints[ref].url
    google.servers[ref.link] = ApiServer(
        ref.name, clock=CloudClock(), database=None, authenticate=google.tokens.authenticate, faults=FaultBook()
    )
    once = Retrying(attempts=1)
    api = KubernetesApi(listing.endpoints[ref], google.access.token, retrying=once)
    api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made"}})
    assert "made" in [each["metadata"]["name"] for each in api.list(NAMESPACES)]
    assert api.get(NAMESPACES, "nowhere") is None
    down = KubernetesApi(listing.endpoints[other], google.access.token, retrying=once)
    with pytest.raises(errors.ServerFault, match="cannot be reached"):
        down.list(NAMESPACES)
    unknown = replace(listing.endpoints[ref], url=f"{listing.endpoints[ref].url}-gone")
    with pytest.raises(errors.Unreachable, match="does not lead there"):
        KubernetesApi(unknown, google.access.token, retrying=once).get(NAMESPACES, "made")
    google.servers[ref.link].close()


def test_auto_comes_to_the_connect_gateway_where_no_other_way_is_open(google):
    """The IP endpoint takes no connection, so the gateway behind it is used, and stays in use."""
    listing = google.fleet().listing()
    ref = listing.clusters[0].ref
    google.servers[ref.link] = ApiServer(
        ref.name, clock=CloudClock(), database=None, authenticate=google.tokens.authenticate, faults=FaultBook()
    )
    assert (listing.endpoints[ref].kind, listing.endpoints[ref].fallback.kind) == ("ip", "connectGateway")
    closed = replace(listing.endpoints[ref], url="http://127.0.0.1:1")
    api = KubernetesApi(closed, google.access.token, retrying=Retrying(attempts=1))
    assert api.list(NAMESPACES)
    google.servers[ref.link].close()
