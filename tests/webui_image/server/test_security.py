"""Who may use the server, and what a foreign page in a signed-in browser may not."""

from __future__ import annotations

import base64
import json
import time
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.auth import jwt
from google.auth.crypt import es256

from webui_image.server.security import UnsafeError, refuse_unsafe
from webui_image.server.settings import Access, Key, Settings

KEY, PASSWORD = "k-0123456789abcdef", "correct horse"
AUDIENCE = "/projects/1/global/backendServices/2"
PROTECTED = (
    "/",
    "/sdapi/v1/options",
    "/sdapi/v1/sd-models",
    "/sdapi/v1/cmd-flags",
    "/about",
    "/openapi.json",
    "/api/info",
)
OPEN = ("/livez", "/readyz", "/startupz", "/healthz", "/internal/ping", "/metrics")


def digest(text):
    return sha256(text.encode()).hexdigest()


ACCESS = Access(api_keys=(Key("robot", digest(KEY)),), passwords=(Key("ada", digest(PASSWORD)),))


def basic(name, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@pytest.fixture
def locked(start):
    """Make a client of a server that asks who is there."""
    with start(access=ACCESS).client() as client:
        yield client


@pytest.mark.parametrize("path", PROTECTED)
def test_nothing_is_told_without_credentials(locked, path):
    """Settings, listings, page and documents answer 401, with the challenge that makes a browser ask."""
    answer = locked.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "shapes" not in answer.text


@pytest.mark.parametrize("path", OPEN)
def test_probes_need_no_credentials(locked, path):
    """Probes and figures are open."""
    assert locked.get(path).status_code == 200


def test_metrics_can_be_closed(start):
    """With METRICS_OPEN=0 the figures need credentials as well."""
    access = Access(api_keys=ACCESS.api_keys, metrics_open=False)
    with start(access=access).client() as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Authorization": f"Bearer {KEY}"}, id="key-as-bearer"),
        pytest.param({"Authorization": f"bearer {KEY}"}, id="scheme-in-small-letters"),
        pytest.param(basic("anything", KEY), id="key-as-password"),
        pytest.param(basic("ada", PASSWORD), id="user-and-password"),
    ],
)
def test_the_right_credentials_open(locked, headers):
    """Keys and passwords let in, in every way that clients send them."""
    assert locked.get("/sdapi/v1/options", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Authorization": "Bearer wrong"}, id="wrong-key"),
        pytest.param({"Authorization": f"Bearer {digest(KEY)}"}, id="the-hash-itself"),
        pytest.param({"Authorization": f"Bearer {PASSWORD}"}, id="password-as-key"),
        pytest.param({"Authorization": "Bearer"}, id="empty-key"),
        pytest.param(basic("ada", "wrong"), id="wrong-password"),
        pytest.param(basic("bob", PASSWORD), id="another-users-password"),
        pytest.param({"Authorization": "Basic ***"}, id="not-base64"),
        pytest.param({"Authorization": "Basic /////w=="}, id="not-text"),
        pytest.param({"Authorization": "Digest x"}, id="unknown-scheme"),
        pytest.param({"X-Goog-Authenticated-User-Email": "accounts.google.com:ada@example.com"}, id="plain-iap-header"),
        pytest.param({"X-Forwarded-For": "127.0.0.1"}, id="claims-to-be-local"),
    ],
)
def test_wrong_credentials_do_not_open(locked, headers):
    """Nothing else lets in."""
    assert locked.get("/sdapi/v1/options", headers=headers).status_code == 401


def test_the_user_of_the_credentials_is_the_one_for_fairness(locked, engine):
    """A request belongs to the key's holder, whatever name basic authentication carries."""
    body = {"prompt": "a", "steps": 1, "width": 64, "height": 64}
    locked.post("/sdapi/v1/txt2img", json=body, headers=basic("someone", KEY))
    locked.post("/sdapi/v1/txt2img", json=body, headers=basic("ada", PASSWORD))
    assert [ticket.user for ticket in engine.submitted] == ["robot", "ada"]


def test_no_secret_in_the_settings_repr():
    """Printing the settings shows neither keys nor hashes."""
    shown = repr(Settings(access=ACCESS))
    assert digest(KEY) not in shown
    assert digest(PASSWORD) not in shown


@pytest.mark.parametrize(
    ("host", "access", "safe"),
    [
        pytest.param("127.0.0.1", Access(), True, id="loopback"),
        pytest.param("127.3.2.1", Access(), True, id="all-of-loopback"),
        pytest.param("::1", Access(), True, id="loopback-ipv6"),
        pytest.param("localhost", Access(), True, id="loopback-by-name"),
        pytest.param("0.0.0.0", Access(), False, id="everywhere"),
        pytest.param("::", Access(), False, id="everywhere-ipv6"),
        pytest.param("10.0.0.5", Access(), False, id="private-network"),
        pytest.param("web.example.com", Access(), False, id="a-name"),
        pytest.param("0.0.0.0", ACCESS, True, id="with-keys"),
        pytest.param("0.0.0.0", Access(iap_audience=AUDIENCE), True, id="behind-iap"),
        pytest.param("0.0.0.0", Access(anonymous=True), True, id="said-outright"),
    ],
)
def test_listening_beyond_loopback_needs_authentication_or_a_word(host, access, safe):
    """A server that strangers can reach without signing in starts only where that is said outright."""
    if safe:
        refuse_unsafe(Settings(host=host, access=access))
    else:
        with pytest.raises(UnsafeError, match="ALLOW_ANONYMOUS=1"):
            refuse_unsafe(Settings(host=host, access=access))


