"""spec.ingress.https, securityPolicy and iap: what is refused, with what advice, and what comes of the rest."""

import pytest

from controlplane.api import SpecError, parse_service
from controlplane.model.service import Https, Iap

HTTPS = {"certificates": ["cert-a"]}
IAP = {"oauthSecret": "oauth"}
MCI = {"staticAddress": "203.0.113.7"}
GATEWAY = {"kind": "MultiClusterGateway", "staticAddressName": "web-ip"}


def service(ingress: dict) -> dict:
    return {
        "apiVersion": "gpuhunter.dev/v1alpha1",
        "kind": "GPUService",
        "metadata": {"name": "web"},
        "spec": {"accelerators": [{"type": "nvidia-l4"}], "pod": {"image": "a"}, "ingress": ingress},
    }


@pytest.mark.parametrize(
    ("ingress", "line"),
    [
        pytest.param(
            {"https": HTTPS},
            "spec.ingress: https of a MultiClusterIngress needs a reserved address; reserve one",
            id="no-address",
        ),
        pytest.param({**MCI, "iap": IAP}, "spec.ingress: iap works over HTTPS alone; set https as well", id="iap-http"),
        pytest.param(
            {**MCI, "https": {"certificateMap": "map"}},
            "https.certificateMap is for MultiClusterGateway; a MultiClusterIngress takes SSL certificates",
            id="map-with-mci",
        ),
        pytest.param(
            {**GATEWAY, "https": HTTPS, "iap": IAP},
            "iap of a MultiClusterGateway needs the id of the OAuth client beside its secret; set iap.clientId",
            id="no-client-id",
        ),
        pytest.param(
            {**MCI, "https": {}},
            "spec.ingress.https: no certificate is named; name at least one in certificates",
            id="no-certificate",
        ),
        pytest.param(
            {**MCI, "https": {"certificates": ["a", "a"]}}, '"a" is named twice; keep one of them', id="twice"
        ),
        pytest.param(
            {**MCI, "https": {"certificates": ["projects/p/x"]}},
            "spec.ingress.https.certificates[0]: 'projects/p/x' is not allowed here; it must match",
            id="not-a-name",
        ),
        pytest.param({"securityPolicy": "Armor!"}, "spec.ingress.securityPolicy: 'Armor!' is not allowed", id="policy"),
        pytest.param(
            {**MCI, "https": HTTPS, "iap": {"oauthSecret": "s", "clientSecret": "x"}},
            'spec.ingress.iap.clientSecret: unknown key; did you mean "oauthSecret"?',
            id="a-secret-itself",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(ingress: dict, line: str) -> None:
    """Each says where, what is wrong, and what to do."""
    with pytest.raises(SpecError) as error:
        parse_service(service(ingress))
    assert line in str(error.value)


@pytest.mark.parametrize("kind", [MCI, GATEWAY], ids=["ingress", "gateway"])
def test_all_of_it_becomes_values(kind: dict) -> None:
    """Both kinds take the same fields, so that a move can be prepared."""
    iap = {"oauthSecret": "oauth", "clientId": "web.apps.example"}
    https = {"certificates": ["a", "b"], "certificateMap": "map", "sslPolicy": "modern", "redirect": False}
    found = parse_service(service({**kind, "https": https, "iap": iap, "securityPolicy": "armor"})).ingress
    assert found.https == Https(("a", "b"), "map", "modern", redirect=False)
    assert (found.iap, found.security_policy) == (Iap("oauth", "web.apps.example"), "armor")


def test_a_gateway_does_with_a_certificate_map_alone() -> None:
    """Certificate Manager takes the place of pre-shared certificates there."""
    assert parse_service(service({**GATEWAY, "https": {"certificateMap": "map"}})).ingress.https == Https((), "map")


def test_nothing_asked_for_is_nothing() -> None:
    """A service without these settings speaks HTTP and lets everybody in, as before."""
    found = parse_service(service({})).ingress
    assert (found.https, found.security_policy, found.iap) == (None, None, None)


@pytest.mark.parametrize(
    ("pod", "line"),
    [
        pytest.param({"model": {"path": "/m"}}, "a model comes from a bucket or from a claim; set one", id="no-source"),
        pytest.param({"model": {"path": "/m", "bucket": "weights", "claim": "c"}}, "set one of the two", id="both"),
        pytest.param({"model": {"path": "/m", "claim": "c", "prefix": "sd"}}, "prefix is a folder", id="prefix"),
        pytest.param({"model": {"path": "m", "claim": "c"}}, "spec.pod.model.path: 'm' is not allowed", id="path"),
        pytest.param(
            {"model": {"path": "/m", "bucket": "weights", "prefix": "a,allow-other"}},
            "spec.pod.model.prefix",
            id="options",
        ),
        pytest.param(
            {"model": {"path": "/m", "claim": "c"}, "scratch": [{"path": "/m"}]},
            '"/m" is both a scratch folder and the model\'s; give each its own',
            id="same-place",
        ),
        pytest.param({"googleServiceAccount": "me@example.com"}, "spec.pod.googleServiceAccount: 'me@", id="person"),
    ],
)
def test_a_model_or_identity_that_cannot_work_is_refused(pod: dict, line: str) -> None:
    """One source, a place of its own, no options smuggled into a folder's name, a service account's email."""
    given = service({})
    given["spec"]["pod"] |= pod
    with pytest.raises(SpecError) as error:
        parse_service(given)
    assert line in str(error.value)
