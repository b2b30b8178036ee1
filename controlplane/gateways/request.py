"""One request to a Google Cloud API over plain REST: where it goes, whose token it bears, who pays, what is an answer.

`rest.py` and `administration.py` make their calls with it: the one reads a few facts beside the clients' calls, the
other sets up a project. No redirect is followed, since a token is meant for one host.
"""

from typing import Any

from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import Unreadable
from controlplane.gateways.translate import of_http

Json = dict[str, Any]


def send(
    access: GoogleAccess,
    session: Any,
    api: str,
    method: str,
    path: str,
    *,
    body: Json | bytes | None = None,
    timeouts: tuple[float, float],
) -> Any:
    """Send a request; give the response of `requests`, which may be a refusal. `api` is the host's first word.

    timeouts: for the connection and for the answer, in seconds. Raises whatever getting a token or the transport does.
    """
    url = access.project.endpoints.get(api, f"https://{api}.googleapis.com") + path
    headers = {"Authorization": f"Bearer {access.token()}"}
    if payer := access.identity().quota_project:
        headers["x-goog-user-project"] = payer
    content: dict[str, Any] = {"json": body}
    if isinstance(body, bytes):
        headers["Content-Type"], content = "application/octet-stream", {"data": body}
    return session.request(method, url, headers=headers, timeout=timeouts, allow_redirects=False, **content)


def object_of(answer: Any, *, write: bool) -> Json:
    """Give the object that a response holds; what is written may be answered with nothing.

    Raises GatewayError for a refusal and for what is no object, and what `requests` raises for what is no JSON.
    """
    if answer.status_code not in ((200, 204) if write else (200,)):
        raise of_http(answer.status_code, answer.text, headers=answer.headers, write=write, phrase=answer.reason)
    if write and not answer.text:
        return {}
    value = answer.json()
    if not isinstance(value, dict):
        raise Unreadable("the answer is not an object")
    return value
