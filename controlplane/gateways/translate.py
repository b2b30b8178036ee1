"""The one table that turns foreign errors into classes by consequence.

Five families of libraries raise here: the kubernetes client (one class in 36, subclasses in 37), urllib3 beneath it,
google.api_core (REST raises the parent classes, gRPC the children), google.auth and requests. The rules that cost
others outages: a write without an answer is Ambiguous, never failed; a 403 of Warden is a rejected spec, never a
missing permission; an unknown error is a ServerFault and proves nothing about capacity.
"""

import json
import re
import socket
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from controlplane.clock import SystemClock
from controlplane.gateways import errors
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.sanitise import sanitise

WARDEN = re.compile(r"GKE Warden (rejected|constraints)")
DENIED_BY = re.compile(r"\[denied by ([\w-]+)\]")
STOCK_OUT = re.compile(
    r"GCE out of resources|ZONE_RESOURCE_POOL_EXHAUSTED(_WITH_DETAILS)?|REGION_RESOURCE_POOL_EXHAUSTED|GPU_STOCKOUT"
    r"|GCE_STOCKOUT|does not have enough resources available"
)
QUOTA = re.compile(r"GCE quota exceeded|QUOTA_EXCEEDED|Quota '[A-Z0-9_]+' exceeded|GCE_QUOTA_EXCEEDED")

_BY_STATUS: dict[int, type[GatewayError]] = {
    401: errors.AuthExpired,
    403: errors.Forbidden,
    404: errors.Gone,
    409: errors.Conflict,
    410: errors.ListExpired,
}


def translate(error: BaseException, *, write: bool) -> GatewayError:
    """Give the class that says what may be done next. `write`: the call may have changed something when it got through.

    The caller raises it `from` the original.
    """
    if isinstance(error, GatewayError):
        return error
    module, status = type(error).__module__, getattr(error, "status", None)
    if module.startswith("kubernetes.") and isinstance(status, int) and status:
        return of_http(
            status, _body(error), headers=getattr(error, "headers", None) or {}, write=write, phrase=_phrase(error)
        )
    if module.startswith("kubernetes.") and "SSL" in _phrase(error):
        return errors.Unreachable(sanitise(_phrase(error), 200))  # the client hides urllib3's class in a text
    if module.startswith("google.api_core"):
        return _of_api_core(error, write=write)
    if module.startswith("google.auth"):
        return _of_google_auth(error, write=write)
    chain = _chain(error)
    if any(isinstance(each, TimeoutError) and "handshake" in str(each) for each in chain):
        # urllib3 calls it a read that took too long, but before the handshake is done nothing is sent.
        return errors.Unreachable("no TLS connection within the time set for it")
    for candidate in chain:
        found = _of_connection(candidate, write=write)
        if found is not None:
            return found
    if isinstance(error, ValueError) or "pydantic" in module:
        return errors.Unreadable(f"unreadable answer: {sanitise(error, 200)}")
    return _maybe(write, errors.ServerFault(f"{type(error).__name__}: {sanitise(error, 200)}"))


