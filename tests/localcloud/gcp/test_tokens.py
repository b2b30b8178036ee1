"""Access tokens: who gets one, who is let in with it, and when no longer."""

import asyncio
from datetime import timedelta

import pytest
import requests
from google.api_core import exceptions as x
from google.auth import jwt
from google.auth.crypt import RSASigner
from google.cloud import container_v1 as k
from google.cloud.container_v1.services.cluster_manager.transports import ClusterManagerGrpcTransport

from controlplane.localcloud.clock import SystemClock, VirtualClock
from controlplane.localcloud.gcp.tokens import TokenError, TokenIssuer, new_credentials

INFO = new_credentials("p", "http://127.0.0.1:1/token")
OTHER = new_credentials("p", "http://127.0.0.1:1/token")


def assertion(info=INFO, **changes):
    now = 1_767_225_600  # the virtual clock's start
    claims = {"iss": info["client_email"], "aud": "http://127.0.0.1:1/token", "iat": now, "exp": now + 3600} | changes
    return jwt.encode(RSASigner.from_service_account_info(info), claims).decode()


def test_a_signed_assertion_gives_a_token_of_the_service_account():
    """The grant's token is known as the service account's."""
    issuer = TokenIssuer(VirtualClock(), INFO)
    answer = issuer.exchange(assertion())
    assert answer["token_type"] == "Bearer"
    assert issuer.authenticate(answer["access_token"]) == INFO["client_email"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: assertion(OTHER), id="another-key"),
        pytest.param(lambda: assertion(iss="eve@p.iam.gserviceaccount.com"), id="another-account"),
        pytest.param(lambda: assertion(exp=1_767_225_600 + 9000), id="too-long"),
        pytest.param(lambda: assertion(iat=1_767_225_600 - 9000, exp=1_767_225_600 - 5400), id="expired"),
        pytest.param(lambda: assertion()[:-8] + "AAAAAAAA", id="signature-changed"),
        pytest.param(lambda: "a.b.c", id="garbage"),
        pytest.param(lambda: "", id="empty"),
    ],
)
def test_a_wrong_assertion_gives_nothing(wrong):
    """Whatever is wrong with it, it is an invalid_grant, and it is no bearer token either."""
    issuer = TokenIssuer(VirtualClock(), INFO)
    with pytest.raises(TokenError) as caught:
        issuer.exchange(wrong())
    assert caught.value.error == "invalid_grant"
    assert issuer.authenticate(wrong()) is None


def test_a_self_signed_token_is_let_in():
    """google-auth may send the JWT itself as the bearer token."""
    assert TokenIssuer(VirtualClock(), INFO).authenticate(assertion()) == INFO["client_email"]


def test_a_token_ends_after_its_hour():
    """An hour later the same token opens nothing."""

    async def scenario():
        clock = VirtualClock()
        issuer = TokenIssuer(clock, INFO)
        token = issuer.issue("admin")
        assert issuer.authenticate(token) == "admin"
        await clock.advance(3600)
        assert issuer.authenticate(token) is None

    asyncio.run(scenario())


def test_tokens_outlive_the_issuer():
    """A restarted local cloud accepts the tokens that it gave before."""
    token = TokenIssuer(VirtualClock(), INFO).issue("admin")
    assert TokenIssuer(VirtualClock(), INFO).authenticate(token) == "admin"
    assert TokenIssuer(VirtualClock(), OTHER).authenticate(token) is None


def test_revoked_and_expired_tokens_are_refused_and_new_ones_are_not():
    """Expiry of all tokens of a user leaves other users and later tokens alone."""
    issuer = TokenIssuer(VirtualClock(), INFO)
    one, other, admin = issuer.issue("robot"), issuer.issue("robot"), issuer.issue("admin")
    issuer.revoke(one)
    assert [issuer.authenticate(token) for token in (one, other, admin)] == [None, "robot", "admin"]
    assert issuer.expire_all("robot") == 1
    assert [issuer.authenticate(token) for token in (other, admin, issuer.issue("robot"))] == [None, "admin", "robot"]


def test_the_clock_fault_locks_nobody_out():
    """A shifted cluster clock does not make credentials invalid."""
    clock = SystemClock()
    issuer = TokenIssuer(clock, INFO)
    token = issuer.issue("admin")
    clock.offset = timedelta(hours=5)
    assert issuer.authenticate(token) == "admin"


def test_calls_without_a_good_token_are_unauthenticated(endpoints):
    """REST answers 401 and gRPC UNAUTHENTICATED, with Google's words."""
    for headers in ({}, {"Authorization": "Bearer guessed"}, {"Authorization": "Basic Zm9vOmJhcg=="}):
        url = f"{endpoints.rest}/v1/projects/{endpoints.project}/locations/-/clusters"
        answer = requests.get(url, headers=headers, timeout=60)
        assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    client = k.ClusterManagerClient(transport=ClusterManagerGrpcTransport(channel=endpoints.plain_channel()))
    with pytest.raises(x.Unauthenticated, match="invalid authentication credentials"):
        client.list_clusters(parent=f"projects/{endpoints.project}/locations/-")


def test_the_client_library_renews_an_expired_token_by_itself(endpoints):
    """After the fault the next call exchanges a new assertion and succeeds."""
    import google.auth.transport.requests

    session = google.auth.transport.requests.AuthorizedSession(endpoints.credentials)
    url = f"{endpoints.rest}/compute/v1/projects/{endpoints.project}"
    assert session.get(url).status_code == 200
    first = session.credentials.token
    endpoints.cloud.tokens.expire_all()
    assert session.get(url).status_code == 200
    assert session.credentials.token != first


@pytest.mark.parametrize(
    ("form", "error"),
    [
        pytest.param({"grant_type": "password"}, "unsupported_grant_type", id="wrong-grant"),
        pytest.param(
            {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"},
            "invalid_grant",
            id="bad-jwt",
        ),
    ],
)
def test_the_token_endpoint_refuses_in_oauths_words(endpoints, form, error):
    """A refused grant is a 400 with OAuth's error code."""
    answer = requests.post(f"{endpoints.rest}/token", data=form, timeout=60)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
