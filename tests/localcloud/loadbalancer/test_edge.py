"""Certificates and policies in files, what guards a backend service, and what a name in vain comes to."""

import pytest

from controlplane.localcloud.loadbalancer import edge, gateways, guards
from controlplane.localcloud.loadbalancer.edge import EdgeStore
from controlplane.localcloud.loadbalancer.multicluster import Asked, read
from controlplane.localcloud.loadbalancer.wanted import GATEWAY, SERVICE_IMPORT, Frontend, Wanted

ANNOTATIONS = {
    "networking.gke.io/pre-shared-certs": "cert",
    "networking.gke.io/static-ip": "203.0.113.7",
    "networking.gke.io/frontend-config": "web",
}


class LookUp:
    """Looks into a store, and at Secrets that a test names."""

    def __init__(self, store, **secrets):
        self.get, self._secrets = store.get, secrets

    def secret(self, namespace, name, keys):
        if name not in self._secrets:
            raise ValueError(f'secret "{namespace}/{name}" not found')
        return self._secrets[name]


@pytest.fixture
def store(tmp_path):
    made = EdgeStore(tmp_path / "edge", "p")
    made.put_certificate({"name": "cert", "certificate": "PEM"}, b"KEY")
    made.put(edge.SECURITY_POLICIES, {"name": "armor", "rules": []})
    return made


def mci(**annotations):
    template = {"spec": {"backend": {"serviceName": "web", "servicePort": 80}}}
    metadata = {"name": "web", "namespace": "sd", "annotations": annotations}
    return {"metadata": metadata, "spec": {"template": template}}


def mcs():
    annotations = {"cloud.google.com/backend-config": '{"default": "bc"}'}
    template = {"spec": {"selector": {}, "ports": [{"name": "http", "port": 80, "targetPort": 7860}]}}
    metadata = {"name": "web", "namespace": "sd", "annotations": annotations}
    return {"metadata": metadata, "spec": {"template": template}}


def config(name, **spec):
    return {"metadata": {"name": name, "namespace": "sd"}, "spec": spec}


def asked(annotations=ANNOTATIONS, **backend):
    frontend = config("web", sslPolicy="", redirectToHttps={"enabled": True})
    return Asked([mci(**annotations)], [mcs()], [config("bc", **backend)], [frontend])


def test_a_key_is_readable_by_its_owner_alone_and_in_no_document(store, tmp_path):
    """The documents that the API shows hold no key, after a restart neither."""
    files = store.certificate("cert")
    assert files.key.stat().st_mode & 0o077 == 0
    assert files.key.read_bytes() == b"KEY"
    again = EdgeStore(tmp_path / "edge", "p")
    assert again.all(edge.CERTIFICATES) == [{"name": "cert", "certificate": "PEM"}]
    assert again.certificate("cert") == files


def test_a_certificate_of_the_same_name_has_other_files(store):
    """Envoy reads a file by its name, so a new certificate must not stand in the old one's."""
    old = store.certificate("cert")
    store.remove(edge.CERTIFICATES, "cert")
    store.put_certificate({"name": "cert", "certificate": "ANOTHER"}, b"KEY")
    assert store.certificate("cert") != old
    assert not old.key.exists()


def test_https_is_read_with_its_redirect(store):
    """Certificates, and what HTTP gets."""
    reading = read(asked(), Wanted(), LookUp(store))
    assert reading.problems == {}
    assert reading.wanted.ingresses[0].frontend == Frontend(("cert",), "", "redirect")


@pytest.mark.parametrize(
    ("annotations", "told"),
    [
        pytest.param(
            {**ANNOTATIONS, "networking.gke.io/pre-shared-certs": "cert,typo"},
            "The resource 'projects/p/global/sslCertificates/typo' was not found",
            id="certificate",
        ),
        pytest.param({**ANNOTATIONS, "networking.gke.io/frontend-config": "x"}, "FrontendConfig", id="frontend"),
        pytest.param({**ANNOTATIONS, "networking.gke.io/static-ip": ""}, "needs a static IP", id="address"),
    ],
)
def test_an_ingress_that_names_what_is_not_there_keeps_what_it_had(store, annotations, told):
    """The last that could be programmed stays; one that never could is not programmed half."""
    good = read(asked(), Wanted(), LookUp(store)).wanted
    reading = read(asked(annotations), good, LookUp(store))
    assert told in reading.problems["MultiClusterIngress", ("sd", "web")]
    assert reading.wanted.ingresses == good.ingresses
    assert read(asked(annotations), Wanted(), LookUp(store)).wanted.ingresses == ()