FOREIGN = [
    pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403, id="another-site"),
    pytest.param({"Sec-Fetch-Site": "same-site"}, 403, id="a-sister-site"),
    pytest.param({"Origin": "https://evil.example"}, 403, id="old-browser-another-origin"),
    pytest.param({"Origin": "null"}, 403, id="sandboxed-page"),
    pytest.param({"Sec-Fetch-Site": "same-origin"}, 200, id="own-page"),
    pytest.param({"Sec-Fetch-Site": "none"}, 200, id="typed-by-the-user"),
    pytest.param({}, 200, id="no-browser"),
]


@pytest.mark.parametrize(("headers", "status"), FOREIGN)
def test_a_foreign_page_cannot_post(client, headers, status):
    """What changes something is taken from this origin or from programs only."""
    assert client.post("/sdapi/v1/interrupt", headers=headers).status_code == status


def test_own_origin_is_known_by_the_host_header(server, client):
    """An old browser's page of this very host may post."""
    assert client.post("/sdapi/v1/interrupt", headers={"Origin": server.url}).status_code == 200


def test_an_allowed_origin_may_use_the_api_from_a_browser(start):
    """ALLOWED_ORIGINS opens the API to one site's pages, and to no other's."""
    with start(allowed_origins=("https://app.example",)).client() as client:
        mine = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
        answer = client.post("/sdapi/v1/interrupt", headers=mine)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
        other = client.post("/sdapi/v1/interrupt", headers=mine | {"Origin": "https://evil.example"})
        assert other.status_code == 403
        assert "access-control-allow-origin" not in other.headers


def test_no_cors_by_default(client):
    """No page of another origin may read an answer."""
    answer = client.get("/sdapi/v1/options", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_a_name_that_resolves_to_loopback_is_refused(client):
    """A foreign page cannot reach an open server on loopback through a name of its own."""
    assert client.get("/sdapi/v1/options", headers={"Host": "evil.example:7860"}).status_code == 403
    assert client.get("/sdapi/v1/options", headers={"Host": "localhost:7860"}).status_code == 200


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/sdapi/v1/options"])
def test_every_answer_carries_the_protecting_headers(client, path):
    """Content security policy, nosniff and no caching, on errors too."""
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


class Iap:
    """A proxy that signs, and the file of its public keys."""

    def __init__(self, folder):
        self.key = ec.generate_private_key(ec.SECP256R1())
        pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.file = folder / "keys.json"
        self.file.write_text(json.dumps({"k1": pem.decode()}))

    def token(self, key=None, kid="k1", **claims):
        now = int(time.time())
        payload = {
            "iss": "https://cloud.google.com/iap",
            "aud": AUDIENCE,
            "email": "ada@example.com",
            "sub": "accounts.google.com:1",
            "iat": now - 10,
            "exp": now + 300,
        } | claims
        signer = es256.ES256Signer(key or self.key, key_id=kid)
        return jwt.encode(signer, payload, header={"alg": "ES256", "kid": kid}).decode()


@pytest.fixture
def iap(tmp_path):
    """Make a proxy."""
    return Iap(tmp_path)


@pytest.fixture
def behind(start, iap):
    """Make a client of a server behind that proxy."""
    access = Access(iap_audience=AUDIENCE, iap_keys_file=str(iap.file))
    with start(access=access).client() as client:
        yield client


def test_the_proxys_signed_header_says_who_it_is(behind, iap, engine):
    """A valid token lets in, and its e-mail address is the user."""
    headers = {"X-Goog-IAP-JWT-Assertion": iap.token()}
    body = {"prompt": "a", "steps": 1, "width": 64, "height": 64}
    assert behind.post("/sdapi/v1/txt2img", json=body, headers=headers).status_code == 200
    assert engine.submitted[0].user == "ada@example.com"


FORGED = {
    "another-audience": {"aud": "/projects/9/global/backendServices/9"},
    "another-issuer": {"iss": "https://evil.example"},
    "expired": {"exp": 1000, "iat": 900},
    "from-the-future": {"iat": 9999999000, "exp": 9999999999},
    "without-an-address": {"email": ""},
    "unknown-key": {"kid": "k2"},
}


@pytest.mark.parametrize("claims", FORGED.values(), ids=FORGED)
def test_a_token_that_does_not_fit_proves_nothing(behind, iap, claims):
    """Whatever is wrong with a token, it does not let in."""
    answer = behind.get("/sdapi/v1/options", headers={"X-Goog-IAP-JWT-Assertion": iap.token(**claims)})
    assert answer.status_code == 401


def test_a_token_signed_by_another_key_proves_nothing(behind, iap):
    """The signature counts, not what it says of itself."""
    forged = iap.token(key=ec.generate_private_key(ec.SECP256R1()))
    assert behind.get("/sdapi/v1/options", headers={"X-Goog-IAP-JWT-Assertion": forged}).status_code == 401


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", "e30.e30.", "." * 9000], ids=["empty", "word", "junk", "none", "long"]
)
def test_what_is_no_token_proves_nothing(behind, token):
    """Junk in the header is refused without an error."""
    assert behind.get("/sdapi/v1/options", headers={"X-Goog-IAP-JWT-Assertion": token}).status_code == 401
