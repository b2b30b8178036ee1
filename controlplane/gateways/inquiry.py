"""Questions about the project that no pass asks and a check does: APIs, permissions, the ingress feature, addresses.

Plain REST calls: four small answers do not justify four client libraries, of which one takes seconds to import. Nothing
here changes anything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from controlplane.clock import Clock, SystemClock
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import Gone
from controlplane.gateways.rest import Rest, inner
from controlplane.gateways.retrying import Retrying

ACT_AS = "iam.serviceAccounts.actAs"
_DEFAULT = "defaultServiceAccount"
INGRESS, DISCOVERY = "multiclusteringress", "multiclusterservicediscovery"


@dataclass(frozen=True, slots=True)
class IngressFeature:
    """A feature of the fleet that leads traffic: `code` is OK or worse, `members` the same by membership.

    config_membership: the ingress feature's, as `projects/P/locations/L/memberships/M`; empty for the others.
    """

    config_membership: str
    code: str
    description: str
    members: Mapping[str, str]

    @property
    def not_well(self) -> list[str]:
        """Give the memberships, by their id, for which it does not work."""
        return sorted(name.rpartition("/")[2] for name, code in self.members.items() if code not in ("", "OK"))


@dataclass(frozen=True, slots=True)
class ReservedAddress:
    """A reserved address. `scope` is `global` or a region's name."""

    name: str
    address: str
    scope: str


class Inquiry:
    """Asks Google Cloud's APIs over REST. Every method raises GatewayError."""

    def __init__(
        self, access: GoogleAccess, *, retrying: Retrying, timeouts: tuple[float, float], clock: Clock | None = None
    ) -> None:
        self._rest = Rest(access, retrying=retrying, timeouts=timeouts, clock=clock or SystemClock())

    @property
    def ahead(self) -> timedelta | None:
        """How far the last server that answered is ahead of this machine; None while none has told."""
        return self._rest.ahead

    def enabled_apis(self) -> frozenset[str]:
        """Give the names of the APIs that are enabled, such as `container.googleapis.com`."""
        path = f"/v1/projects/{self._rest.project}/services?filter=state%3AENABLED&pageSize=200"
        services = [each for page in self._rest.pages("serviceusage", path) for each in page.get("services") or ()]
        return frozenset(str(each.get("name", "")).rpartition("/")[2] for each in services)

    def granted(self, permissions: Iterable[str]) -> frozenset[str]:
        """Give those of the permissions that the caller has on the project."""
        path = f"/v1/projects/{self._rest.project}:testIamPermissions"
        answer = self._rest.call("cloudresourcemanager", "POST", path, {"permissions": sorted(permissions)})
        return frozenset(map(str, answer.get("permissions") or ()))

    def node_account(self) -> str:
        """Give the account that nodes run as where a cluster names none: Compute Engine's own; empty if it has none."""
        return str(self._rest.call("compute", "GET", f"/compute/v1/projects/{self._rest.project}").get(_DEFAULT, ""))

    def usable(self, account: str) -> bool:
        """Say whether the caller may have something run as a service account of the project, by its email."""
        path = f"/v1/projects/{self._rest.project}/serviceAccounts/{quote(account, safe='@')}:testIamPermissions"
        answer = self._rest.call("iam", "POST", path, {"permissions": [ACT_AS]})
        return ACT_AS in (answer.get("permissions") or ())

    def feature(self, name: str) -> IngressFeature | None:
        """Give a feature of the fleet; None when it is not enabled."""
        try:
            found = self._rest.call(
                "gkehub", "GET", f"/v1/projects/{self._rest.project}/locations/global/features/{name}"
            )
        except Gone:
            return None
        state = inner(found, "state", "state")
        members = found.get("membershipStates") or {}
        return IngressFeature(
            config_membership=str(inner(found, "spec", INGRESS).get("configMembership", "")),
            code=str(state.get("code", "")),
            description=str(state.get("description", "")),
            members={str(name): str(inner(each, "state").get("code", "")) for name, each in members.items()},
        )

    def addresses(self) -> list[ReservedAddress]:
        """Give all reserved addresses, the global ones and those of regions."""
        path = (
            f"/compute/v1/projects/{self._rest.project}/aggregated/addresses?maxResults=500&returnPartialSuccess=true"
        )
        return [
            ReservedAddress(str(each.get("name", "")), str(each.get("address", "")), scope.rpartition("/")[2])
            for page in self._rest.pages("compute", path)
            for scope, listed in (page.get("items") or {}).items()
            for each in listed.get("addresses") or ()
        ]
