"""The project's fleet as the hub tells it: memberships, and the feature that wires the global address.

A membership's name is `projects/P/locations/L/memberships/M`: L is a region, or `global` for one that was registered
before memberships were regional, and P may be the project's id or its number, so names are compared by location and
id. What is known changes seldom while passes come every few seconds, so it is kept for a while; it is asked anew at
once when a cluster names a membership that is not in it, for nothing is called gone by an old answer.
Source: cloud.google.com/kubernetes-engine/fleet-management/docs/reference/rest/v1/projects.locations.memberships.
"""

import operator
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controlplane.clock import Clock
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import GatewayError, Gone
from controlplane.gateways.inquiry import IngressFeature
from controlplane.gateways.memberships import list_memberships
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.sanitise import sanitise
from controlplane.gateways.together import together
from controlplane.model.facts import Known, Unknown, map_fact
from controlplane.model.offering import ClusterRef

KEPT = 120.0
"""Seconds for which a whole answer serves the passes of one process."""
KEPT_UNKNOWN = 20.0
"""Seconds after which a hub that did not answer, or left locations out, is asked again: nothing goes meanwhile (S2)."""
GOING = frozenset({"DELETING"})


@dataclass(frozen=True, slots=True)
class MembershipName:
    """A membership's name without its project."""

    location: str
    id: str

    @classmethod
    def parse(cls, name: str) -> "MembershipName | None":
        """Read a full name, with or without `//gkehub.googleapis.com/` before it; None for anything else."""
        parts = name.removeprefix("//gkehub.googleapis.com/").split("/")
        named = len(parts) == 6 and (parts[0], parts[2], parts[4]) == ("projects", "locations", "memberships")
        return cls(parts[3], parts[5]) if named and all(parts) else None

    def __str__(self) -> str:
        """Give LOCATION/ID."""
        return f"{self.location}/{self.id}"


@dataclass(frozen=True, slots=True)
class FleetMembership:
    """What registers a cluster in the fleet. `cluster`: None for one that is none of GKE's."""

    name: MembershipName
    cluster: ClusterRef | None
    state: str = "READY"
    cluster_missing: bool = False

    @property
    def going(self) -> bool:
        """Whether it is being deleted."""
        return self.state in GOING


@dataclass(frozen=True, slots=True)
class Memberships:
    """All memberships. unreachable: locations of which nothing was told."""

    found: tuple[FleetMembership, ...] = ()
    unreachable: tuple[str, ...] = ()

    def of(self, ref: ClusterRef, named: MembershipName | None) -> FleetMembership | None:
        """Give what registers a cluster: the one that it names itself, else one that names it."""
        by_name = next((each for each in self.found if each.name == named), None)
        return by_name or next((each for each in self.found if each.cluster == ref), None)


@dataclass(frozen=True, slots=True)
class HubView:
    """What the hub told. feature: a Known None means that it is not enabled. number: the project's, where it showed."""

    memberships: Known[Memberships] | Unknown
    feature: Known[IngressFeature | None] | Unknown
    number: str = ""


@dataclass(slots=True)
class _Kept:
    view: HubView
    until: float


@dataclass(slots=True)
class Hub:
    """Asks the hub, and keeps what it told."""

    access: GoogleAccess
    clock: Clock
    retrying: Retrying
    timeout: float
    _client: Any = None
    _kept: _Kept | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def view(self, named: Collection[MembershipName] = ()) -> HubView:
        """Give the memberships and the feature. Never raises for what the hub answers: that is Unknown.

        named: memberships that clusters name; one that the kept answer lacks has it asked anew.
        """
        with self._lock:
            kept = self._kept
            if kept is not None and self.clock.monotonic() < kept.until and _holds(kept.view, named):
                return kept.view
            view = self._ask()
            self._kept = _Kept(view, self.clock.monotonic() + (KEPT if _whole(view) else KEPT_UNKNOWN))
            return view

    def _ask(self) -> HubView:
        calls: dict[str, Callable[[], Any]] = {"memberships": self._memberships, "feature": self._feature}
        answers = together(calls, seconds=self.timeout + 2.0, clock=self.clock)
        at = self.clock.now()
        memberships, feature = (_fact(answers[key], at) for key in ("memberships", "feature"))
        number = feature.value[1] if isinstance(feature, Known) else ""
        return HubView(memberships, map_fact(feature, operator.itemgetter(0)), number)

    def _memberships(self) -> Memberships:
        project = self.access.project.name
        listing = self.retrying.read(lambda: list_memberships(self._call, project))
        named = ((MembershipName.parse(each.name), each) for each in listing.memberships)
        found = (FleetMembership(name, m.cluster, m.state, m.cluster_missing) for name, m in named if name is not None)
        return Memberships(tuple(found), listing.unlisted)

    def _feature(self) -> tuple[IngressFeature | None, str]:
        name = f"projects/{self.access.project.name}/locations/global/features/multiclusteringress"
        try:
            found = self.retrying.read(lambda: self._call("get_feature", name=name))
        except Gone:
            return None, ""
        members = {str(key): state.state.code.name for key, state in found.membership_states.items()}
        numbers = {key.split("/")[1] for key in members if key.count("/") == 5 and key.split("/")[1].isdigit()}
        feature = IngressFeature(
            config_membership=str(found.spec.multiclusteringress.config_membership),
            code=found.state.state.code.name,
            description=sanitise(found.state.state.description, 200),
            members=members,
        )
        return feature, numbers.pop() if len(numbers) == 1 else ""

    def _call(self, method: str, **arguments: Any) -> Any:
        self.access.token()
        if self._client is None:
            from google.cloud.gkehub_v1 import GkeHubClient

            self._client = self.access.client("gkehub", GkeHubClient)
        return getattr(self._client, method)(**arguments, timeout=self.timeout, retry=None)


def _fact(answer: Any, at: datetime) -> Known[Any] | Unknown:
    return Unknown(answer.unknown, at, answer.message) if isinstance(answer, GatewayError) else Known(answer, at)


def _whole(view: HubView) -> bool:
    told = isinstance(view.memberships, Known) and not view.memberships.value.unreachable
    return told and isinstance(view.feature, Known)


def _holds(view: HubView, named: Collection[MembershipName]) -> bool:
    if not isinstance(view.memberships, Known):
        return True  # asking again at once would not help
    known = {each.name for each in view.memberships.value.found}
    return all(name in known or name.location in view.memberships.value.unreachable for name in named)
