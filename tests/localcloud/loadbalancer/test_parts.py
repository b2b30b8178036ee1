"""The small parts: distances, names, what is read from objects, what survives on disk."""

import json

import pytest

from controlplane.localcloud.loadbalancer import state as states
from controlplane.localcloud.loadbalancer.cloud_resources import read_health
from controlplane.localcloud.loadbalancer.distances import kilometres, nearest_first, region_of
from controlplane.localcloud.loadbalancer.envoy_backends import Endpoint
from controlplane.localcloud.loadbalancer.members import MemberState
from controlplane.localcloud.loadbalancer.multicluster import Asked, read
from controlplane.localcloud.loadbalancer.names import resource_name
from controlplane.localcloud.loadbalancer.wanted import Wanted


class NothingThere:
    """A project without certificates, policies and Secrets."""

    def get(self, kind, name):
        raise ValueError(f"{kind}/{name} was not found")

    def secret(self, namespace, name, keys):
        raise ValueError(f"secret {namespace}/{name} not found")


EDGE = NothingThere()


@pytest.mark.parametrize(
    ("client", "nearest"),
    [
        pytest.param("us-central1", "us-central1", id="its-own-region"),
        pytest.param("us-west2", "us-central1", id="america"),
        pytest.param("europe-west9", "europe-west4", id="europe"),
        pytest.param("australia-southeast1", "asia-southeast1", id="across-the-antimeridian"),
    ],
)
def test_the_nearest_region_is_the_nearest_on_the_globe(client, nearest):
    """Great-circle distance decides."""
    assert nearest_first(client, ["asia-southeast1", "europe-west4", "us-central1"])[0] == nearest


def test_unknown_regions_come_last_by_name():
    """A region that is not in the table is as far as can be."""
    assert nearest_first("us-east4", ["moon-a1", "europe-west4", "mars-b1"]) == ["europe-west4", "mars-b1", "moon-a1"]
    assert 6000 < kilometres("us-east4", "europe-west4") < 6700


@pytest.mark.parametrize(
    ("location", "region"),
    [("us-central1", "us-central1"), ("us-west1-a", "us-west1"), ("us-south1-ai1b", "us-south1")],
)
def test_a_location_is_a_region_or_in_one(location, region):
    """AI zones too."""
    assert region_of(location) == region


def test_resource_names_are_valid_and_distinct():
    """Long names are cut to 63 characters and stay apart."""
    one, other = resource_name("80-sd-" + "x" * 80), resource_name("80-sd-" + "x" * 81)
    assert len(one) == len(other) == 63
    assert one != other
    assert one.startswith("mci-")


def mcs(name="web", annotation=None, clusters=None, ports=({"port": 80, "targetPort": 7860},)):
    metadata = {"name": name, "namespace": "sd"}
    if annotation is not None:
        metadata["annotations"] = {"cloud.google.com/backend-config": annotation}
    spec = {"template": {"spec": {"selector": {"app": name}, "ports": list(ports)}}}
    if clusters is not None:
        spec["clusters"] = clusters
    return {"metadata": metadata, "spec": spec}


def mci(backend=None, rules=None, name="web"):
    spec = {}
    if backend is not None:
        spec["backend"] = backend
    if rules is not None:
        spec["rules"] = rules
    return {"metadata": {"name": name, "namespace": "sd"}, "spec": {"template": {"spec": spec}}}


BACKEND = {"serviceName": "web", "servicePort": 80}


def test_an_empty_list_of_clusters_reads_as_all():
    """As if it were left out: nobody should write one."""
    [service] = read(Asked([], [mcs(clusters=[])], []), Wanted(), EDGE).wanted.services
    assert service.links is None
    assert service.in_cluster("anywhere/at-all")


@pytest.mark.parametrize(
    ("ports", "asked"),
    [
        pytest.param([{"port": 80, "name": "web"}], 80, id="number"),
        pytest.param([{"port": 80, "name": "web"}], "web", id="name"),
        pytest.param([{"port": 80, "name": "web"}, {"port": 81, "name": "admin"}], "80", id="number-as-text"),
    ],
)
def test_a_service_port_is_found_by_number_or_name(ports, asked):
    """ServicePort is either."""
    reading = read(Asked([mci({"serviceName": "web", "servicePort": asked})], [mcs(ports=ports)], []), Wanted(), EDGE)
    [backend] = reading.wanted.backends()
    assert (backend.port, reading.problems) == (80, {})


