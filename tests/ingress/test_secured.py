"""HTTPS, Cloud Armor and Identity-Aware Proxy as both kinds of ingress write them."""

import importlib.resources
from dataclasses import replace

import pytest
import yaml

from controlplane.localcloud.apiserver.schema import types_from_crd, validate
from controlplane.model import naming
from controlplane.model.offering import Accelerator
from controlplane.model.service import Https, Iap, Ingress, IngressKind, PodTemplate, ServiceSpec
from controlplane.model.template import ingress_spec_hash
from ingress import WIRINGS
from ingress.gateway import GATEWAY_POLICY, HTTP_ROUTE

INGRESS, GATEWAY = IngressKind.MULTI_CLUSTER_INGRESS, IngressKind.MULTI_CLUSTER_GATEWAY
PLAIN = ServiceSpec(
    name="web",
    namespace="sd",
    uid="u",
    generation=1,
    replicas=1,
    accelerators=(Accelerator("nvidia-l4"),),
    pod=PodTemplate(image="x:1", port=7860),
    ingress=Ingress(static_address="203.0.113.7", static_address_name="web-ip"),
)
HTTPS = Https(certificates=("cert-a", "cert-b"), ssl_policy="modern")
IAP = Iap(oauth_secret="oauth", client_id="web.apps.example")


def secured(kind=INGRESS, **changes):
    given = {"https": HTTPS, "security_policy": "armor", "iap": IAP, "kind": kind, **changes}
    return replace(PLAIN, ingress=replace(PLAIN.ingress, **given))


def made(spec):
    rendered = WIRINGS[spec.ingress.kind].manifests(spec, ["us-central1/gpu-1"], fence=1)
    return {(m["kind"], m["metadata"]["name"]): m for m in rendered}


def test_a_multicluster_ingress_names_certificates_and_frontend():
    """Annotations name the certificates and the FrontendConfig, which says which TLS and that HTTP is sent on."""
    found = made(secured())
    annotations = found["MultiClusterIngress", "web"]["metadata"]["annotations"]
    assert annotations["networking.gke.io/pre-shared-certs"] == "cert-a,cert-b"
    assert annotations["networking.gke.io/frontend-config"] == "web"
    assert found["FrontendConfig", "web"]["spec"] == {
        "sslPolicy": "modern",
        "redirectToHttps": {"enabled": True, "responseCodeName": "MOVED_PERMANENTLY_DEFAULT"},
    }


def test_a_backend_config_says_what_guards_and_what_does_not():
    """What is off is said to be off: the load balancer keeps what it is not told to let go."""
    guarded = made(secured())["BackendConfig", "web"]["spec"]
    assert guarded["securityPolicy"] == {"name": "armor"}
    assert guarded["iap"] == {"enabled": True, "oauthclientCredentials": {"secretName": "oauth"}}
    open_to_all = made(PLAIN)["BackendConfig", "web"]["spec"]
    assert (open_to_all["securityPolicy"], open_to_all["iap"]) == ({"name": ""}, {"enabled": False})


def test_a_gateway_listens_by_https_and_sends_on_who_comes_by_http():
    """The app's route has the HTTPS listener, a route of its own redirects at the other."""
    found = made(secured(GATEWAY))
    http, https = found["Gateway", "web"]["spec"]["listeners"]
    assert (http["protocol"], https["protocol"], https["port"]) == ("HTTP", "HTTPS", 443)
    assert https["tls"]["options"] == {"networking.gke.io/pre-shared-certs": "cert-a,cert-b"}
    assert found["HTTPRoute", "web"]["spec"]["parentRefs"][0]["sectionName"] == https["name"]
    redirect = found["HTTPRoute", "web-to-https"]["spec"]
    assert redirect["parentRefs"][0]["sectionName"] == http["name"]
    assert redirect["rules"][0]["filters"][0]["requestRedirect"] == {"scheme": "https", "statusCode": 301}
    assert found["GCPGatewayPolicy", "web"]["spec"]["default"] == {"sslPolicy": "modern"}


