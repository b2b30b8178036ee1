"""Plain REST calls to Google Cloud's APIs, where a few small answers do not justify a client library of their own.

Time-outs on every call, retries of reads by the one policy, tokens and trust as everywhere else.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from controlplane.clock import Clock
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.instants import ahead
from controlplane.gateways.request import Json, object_of, send
from controlplane.gateways.retrying import Retrying

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
        return self._retrying.read(lambda: self._once(api, method, path, body))

    def _once(self, api: str, method: str, path: str, body: Json | None) -> Json:
        before = self._clock.now()
        with self._access.session() as session:
            answer = send(self._access, session, api, method, path, body=body, timeouts=self._timeouts)
        told = ahead(answer.headers, before, self._clock.now())
        self.ahead = self.ahead if told is None else told
        return object_of(answer, write=False)


def inner(value: Any, *path: str) -> Mapping[str, Any]:
    """Give the object at a path of names; empty where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