@pytest.mark.parametrize(
    ("ingress", "service", "problem"),
    [
        pytest.param(mci(BACKEND), mcs("other"), '"sd/web" not found', id="no-service"),
        pytest.param(mci({**BACKEND, "servicePort": 99}), mcs(), "has no port 99", id="no-port"),
        pytest.param(mci(BACKEND), mcs(annotation="[1"), "is not the expected JSON object", id="bad-json"),
        pytest.param(mci(BACKEND), mcs(annotation="[]"), "is not the expected JSON object", id="not-an-object"),
        pytest.param(mci(BACKEND), mcs(annotation='{"default":"x"}'), 'BackendConfig "sd/x" not found', id="no-config"),
        pytest.param(mci(BACKEND), mcs(ports=()), "at least one port", id="no-ports"),
    ],
)
def test_what_is_wrong_is_said_and_programs_nothing(ingress, service, problem):
    """Each mistake has its message."""
    reading = read(Asked([ingress], [service], []), Wanted(), EDGE)
    assert any(problem in text for text in reading.problems.values())
    assert reading.wanted.ingresses == ()


def test_a_port_can_have_a_backend_config_of_its_own():
    """The annotation's `ports` goes before its `default`."""
    configs = [
        {"metadata": {"name": "slow", "namespace": "sd"}, "spec": {"timeoutSec": 300}},
        {"metadata": {"name": "quick", "namespace": "sd"}, "spec": {"timeoutSec": 5}},
    ]
    annotation = '{"default": "quick", "ports": {"80": "slow"}}'
    ports = [{"port": 80, "name": "web"}, {"port": 81, "name": "admin"}]
    [service] = read(Asked([], [mcs(annotation=annotation, ports=ports)], configs), Wanted(), EDGE).wanted.services
    assert [backend.timeout for backend in service.backends] == [300, 5]


def test_a_broken_object_keeps_what_was_last_read_of_it():
    """An edit that makes no sense does not take a service down."""
    good = read(Asked([mci(BACKEND)], [mcs()], []), Wanted(), EDGE).wanted
    reading = read(Asked([mci(BACKEND)], [mcs(annotation="{")], []), good, EDGE)
    assert reading.wanted == good
    assert reading.problems


def test_the_state_comes_back_from_disk_as_it_was(tmp_path):
    """Everything that is programmed is in the file."""
    rules = [{"host": "h.example", "http": {"paths": [{"path": "/a/*", "backend": BACKEND}]}}]
    config = {"metadata": {"name": "bc", "namespace": "sd"}, "spec": {"customRequestHeaders": {"headers": ["a: b"]}}}
    service = mcs(annotation='{"default":"bc"}', clusters=[{"link": "us-central1/a"}])
    wanted = read(Asked([mci(BACKEND, rules)], [service], [config]), Wanted(), EDGE).wanted
    member = MemberState({"b": (Endpoint("127.0.0.1", 1, "z", "p", "n"),)}, {"z"}, {("sd", "web"): (("http", 80),)})
    state = states.State(wanted, {("MultiClusterIngress", "sd", "web"): 8080}, {"us-central1/a": member})
    states.save(tmp_path / "s.json", state)
    assert states.load(tmp_path / "s.json") == state


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 99}', '{"version": 1, "wanted": 3}'])
def test_an_unreadable_state_is_an_empty_one(tmp_path, text):
    """The objects in the config cluster say it all again."""
    (tmp_path / "s.json").write_text(text)
    assert states.load(tmp_path / "s.json") == states.State()


def test_a_host_whose_first_check_is_pending_is_unknown():
    """Neither healthy nor unhealthy."""
    host = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
        "health_status": {"failed_active_health_check": True, "pending_active_hc": True},
    }
    page = json.dumps({"cluster_statuses": [{"name": "b", "host_statuses": [host]}]}).encode()
    assert read_health(page) == {("b", "127.0.0.1", 1): None}
