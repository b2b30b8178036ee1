"""A service by HTTPS behind Cloud Armor and Identity-Aware Proxy, with both kinds of ingress, on the local cloud."""

import base64
import http.client
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from controlplane.bench.world import KEY, World, service, small, world
from controlplane.clock import SystemClock
from controlplane.demo.stage import local_target
from controlplane.gateways.access import GoogleAccess, Project
from controlplane.gateways.resources import Resource

HOST, SECRET = "web.example", "not-for-anybody-else"
BANNED, HASTY = "127.0.0.9", "127.0.0.8"


def manifest(kind: str = "MultiClusterIngress", **ingress) -> dict:
    """Give a service of one replica, by HTTPS and behind a security policy."""
    made = service(1, 1)
    made["spec"]["ingress"] = {
        "kind": kind, "healthPath": "/healthz", "draining": "2s", "checkInterval": "1s", "timeout": "30s",
        "staticAddress": "203.0.113.7", "staticAddressName": "web-ip",
        "https": {"certificates": ["web-cert"], "sslPolicy": "modern"}, "securityPolicy": "armor", **ingress,
    }  # fmt: skip
    return made


def make_edge(cloud: World) -> None:
    """Make the certificate and the policies with Google's own client."""
    from google.cloud import compute_v1 as compute

    at = local_target(cloud.state_dir)
    access = GoogleAccess(Project(at.project, at.endpoints, at.credentials_file, at.ca_file))
    project, client = access.project.name, access.client
    managed = compute.SslCertificateManagedSslCertificate(domains=[HOST])
    certificate = compute.SslCertificate(name="web-cert", type_="MANAGED", managed=managed)
    certificates = client("compute", compute.SslCertificatesClient)
    certificates.insert(project=project, ssl_certificate_resource=certificate).result()
    shown = certificates.get(project=project, ssl_certificate="web-cert")
    assert (shown.managed.status, shown.private_key) == ("ACTIVE", "")
    policy = compute.SslPolicy(name="modern", min_tls_version="TLS_1_2", profile="MODERN")
    client("compute", compute.SslPoliciesClient).insert(project=project, ssl_policy_resource=policy).result()
    client("compute", compute.SecurityPoliciesClient).insert(
        project=project, security_policy_resource=compute.SecurityPolicy(name="armor", rules=_rules(compute))
    ).result()


def _rules(compute) -> list:
    def rule(priority: int, action: str, address: str, **more):
        config = compute.SecurityPolicyRuleMatcherConfig(src_ip_ranges=[address])
        match = compute.SecurityPolicyRuleMatcher(versioned_expr="SRC_IPS_V1", config=config)
        return compute.SecurityPolicyRule(priority=priority, action=action, match=match, **more)

    rate = compute.SecurityPolicyRuleRateLimitOptions(
        conform_action="allow",
        exceed_action="deny(429)",
        enforce_on_key="IP",
        rate_limit_threshold=compute.SecurityPolicyRuleRateLimitOptionsThreshold(count=3, interval_sec=60),
    )
    return [
        rule(100, "deny(403)", f"{BANNED}/32"),
        rule(200, "throttle", f"{HASTY}/32", rate_limit_options=rate),
        rule(2147483647, "allow", "*"),
    ]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    body: str


class Client:
    """Asks by HTTP or HTTPS, from any address of the machine's own, for the host of the certificate."""

    def __init__(self, cloud: World) -> None:
        authority = local_target(cloud.state_dir).ca_file
        self._context = ssl.create_default_context(cafile=str(authority))

    def ask(self, url: str, *, source: str = "127.0.0.1", headers: dict | None = None) -> Answer:
        parts = urlsplit(url)
        sock = socket.create_connection((parts.hostname or "", parts.port or 80), 10, source_address=(source, 0))
        if parts.scheme == "https":
            sock = self._context.wrap_socket(sock, server_hostname=HOST)
        connection = http.client.HTTPConnection(HOST)
        connection.sock = sock
        try:
            connection.request("GET", parts.path or "/", headers={"Host": HOST, **(headers or {})})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read().decode())
        finally:
            connection.close()


def status(cloud: World) -> dict:
    found = cloud.app.services(*KEY)
    return found[0].get("status", {}) if found else {}


