# ruff: noqa: E501 - foreign messages stand here as they come
"""The one error table: what libraries raise, and which consequence it has."""

import json
import ssl

import google.api_core.exceptions as g
import google.auth.exceptions as ga
import pytest
import requests.exceptions as rq
import urllib3.exceptions as u
from kubernetes.client.exceptions import ApiException, ServiceException

from controlplane.gateways import errors as e
from controlplane.gateways.translate import of_http, retry_after, translate

WARDEN = (
    'admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: GKE Warden rejected the'
    ' request because it violates one or more constraints.\nViolations details: {"[denied by autogke-gpu-limitation]":["x"]}'
)


def status(code, reason="", message="", **details):
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message, "details": details})


def api(code, body="", headers=None, kind=ApiException):
    error = kind(status=code, reason="phrase")
    error.body, error.headers = body, headers or {}
    return error


KUBERNETES = {
    "400 of Warden": (
        api(400, status(400, "GKE Warden constraints violations", WARDEN)),
        e.RejectedSpec,
        e.RejectedSpec,
    ),
    "403 of Warden": (api(403, status(403, "Forbidden", WARDEN)), e.RejectedSpec, e.RejectedSpec),
    "403 of RBAC": (
        api(403, status(403, "Forbidden", 'pods is forbidden: User "x" cannot list')),
        e.Forbidden,
        e.Forbidden,
    ),
    "401": (api(401, status(401, "Unauthorized", "Unauthorized")), e.AuthExpired, e.AuthExpired),
    "404": (api(404, status(404, "NotFound", "not found")), e.Gone, e.Gone),
    "404 of an unknown kind": (api(404, "404 page not found\n"), e.Gone, e.Gone),
    "409 changed": (api(409, status(409, "Conflict", "the object has been modified")), e.Conflict, e.Conflict),
    "409 there already": (api(409, status(409, "AlreadyExists", "exists")), e.AlreadyExists, e.AlreadyExists),
    "410 expired list": (
        api(410, status(410, "Expired", "continue parameter is too old")),
        e.ListExpired,
        e.ListExpired,
    ),
    "415": (api(415, status(415, "UnsupportedMediaType", "no")), e.Invalid, e.Invalid),
    "422 with a field": (
        api(422, status(422, "Invalid", "is invalid", causes=[{"field": "spec.replicas"}])),
        e.Invalid,
        e.Invalid,
    ),
    "429": (api(429, status(429, "TooManyRequests", "slow down"), {"Retry-After": "7"}), e.Throttled, e.Throttled),
    "500": (api(500, status(500, "InternalError", "boom")), e.ServerFault, e.Ambiguous),
    "500 as a subclass of 37": (api(500, "boom", kind=ServiceException), e.ServerFault, e.Ambiguous),
    "503": (api(503, "upstream"), e.ServerFault, e.Ambiguous),
    "504": (api(504, status(504, "Timeout", "timed out")), e.DeadlineExceeded, e.Ambiguous),
    "302": (api(302, ""), e.Unreadable, e.Unreadable),
    "HTML of a proxy": (api(502, "<html>bad gateway</html>"), e.ServerFault, e.Ambiguous),
    "SSL hidden in a text": (
        ApiException(status=0, reason="SSLError\ncertificate verify failed"),
        e.Unreachable,
        e.Unreachable,
    ),
    "quota at the API": (
        api(403, status(403, "Forbidden", "Quota 'NVIDIA_L4_GPUS' exceeded.")),
        e.QuotaExceeded,
        e.QuotaExceeded,
    ),
}

POOL = None
TRANSPORT = {
    "refused": (u.MaxRetryError(POOL, "/", u.NewConnectionError(POOL, "refused")), e.Unreachable, e.Unreachable),
    "connect time-out": (u.MaxRetryError(POOL, "/", u.ConnectTimeoutError("slow")), e.Unreachable, e.Unreachable),
    "unknown name": (u.NameResolutionError("host", None, OSError("no such host")), e.Unreachable, e.Unreachable),
    "read time-out": (u.ReadTimeoutError(POOL, "/", "read timed out"), e.DeadlineExceeded, e.Ambiguous),
    "read time-out, retried": (
        u.MaxRetryError(POOL, "/", u.ReadTimeoutError(POOL, "/", "t")),
        e.DeadlineExceeded,
        e.Ambiguous,
    ),
    "connection cut": (
        u.ProtocolError("Connection aborted.", ConnectionResetError(104, "reset")),
        e.Unreachable,
        e.Ambiguous,
    ),
    "body cut": (u.IncompleteRead(3, 9), e.Unreachable, e.Ambiguous),
    "bad certificate": (u.MaxRetryError(POOL, "/", u.SSLError("verify failed")), e.Unreachable, e.Unreachable),
    "ssl of the standard library": (ssl.SSLCertVerificationError("verify failed"), e.Unreachable, e.Unreachable),
    "refused socket": (ConnectionRefusedError(111, "refused"), e.Unreachable, e.Unreachable),
    "reset socket": (ConnectionResetError(104, "reset"), e.Unreachable, e.Ambiguous),
    "socket time-out": (TimeoutError("timed out"), e.DeadlineExceeded, e.Ambiguous),
    "requests: refused": (
        rq.ConnectionError(u.MaxRetryError(POOL, "/", u.NewConnectionError(POOL, "refused"))),
        e.Unreachable,
        e.Unreachable,
    ),
    "requests: read time-out": (rq.ReadTimeout("read timed out"), e.DeadlineExceeded, e.Ambiguous),
    "requests: connect time-out": (rq.ConnectTimeout("slow"), e.Unreachable, e.Unreachable),
    "requests: cut": (
        rq.ConnectionError(u.ProtocolError("Connection aborted.", OSError())),
        e.Unreachable,
        e.Ambiguous,
    ),
    "not JSON": (json.JSONDecodeError("x", "y", 0), e.Unreadable, e.Unreadable),
    "something new": (RuntimeError("?"), e.ServerFault, e.Ambiguous),
}

