"""Plain REST calls to Google Cloud's APIs, where a few small answers do not justify a client library of their own.

Time-outs on every call, retries of reads by the one policy, tokens and trust as everywhere else.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from controlplane.clock import Clock
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import Unreadable
from controlplane.gateways.instants import ahead
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.translate import of_http

Json = dict[str, Any]
_MOST_PAGES = 20


class Rest:
    """Reads from Google Cloud's APIs over REST. Every method raises GatewayError.

    ahead: how far the last server that answered is ahead of this machine; None while none has told.
    """

    def __init__(
        self, access: GoogleAccess, *, retrying: Retrying, timeouts: tuple[float, float], clock: Clock
    ) -> None:
        self._access, self._retrying, self._timeouts, self._clock = access, retrying, timeouts, clock
        self.ahead: timedelta | None = None

    @property
    def project(self) -> str:
        """The project's id, as it stands in a path."""
        return quote(self._access.project.name, safe=":")

    def pages(self, api: str, path: str) -> list[Json]:
        """Give every page of a listing; `path` has a query already."""
        pages = [self.call(api, "GET", path)]
        while (token := pages[-1].get("nextPageToken")) and len(pages) < _MOST_PAGES:
            pages.append(self.call(api, "GET", f"{path}&pageToken={quote(str(token), safe='')}"))
        return pages

    def call(self, api: str, method: str, path: str, body: Json | None = None) -> Json:
        """Make a call that changes nothing; give the object that it answers."""
        url = self._access.project.endpoints.get(api, f"https://{api}.googleapis.com") + path
        return self._retrying.read(lambda: self._once(method, url, body))

    def _once(self, method: str, url: str, body: Json | None) -> Json:
        headers = {"Authorization": f"Bearer {self._access.token()}"}
        if payer := self._access.identity().quota_project:
            headers["x-goog-user-project"] = payer
        before = self._clock.now()
        with self._access.session() as session:
            answer = session.request(
                method, url, headers=headers, json=body, timeout=self._timeouts, allow_redirects=False
            )
        told = ahead(answer.headers, before, self._clock.now())
        self.ahead = self.ahead if told is None else told
        if answer.status_code != 200:
            raise of_http(answer.status_code, answer.text, headers=answer.headers, write=False, phrase=answer.reason)
        value = answer.json()
        if not isinstance(value, dict):
            raise Unreadable("the answer is not an object")
        return value


def inner(value: Any, *path: str) -> Mapping[str, Any]:
    """Give the object at a path of names; empty where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
