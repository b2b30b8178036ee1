"""Questions about the project that no pass asks and a check does: APIs, permissions, the ingress feature, addresses.

Plain REST calls: four small answers do not justify four client libraries, of which one takes seconds to import. Nothing
here changes anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from controlplane.clock import Clock, SystemClock
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import Gone, Unreadable
from controlplane.gateways.instants import ahead
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.translate import of_http

Json = dict[str, Any]
_MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class IngressFeature:
    """The fleet's feature. `config_membership` is `projects/P/locations/L/memberships/M`, `code` OK or worse."""

    config_membership: str
    code: str
    description: str
    members: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReservedAddress:
    """A reserved address. `scope` is `global` or a region's name."""

    name: str
    address: str
    scope: str


class Inquiry:
    """Asks Google Cloud's APIs over REST. Every method raises GatewayError.

    ahead: how far the last server that answered is ahead of this machine; None while none has told.
    """

    def __init__(
        self, access: GoogleAccess, *, retrying: Retrying, timeouts: tuple[float, float], clock: Clock | None = None
    ) -> None:
        self._access, self._retrying, self._timeouts = access, retrying, timeouts
        self._clock = clock or SystemClock()
        self.ahead: timedelta | None = None

    def enabled_apis(self) -> frozenset[str]:
        """Give the names of the APIs that are enabled, such as `container.googleapis.com`."""
        path = f"/v1/projects/{self._project}/services?filter=state%3AENABLED&pageSize=200"
        services = [each for page in self._pages("serviceusage", path) for each in page.get("services") or ()]
        return frozenset(str(each.get("name", "")).rpartition("/")[2] for each in services)

    def granted(self, permissions: Iterable[str]) -> frozenset[str]:
        """Give those of the permissions that the caller has on the project."""
        path = f"/v1/projects/{self._project}:testIamPermissions"
        answer = self._call("cloudresourcemanager", "POST", path, {"permissions": sorted(permissions)})
        return frozenset(map(str, answer.get("permissions") or ()))

    def ingress_feature(self) -> IngressFeature | None:
        """Give the feature `multiclusteringress`; None when it is not enabled."""
        path = f"/v1/projects/{self._project}/locations/global/features/multiclusteringress"
        try:
            found = self._call("gkehub", "GET", path)
        except Gone:
            return None
        state = _inner(found, "state", "state")
        members = found.get("membershipStates") or {}
        return IngressFeature(
            config_membership=str(_inner(found, "spec", "multiclusteringress").get("configMembership", "")),
            code=str(state.get("code", "")),
            description=str(state.get("description", "")),
            members={str(name): str(_inner(each, "state").get("code", "")) for name, each in members.items()},
        )

    def addresses(self) -> list[ReservedAddress]:
        """Give all reserved addresses, the global ones and those of regions."""
        path = f"/compute/v1/projects/{self._project}/aggregated/addresses?maxResults=500&returnPartialSuccess=true"
        return [
            ReservedAddress(str(each.get("name", "")), str(each.get("address", "")), scope.rpartition("/")[2])
            for page in self._pages("compute", path)
            for scope, listed in (page.get("items") or {}).items()
            for each in listed.get("addresses") or ()
        ]

    @property
    def _project(self) -> str:
        return quote(self._access.project.name, safe=":")

    def _pages(self, api: str, path: str) -> list[Json]:
        pages = [self._call(api, "GET", path)]
        while (token := pages[-1].get("nextPageToken")) and len(pages) < _MOST_PAGES:
            pages.append(self._call(api, "GET", f"{path}&pageToken={quote(str(token), safe='')}"))
        return pages

    def _call(self, api: str, method: str, path: str, body: Json | None = None) -> Json:
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


def _inner(value: Any, *path: str) -> Mapping[str, Any]:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