GOOGLE = {
    "gRPC: already exists": (g.AlreadyExists("x"), e.AlreadyExists, e.AlreadyExists),
    "REST: conflict": (g.Conflict("x"), e.Conflict, e.Conflict),
    "gRPC: permission": (g.PermissionDenied("compute.regions.list"), e.Forbidden, e.Forbidden),
    "REST: forbidden": (g.Forbidden("GET https://x/y: compute.regions.list"), e.Forbidden, e.Forbidden),
    "REST: unauthorised": (g.Unauthorized("x"), e.AuthExpired, e.AuthExpired),
    "gRPC: exhausted": (g.ResourceExhausted("x"), e.Throttled, e.Throttled),
    "REST: too many": (g.TooManyRequests("x"), e.Throttled, e.Throttled),
    "not found": (g.NotFound("x"), e.Gone, e.Gone),
    "bad argument": (g.InvalidArgument("x"), e.Invalid, e.Invalid),
    "REST: bad request": (g.BadRequest("x"), e.Invalid, e.Invalid),
    "deadline": (g.DeadlineExceeded("x"), e.DeadlineExceeded, e.Ambiguous),
    "unavailable": (g.ServiceUnavailable("x"), e.ServerFault, e.Ambiguous),
    "no connection": (g.ServiceUnavailable("failed to connect to all addresses"), e.Unreachable, e.Unreachable),
    "stock-out of a zone": (g.ServiceUnavailable("ZONE_RESOURCE_POOL_EXHAUSTED"), e.StockOut, e.StockOut),
    "quota": (
        g.Forbidden("Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 0.0 in region us-central1."),
        e.QuotaExceeded,
        e.QuotaExceeded,
    ),
    "gave up retrying": (g.RetryError("Timeout of 5s", g.TooManyRequests("x")), e.Throttled, e.Throttled),
    "500": (g.InternalServerError("x"), e.ServerFault, e.Ambiguous),
    "refresh refused": (
        ga.RefreshError("invalid_grant: Token has been expired or revoked."),
        e.AuthExpired,
        e.AuthExpired,
    ),
    "no credentials": (ga.DefaultCredentialsError("none"), e.AuthExpired, e.AuthExpired),
    "token endpoint away": (
        ga.TransportError(rq.ConnectionError(u.NewConnectionError(POOL, "refused"))),
        e.Unreachable,
        e.Unreachable,
    ),
    "token endpoint slow": (ga.TransportError(rq.ReadTimeout("slow")), e.DeadlineExceeded, e.DeadlineExceeded),
}

ALL = KUBERNETES | TRANSPORT | GOOGLE


@pytest.mark.parametrize(("error", "read", "write"), ALL.values(), ids=ALL.keys())
def test_consequence(error, read, write):
    """Every foreign error has one consequence for a read and one for a write."""
    assert type(translate(error, write=False)) is read
    assert type(translate(error, write=True)) is write


def test_a_write_is_never_said_to_have_failed_without_proof():
    """Among all errors of the table, those that can follow a sent write are Ambiguous and end the cluster's work."""
    unsent = (e.Unreachable, e.AuthExpired, e.Throttled, e.DeadlineExceeded)
    answered = (e.Invalid, e.Conflict, e.Gone, e.Forbidden, e.QuotaExceeded, e.StockOut, e.Unreadable)
    for error, _, _ in ALL.values():
        found = translate(error, write=True)
        assert isinstance(found, (e.Ambiguous, *unsent, *answered))
        if isinstance(found, e.Ambiguous):
            assert found.ends_cluster
            assert not found.retry_in_pass


def test_details_survive():
    """The field of an invalid object, Warden's constraint and the wait that a server asks for are kept."""
    assert translate(KUBERNETES["422 with a field"][0], write=True).field == "spec.replicas"
    assert translate(KUBERNETES["400 of Warden"][0], write=True).field == "autogke-gpu-limitation"
    assert translate(KUBERNETES["429"][0], write=False).retry_after == 7


@pytest.mark.parametrize(
    ("value", "expected"), [("3", 3.0), ("0.5", 0.5), ("-1", None), ("soon", None), ("nan", None), ("1e9", None)]
)
def test_retry_after(value, expected):
    """Nonsense in Retry-After is no wait at all."""
    assert retry_after({"retry-after": value}) == expected


def test_foreign_text_is_cut_and_clean():
    """A message is one line of at most 256 characters without credentials, whatever the server put there."""
    body = status(403, "Forbidden", "Authorization: Bearer ya29.secret-token-value\x1b[31m\n" + "x" * 5000)
    message = of_http(403, body, headers={}, write=False).message
    assert len(message) <= 256
    assert "ya29" not in message
    assert "\x1b" not in message
    assert "\n" not in message


def test_our_own_errors_pass_unchanged():
    """Translating twice changes nothing."""
    error = e.Throttled("x", retry_after=3)
    assert translate(error, write=True) is error
