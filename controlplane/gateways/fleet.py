"""Which clusters there are, which of them belong, and how they are reached: from the GKE API and the fleet's hub.

A listing says of itself when it is not complete (`missing_zones`, and the hub's `unreachable`), and clusters that it
leaves out then are not gone. A member is an Autopilot cluster that a membership registers in the project's fleet,
without which no ingress of the fleet leads to it. The label `gpu-hunter: ignore` keeps a cluster out, labels that are
asked for narrow the choice further, and the config cluster is never a member.
"""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.clock import Clock
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.endpoints import Route, route
from controlplane.gateways.errors import ConfigurationProblem
from controlplane.gateways.hub import FleetMembership, Hub, HubView, MembershipName
from controlplane.gateways.kubeapi import Endpoint
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.sanitise import sanitise
from controlplane.model.facts import Known, Unknown, map_fact
from controlplane.model.fleet import (
    ClusterStanding,
    EndpointChoice,
    FleetSeen,
    FleetSpec,
    IngressFeatureSeen,
)
from controlplane.model.observation import ClusterInfo
from controlplane.model.offering import ClusterRef

LABEL = "gpu-hunter"
IGNORE = "ignore"
NO_AUTOPILOT = "it is no Autopilot cluster"
SAME_LISTING = 5.0
"""Seconds for which the listing that found the config cluster also serves the pass that it was made for."""
_WELL = frozenset({"", "OK", "CODE_UNSPECIFIED"})
_USABLE = frozenset({"RUNNING", "RECONCILING"})


@dataclass(frozen=True, slots=True)
class Listing:
    """The fleet as Google Cloud told it.

    clusters: those that belong. unlisted: locations that could not be asked, or whose memberships could not.
    seen: every cluster of the project, and why it belongs or not; None where only members are known.
    """

    clusters: tuple[ClusterInfo, ...]
    endpoints: Mapping[ClusterRef, Endpoint]
    unlisted: tuple[str, ...] = ()
    seen: FleetSeen | None = None


@dataclass(frozen=True, slots=True)
class _Judged:
    """A cluster, by which endpoint it is called, and its location where that is in the dark because of it."""

    standing: ClusterStanding
    endpoint: Endpoint | None
    dark: str