def of_http(status: int, body: str, *, headers: Mapping[str, str], write: bool, phrase: str = "") -> GatewayError:
    """Translate an HTTP status with the body of a Kubernetes Status or a Google error."""
    reason, message, field = _read_status(body)
    text = sanitise(message or phrase or f"HTTP {status}")
    full = f"{reason} {message}"
    if status in (400, 403) and WARDEN.search(full):
        denied = DENIED_BY.search(message)
        return errors.RejectedSpec(text, field=denied.group(1) if denied else "")
    if QUOTA.search(full) and status in (400, 403, 409, 429):
        return errors.QuotaExceeded(text)
    if STOCK_OUT.search(full):
        return errors.StockOut(text)
    if reason == "AlreadyExists":
        return errors.AlreadyExists(text)
    if status in _BY_STATUS:
        return _BY_STATUS[status](text)
    if status in (400, 405, 406, 411, 412, 413, 414, 415, 422):
        return errors.Invalid(text, field=field)
    if status == 429:
        return errors.Throttled(text, retry_after=retry_after(headers))
    if status in (408, 504):
        return _maybe(write, errors.DeadlineExceeded(text))
    if 300 <= status < 400:
        return errors.Unreadable(f"redirect refused (HTTP {status})")
    return _maybe(write, errors.ServerFault(text, retry_after=retry_after(headers)))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, in seconds or as a date; None when it is absent or nonsense."""
    value = next((v for k, v in headers.items() if k.lower() == "retry-after"), None)
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - SystemClock().now()).total_seconds()
        except (ValueError, TypeError):
            return None
    return seconds if 0 <= seconds < 86400 else None


def _maybe(write: bool, error: GatewayError) -> GatewayError:
    """Turn the error into Ambiguous for a write: one that reached a failing server may have happened."""
    return errors.Ambiguous(f"no proof of the outcome: {error.message}") if write else error


def _of_connection(error: BaseException, *, write: bool) -> GatewayError | None:
    name, module = type(error).__name__, type(error).__module__.partition(".")[0]
    text = f"{name}: {sanitise(_plain(error), 200)}"
    if name in ("NewConnectionError", "ConnectTimeoutError", "ConnectTimeout", "NameResolutionError", "ProxyError"):
        return errors.Unreachable(text)
    if isinstance(error, (ConnectionRefusedError, socket.gaierror)):
        return errors.Unreachable(text)
    if module == "ssl" or name in ("SSLError", "CertificateError", "LocationParseError", "InvalidURL"):
        return errors.Unreachable(text)
    if name in ("ReadTimeoutError", "ReadTimeout", "Timeout") or isinstance(error, TimeoutError):
        return _maybe(write, errors.DeadlineExceeded(text))
    if name in ("ProtocolError", "IncompleteRead", "RemoteDisconnected", "ChunkedEncodingError", "DecodeError"):
        return errors.Ambiguous(text) if write else errors.Unreachable(text)
    if name == "ResponseError" or isinstance(error, (ConnectionError, OSError)):
        return errors.Ambiguous(text) if write else errors.Unreachable(text)
    return None


def _of_api_core(error: BaseException, *, write: bool) -> GatewayError:
    code = getattr(error, "code", None)
    if code is None:  # RetryError: it gave up repeating what its cause says
        for cause in _chain(error):
            if cause is not error:
                return translate(cause, write=write)
        return _maybe(write, errors.DeadlineExceeded(sanitise(error)))
    message = re.sub(r"^(GET|POST|PUT|PATCH|DELETE) https?://\S+: ", "", getattr(error, "message", "") or str(error))
    name = type(error).__name__
    if name == "AlreadyExists":
        return errors.AlreadyExists(sanitise(message))
    status = {"DeadlineExceeded": 504, "Cancelled": 408}.get(name, int(code))
    if status == 503 and "failed to connect" in message.lower():
        return errors.Unreachable(sanitise(message))
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", None)
    return of_http(status, message, headers=headers if isinstance(headers, Mapping) else {}, write=write)


def _of_google_auth(error: BaseException, *, write: bool) -> GatewayError:
    name = type(error).__name__
    if name in ("TransportError", "TimeoutError") or getattr(error, "retryable", False):
        for cause in _chain(error):
            found = None if cause is error else _of_connection(cause, write=False)
            if found is not None:
                return found  # the token was not had, so the call itself was never sent: not ambiguous
        return errors.Unreachable(f"no access token: {sanitise(error, 200)}")
    del write
    return errors.AuthExpired(f"{name}: {sanitise(error, 200)}")


def _chain(error: BaseException) -> list[BaseException]:
    """Give the error and what it wraps: urllib3 and requests put the cause into `reason` or the first argument."""
    found: list[BaseException] = []
    queue: list[Any] = [error]
    while queue and len(found) < 16:
        item = queue.pop(0)
        if not isinstance(item, BaseException) or item in found:
            continue
        found.append(item)
        queue += [
            getattr(item, "reason", None),
            getattr(item, "cause", None),
            item.__cause__,
            item.__context__,
            *item.args[:2],
        ]
    # The innermost connection error says most: a MaxRetryError itself does not tell whether anything was sent.
    wrappers = ("MaxRetryError", "ConnectionError", "RetryError", "TransportError")
    return [e for e in found if type(e).__name__ not in wrappers] + [e for e in found if type(e).__name__ in wrappers]


def _read_status(body: str) -> tuple[str, str, str]:
    """Give reason, message and field of a Kubernetes Status or a Google error; text that is neither is the message."""
    try:
        value = json.loads(body)
    except ValueError:
        # A proxy's HTML page says nothing to anybody.
        return "", "" if body.lstrip().startswith("<") else body, ""
    if not isinstance(value, dict):
        return "", "", ""
    if isinstance(value.get("error"), dict):
        value = value["error"]
        return str(value.get("status", "")), str(value.get("message", "")), ""
    details = value.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    first = causes[0] if isinstance(causes, list) and causes and isinstance(causes[0], dict) else {}
    return str(value.get("reason", "")), str(value.get("message", "")), str(first.get("field", ""))


def _body(error: BaseException) -> str:
    body = getattr(error, "body", None)
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body or "")


def _phrase(error: BaseException) -> str:
    return str(getattr(error, "reason", "") or "")


def _plain(error: BaseException) -> str:
    """urllib3 prefixes its texts with the repr of a connection object, which is an address in memory."""
    return re.sub(r"^<[^>]*>: |\bHTTPS?ConnectionPool\([^)]*\): |<[\w.]+ object at 0x[0-9a-f]+>:? ?", "", str(error))