def test_a_gateway_policy_names_what_guards():
    """GCPBackendPolicy takes the OAuth client's id and the name of the Secret with its key."""
    default = made(secured(GATEWAY))["GCPBackendPolicy", "web"]["spec"]["default"]
    assert default["securityPolicy"] == "armor"
    assert default["iap"] == {
        "enabled": True,
        "oauth2ClientSecret": {"name": "oauth"},
        "clientID": "web.apps.example",
    }
    assert "iap" not in made(replace(PLAIN, ingress=replace(PLAIN.ingress, kind=GATEWAY)))["GCPBackendPolicy", "web"]


def test_a_certificate_map_stands_on_the_gateway_in_place_of_certificates():
    """Certificate Manager's map is an annotation, and the listener names no certificate beside it."""
    gateway = made(secured(GATEWAY, https=Https(certificates=("c",), certificate_map="map")))["Gateway", "web"]
    assert gateway["metadata"]["annotations"]["networking.gke.io/certmap"] == "map"
    assert "tls" not in gateway["spec"]["listeners"][1]


def test_without_a_redirect_both_protocols_lead_to_the_app():
    """The route is attached to every listener then, and there is no second one."""
    found = made(secured(GATEWAY, https=replace(HTTPS, redirect=False)))
    assert "sectionName" not in found["HTTPRoute", "web"]["spec"]["parentRefs"][0]
    assert ("HTTPRoute", "web-to-https") not in found
    assert made(secured(https=replace(HTTPS, redirect=False)))["FrontendConfig", "web"]["spec"]["redirectToHttps"] == {
        "enabled": False,
        "responseCodeName": "MOVED_PERMANENTLY_DEFAULT",
    }


@pytest.mark.parametrize("kind", IngressKind)
def test_all_of_it_fits_the_definitions_is_ours_and_is_taken_down(kind):
    """Every object is valid, carries our labels, and is among those deleted with the service."""
    folder = importlib.resources.files("controlplane.localcloud.loadbalancer")
    texts = (folder.joinpath(name).read_text() for name in ("crds.yaml", "crds_gateway.yaml"))
    types = {t.kind: t for text in texts for crd in yaml.safe_load_all(text) for t in types_from_crd(crd)}
    spec = secured(kind)
    released = {(found.name, name) for found, name in WIRINGS[kind].release_order(spec)}
    for place, manifest in made(spec).items():
        assert validate(types[place[0]], manifest) == []
        assert naming.is_ours(manifest, "web")
        assert place in released


def test_what_is_not_asked_for_any_more_is_named():
    """A redirect that stayed would keep HTTP from the app; what is asked for is never among them."""
    wiring = WIRINGS[GATEWAY]
    assert wiring.obsolete(secured(GATEWAY)) == []
    assert wiring.obsolete(PLAIN) == [(HTTP_ROUTE, "web-to-https"), (GATEWAY_POLICY, "web")]
    assert WIRINGS[INGRESS].obsolete(PLAIN) == []


def test_an_upgrade_rewrites_no_ingress_and_a_setting_does():
    """Unset, the new settings leave the fingerprint that earlier releases wrote; set, each changes it."""
    assert ingress_spec_hash(PLAIN) == "fe4d820107114ee7"
    hashes = {ingress_spec_hash(spec) for spec in (PLAIN, secured(), secured(iap=None), secured(https=None, iap=None))}
    assert len(hashes) == 4


def test_what_the_other_kind_alone_takes_rewrites_nothing():
    """Naming a certificate map or a client id ahead of a move leaves the MultiClusterIngress as it is."""
    ahead = secured(https=replace(HTTPS, certificate_map="map"))
    bare = secured(iap=Iap("oauth"))
    assert ingress_spec_hash(ahead) == ingress_spec_hash(secured()) == ingress_spec_hash(bare)
    assert ingress_spec_hash(ahead, GATEWAY) != ingress_spec_hash(secured(), GATEWAY)


def test_no_secret_is_ever_in_an_object():
    """A Secret is named; nothing of ours has a field for what is in it."""
    for kind in IngressKind:
        assert not [m for m in made(secured(kind)).values() if m["kind"] == "Secret" or "client_secret" in str(m)]