IAP = {"enabled": True, "oauthclientCredentials": {"secretName": "oauth"}}


def test_what_guards_a_backend_is_read(store):
    """The policy by name, IAP by the client's id; the client's secret goes nowhere."""
    look_up = LookUp(store, oauth={"client_id": "id", "client_secret": "hidden"})
    reading = read(asked(securityPolicy={"name": "armor"}, iap=IAP), Wanted(), look_up)
    (backend,) = reading.wanted.backends()
    assert (backend.security_policy, backend.iap_client) == ("armor", "id")
    assert "hidden" not in repr(reading.wanted)


@pytest.mark.parametrize(
    "backend", [{"securityPolicy": {"name": "typo"}}, {"iap": IAP}], ids=["policy-unknown", "secret-missing"]
)
def test_what_was_to_be_guarded_is_not_served_without_its_guard(store, backend):
    """A guard that is not there opens nothing."""
    reading = read(asked(**backend), Wanted(), LookUp(store))
    assert "not found" in reading.problems["MultiClusterService", ("sd", "web")]
    assert reading.wanted.ingresses == ()


def gateway_asked(**policy):
    ref = {"group": "net.gke.io", "kind": SERVICE_IMPORT, "name": "web", "port": 80}
    listeners = [
        {"name": "http", "protocol": "HTTP", "port": 80},
        {"name": "https", "protocol": "HTTPS", "port": 443,
         "tls": {"options": {"networking.gke.io/pre-shared-certs": "cert"}}},
    ]  # fmt: skip
    gateway = config("web", gatewayClassName="gke-l7-global-external-managed-mc", listeners=listeners)
    route = config("web", parentRefs=[{"name": "web", "sectionName": "https"}], rules=[{"backendRefs": [ref]}])
    redirect = {"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}
    second = config("r", parentRefs=[{"name": "web", "sectionName": "http"}], rules=[{"filters": [redirect]}])
    target = {"group": "net.gke.io", "kind": SERVICE_IMPORT, "name": "web"}
    policies = [config("web", targetRef=target, default=policy)] if policy else []
    return gateways.Asked([gateway], [route, second], policies, [])


EXPORTS = {"us-central1/a": {("sd", "web"): (("http", 80),)}}


def test_a_gateway_is_read_with_certificate_and_redirect(store):
    """HTTP gets the redirect of the second route, HTTPS the app."""
    reading = gateways.read(gateway_asked(), EXPORTS, Wanted(), LookUp(store))
    (ingress,) = reading.ingresses
    assert (ingress.kind, ingress.frontend) == (GATEWAY, Frontend(("cert",), "", "redirect"))
    assert reading.problems == {}


@pytest.mark.parametrize(
    "policy",
    [{"securityPolicy": "typo"}, {"iap": {"enabled": True, "oauth2ClientSecret": {"name": "x"}, "clientID": "id"}}],
    ids=["policy-unknown", "secret-missing"],
)
def test_a_gateway_opens_nothing_whose_guard_is_not_there(store, policy):
    """The route leads nowhere until the guard is there, and the reason is told."""
    reading = gateways.read(gateway_asked(**policy), EXPORTS, Wanted(), LookUp(store))
    assert reading.ingresses == ()
    assert "not found" in reading.problems["sd", "web"]


def rule(**changes):
    match = {"versionedExpr": "SRC_IPS_V1", "config": {"srcIpRanges": ["10.0.0.0/8"]}}
    return {"priority": 1, "action": "deny(403)", "match": match, **changes}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"action": "redirect"}, "not imitated", id="action"),
        pytest.param({"match": {"expr": {"expression": "true"}}}, "only rules by address", id="expression"),
        pytest.param({"priority": -1}, "priority", id="priority"),
        pytest.param(
            {"match": {"versionedExpr": "SRC_IPS_V1", "config": {"srcIpRanges": ["x"]}}}, "srcIpRanges", id="range"
        ),
        pytest.param({"action": "throttle"}, "rateLimitOptions", id="no-rate"),
    ],
)
def test_a_rule_that_would_not_hold_is_refused(changes, told):
    """What the local cloud cannot imitate it says, rather than let everybody in."""
    with pytest.raises(ValueError, match=told):
        guards.checked(rule(**changes))


def test_nothing_guarded_has_no_script():
    """A backend service without policy and IAP costs nothing."""
    assert guards.script(None, "") == ""
    assert "accounts.google.com" in guards.script(None, "id")