def until(cloud: World, what: str, done: Callable[[], bool], *, seconds: float = 200) -> None:
    """Make passes until something holds."""
    end = cloud.clock.monotonic() + seconds
    while True:
        cloud.app.run_pass(keep_lease=True)
        try:
            if done():
                return
        except OSError:
            pass
        assert cloud.clock.monotonic() < end, f"waited for {what}; status: {status(cloud).get('conditions')}"
        cloud.clock.sleep(0.2)


def plain(cloud: World) -> str:
    return f"http://{status(cloud)['address']}/about"


def secure(cloud: World, client: Client) -> str:
    """Give the address by HTTPS, as the redirect tells it."""
    moved = client.ask(plain(cloud))
    assert moved.status == 301
    to = urlsplit(moved.headers["location"])
    assert (to.scheme, to.hostname, to.path) == ("https", HOST, "/about")
    return f"https://127.0.0.1:{to.port}/about"


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_https_cloud_armor_and_iap_with_both_kinds_of_ingress() -> None:
    """A certificate that the authority vouches for, a redirect, a ban, a rate, and nobody in without signing in."""
    with world(SystemClock(), small()) as cloud:
        make_edge(cloud)
        client = Client(cloud)
        cloud.app.apply([manifest()])
        cloud.until_serving(1)
        until(cloud, "HTTPS", lambda: client.ask(secure(cloud, client)).status == 200)
        url = secure(cloud, client)
        assert client.ask(url, source=BANNED).status == 403
        assert [client.ask(url, source=HASTY).status for _ in range(5)] == [200, 200, 200, 429, 429]
        config = cloud.app._config.api()
        data = {"client_id": "web.apps.example", "client_secret": SECRET, "key": SECRET}
        values = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "iap", "namespace": KEY[0]}}
        config.create(Resource("", "v1", "secrets"), {**secret, "data": values})
        iap = {"oauthSecret": "iap", "clientId": "web.apps.example"}
        cloud.app.apply([manifest(iap=iap)])
        until(cloud, "IAP", lambda: client.ask(url).status == 302)
        _refused(client, url)
        cloud.app.apply([manifest()])
        until(cloud, "everybody to be let in again", lambda: client.ask(url).status == 200)
        old = status(cloud)["address"]
        cloud.app.apply([manifest("MultiClusterGateway", iap=iap)])
        until(cloud, "the Gateway", lambda: status(cloud)["address"] != old)
        _refused(client, secure(cloud, client))
        assert client.ask(secure(cloud, client), source=BANNED).status == 403
        for file in (cloud.state_dir / "loadbalancer").rglob("*"):
            assert file.is_dir() or SECRET.encode() not in file.read_bytes(), file
        assert SECRET not in str(status(cloud))
        cloud.app.apply([manifest("MultiClusterGateway", https=None)])
        until(cloud, "plain HTTP", lambda: client.ask(plain(cloud)).status == 200)
        cloud.app.delete(*KEY)
        until(cloud, "the service to be gone", lambda: not cloud.app.services(*KEY))
        for group, version, plural in LEFTOVERS:
            kind = Resource(group, version, plural)
            until(cloud, f"no {plural}", lambda kind=kind: not config.list(kind))


LEFTOVERS = [
    ("networking.gke.io", "v1", "multiclusteringresses"),
    ("networking.gke.io", "v1beta1", "frontendconfigs"),
    ("gateway.networking.k8s.io", "v1", "gateways"),
    ("gateway.networking.k8s.io", "v1", "httproutes"),
    ("networking.gke.io", "v1", "gcpgatewaypolicies"),
]


def _refused(client: Client, url: str) -> None:
    """Nobody gets in: a browser is sent to sign in, a script and a made-up token are told, in Google's name."""
    browser = client.ask(url)
    script = client.ask(url, headers={"X-Requested-With": "XMLHttpRequest"})
    token = client.ask(url, headers={"Authorization": "Bearer made-up"})
    assert [answer.status for answer in (browser, script, token)] == [302, 401, 401]
    assert browser.headers["location"].startswith("https://accounts.google.com/o/oauth2/v2/auth?client_id=web.apps.")
    assert all(answer.headers["x-goog-iap-generated-response"] == "true" for answer in (browser, script, token))
    assert "Invalid IAP credentials" in script.body