class Fleet:
    """The project's clusters through the container API, with what the hub says of their memberships."""

    def __init__(
        self,
        access: GoogleAccess,
        config: ClusterRef,
        hub: Hub,
        *,
        clock: Clock,
        retrying: Retrying,
        timeout: float,
        choice: EndpointChoice = EndpointChoice.AUTO,
    ) -> None:
        self._access, self._config, self._hub, self._clock = access, config, hub, clock
        self._retrying, self._timeout, self._choice = retrying, timeout, choice
        self._client: Any = None
        self._latest: tuple[float, Any] | None = None
        self._lock = threading.Lock()

    def listing(self, wanted: FleetSpec, held: Collection[ClusterRef] = ()) -> Listing:
        """List all clusters of the project, in every location, and say which belong.

        held: clusters with something of ours. One of them that does not belong any more is listed as leaving.
        """
        with self._lock:
            latest, self._latest = self._latest, None
        fresh = latest is not None and self._clock.monotonic() - latest[0] < SAME_LISTING
        answer = latest[1] if latest is not None and fresh else self._list()
        named = {name for cluster in answer.clusters if (name := MembershipName.parse(cluster.fleet.membership))}
        view = self._hub.view(named)
        judge = _Judge(wanted, self._access, view, _number(answer, view), frozenset(held))
        found = {ClusterRef(c.location, c.name): c for c in answer.clusters}
        judged = [judge.stand(ref, found[ref]) for ref in sorted(found) if ref != wanted.config]
        members = [each for each in judged if each.standing.belongs or each.standing.leaving]
        unlisted = sorted({*map(str, answer.missing_zones), *(each.dark for each in judged if each.dark)})
        config = found.get(wanted.config)
        return Listing(
            clusters=tuple(_info(each.standing) for each in members),
            endpoints={each.standing.ref: each.endpoint for each in members if each.endpoint is not None},
            unlisted=tuple(unlisted),
            seen=FleetSeen(
                standings=tuple(each.standing for each in judged),
                unlisted=tuple(unlisted),
                memberships=map_fact(view.memberships, lambda told: len(told.found)),
                feature=_feature(view, wanted.config, config),
            ),
        )

    def config_endpoint(self) -> Endpoint:
        """Find the config cluster. The listing that finds it is kept for the pass, which asks for one anyway."""
        ref = self._config
        if not ref.name:
            raise ConfigurationProblem(
                f"project {self._access.project.name} has no config cluster: no multiclusteringress feature names one;"
                " enable it with a cluster's membership, or name a cluster as LOCATION/NAME"
            )
        answer = self._list()
        with self._lock:
            self._latest = (self._clock.monotonic(), answer)
        cluster = _pick(answer, ref)
        if cluster is None and answer.missing_zones:
            cluster = _pick(self._list(ref.location), ref)  # its own location may answer where all together did not
        if cluster is None:
            raise ConfigurationProblem(
                f"config cluster {ref.link} is not in project {self._access.project.name};"
                " name an existing one as LOCATION/NAME, or have `gpuhunter bootstrap` make it"
            )
        membership = MembershipName.parse(cluster.fleet.membership)
        way = route(cluster, self._choice, self._access.project, membership, _own_number(cluster))
        if way.endpoint is None or cluster.status.name == "PROVISIONING":
            raise ConfigurationProblem(
                f"config cluster {ref.link} has no endpoint yet ({cluster.status.name}); wait for it"
                if self._choice is EndpointChoice.AUTO
                else f"config cluster {ref.link} cannot be called: {way.why}; the Fleet file chooses endpoint"
                f" {self._choice.value}, choose another one there"
            )
        return way.endpoint

    def _list(self, location: str = "-") -> Any:
        parent = f"projects/{self._access.project.name}/locations/{location}"
        return self._retrying.read(lambda: self._call("list_clusters", parent=parent))

    def _call(self, method: str, **arguments: Any) -> Any:
        self._access.token()
        if self._client is None:
            from google.cloud.container_v1 import ClusterManagerClient

            self._client = self._access.client("container", ClusterManagerClient)
        return getattr(self._client, method)(**arguments, timeout=self._timeout, retry=None)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Says of each cluster whether it belongs."""

    wanted: FleetSpec
    access: GoogleAccess
    view: HubView
    number: str
    held: frozenset[ClusterRef]

    def stand(self, ref: ClusterRef, cluster: Any) -> _Judged:
        """Say how it stands, and by which way it is called."""
        labels = dict(cluster.resource_labels)
        own = MembershipName.parse(cluster.fleet.membership)
        membership, outside, dark = self._registration(ref, own, claimed=bool(cluster.fleet.project))
        name = membership.name if membership else own
        why = self._excluded(cluster, labels)
        # A location counts as dark only for a cluster that would belong there.
        dark, why = ("" if why else dark), why or outside
        way = route(cluster, self.wanted.endpoint, self.access.project, name, _own_number(cluster) or self.number)
        state = cluster.status.name
        going = not why and membership is not None and membership.going
        ours = bool(why) and not dark and ref in self.held and labels.get(LABEL) != IGNORE
        standing = ClusterStanding(
            ref,
            state=state,
            belongs=not why,
            why=why or _unused(state, cluster, way, going=going),
            leaving=going or ours,
            version=str(cluster.current_master_version),
            membership=str(name) if name else "",
            endpoint=way.endpoint.kind if way.endpoint else "",
            ingress=self._ingress(name),
            uid=str(cluster.id),
            labels=labels,
        )
        return _Judged(standing, way.endpoint, dark)

    def _ingress(self, name: MembershipName | None) -> str:
        feature = self.view.feature
        if name is None or not isinstance(feature, Known) or feature.value is None:
            return ""
        told = (code for key, code in feature.value.members.items() if MembershipName.parse(key) == name)
        return next((code for code in told if code not in _WELL), "")

    def _excluded(self, cluster: Any, labels: Mapping[str, str]) -> str:
        if not cluster.autopilot.enabled:
            return NO_AUTOPILOT
        if labels.get(LABEL) == IGNORE:
            return f"its label {LABEL}={IGNORE} keeps it out"
        for key, value in self.wanted.labels.items():
            if labels.get(key) != value:
                has = f"it has {key}={labels[key]}" if key in labels else f"it lacks {key}"
                return f"the Fleet wants the label {key}={value}, and {has}"
        return ""

    def _registration(
        self, ref: ClusterRef, own: MembershipName | None, *, claimed: bool
    ) -> tuple[FleetMembership | None, str, str]:
        """Give the membership, why the cluster is outside the fleet, and the location whose answer is missing."""
        facts, unregistered = self.view.memberships, "it is not registered in the fleet"
        if not isinstance(facts, Known):
            inside = own is not None or claimed
            return None, "" if inside else f"{unregistered}, as far as GKE tells", "" if inside else ref.location
        found = facts.value.of(ref, own)
        if found is not None:
            missing = f"its membership {found.name} says that the cluster was deleted; register it again"
            return found, missing if found.cluster_missing else "", ""
        if own is not None:
            if own.location in facts.value.unreachable:
                return None, "", ref.location
            return None, f"its membership {own} is not in the fleet of {self.access.project.name} any more", ""
        if claimed:
            return None, "", ""  # it is being registered
        return None, unregistered, ref.location if facts.value.unreachable else ""


def _pick(answer: Any, ref: ClusterRef) -> Any:
    return next((c for c in answer.clusters if (c.location, c.name) == (ref.location, ref.name)), None)


def _unused(state: str, cluster: Any, way: Route, *, going: bool) -> str:
    if state not in _USABLE:
        return ": ".join(part for part in (f"it is {state}", sanitise(cluster.status_message, 120)) if part)
    if way.endpoint is None:
        return way.why
    return "its membership is being deleted" if going else ""


def _info(standing: ClusterStanding) -> ClusterInfo:
    usable = standing.state in _USABLE and bool(standing.endpoint)
    return ClusterInfo(standing.ref, usable=usable, status=standing.state, leaving=standing.leaving)


def _feature(view: HubView, ref: ClusterRef, cluster: Any) -> Known[IngressFeatureSeen] | Unknown:
    """Give the ingress feature, and whether its config membership is what registers the config cluster."""
    if isinstance(view.feature, Unknown):
        return view.feature
    told = view.feature.value
    if told is None:
        return Known(IngressFeatureSeen(enabled=False), view.feature.at)
    name = MembershipName.parse(told.config_membership)
    own = None if cluster is None else MembershipName.parse(cluster.fleet.membership)
    if own is None and isinstance(view.memberships, Known):
        found = view.memberships.value.of(ref, None)
        own = found.name if found else None
    ours = None if own is None else name == own
    code = "" if told.code in _WELL else told.code
    return Known(IngressFeatureSeen(True, told.config_membership, ours, code, told.description), view.feature.at)


def _number(answer: Any, view: HubView) -> str:
    return view.number or next((found for cluster in answer.clusters if (found := _own_number(cluster))), "")


def _own_number(cluster: Any) -> str:
    """Give the number of the fleet's project where a cluster tells it, which names it by id elsewhere."""
    told = str(cluster.fleet.membership).removeprefix("//gkehub.googleapis.com/projects/").partition("/")[0]
    return next((each for each in (told, str(cluster.fleet.project)) if each.isdigit()), "")
