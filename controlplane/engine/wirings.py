"""The wirings of a pass: which kinds are looked at, what was seen of them, and what that says of one service.

Kinds that no service asks for, and that no status says to be there, are not looked at: a quiet pass makes few calls.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from controlplane.engine.ports import Json
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import IngressFact
from controlplane.model.service import IngressKind, ServiceSpec
from ingress.wiring import Kind, TrafficWiring, WiringState

Wirings = Mapping[IngressKind, TrafficWiring]
Health = Mapping[str, Known[Mapping[str, int]] | Unknown]


@dataclass(frozen=True, slots=True)
class WiringView:
    """What wires the services of every kind: the config cluster's objects, and by kind and link the members'.

    members: empty for a kind that no service is wired with; None is a member that could not be seen.
    """

    objects: Mapping[Kind, Sequence[Json]]
    members: Mapping[Kind, Mapping[str, Sequence[Json] | None]] = field(default_factory=dict)


_NOT_ASKED = "the pass ended before it was asked"


def kinds_in_use(services: Iterable[Json]) -> frozenset[IngressKind]:
    """Give the kinds of ingress that are asked for or that a status says to be there; all where there is none yet."""
    found: set[IngressKind] = set()
    for service in services:
        spec, status = _mapping(service, "spec"), _mapping(service, "status")
        if "observedGeneration" not in status:
            return frozenset(IngressKind)
        told = status.get("ingressKinds", [IngressKind.MULTI_CLUSTER_INGRESS])  # left out where it is that one alone
        asked = _mapping(spec, "ingress").get("kind", IngressKind.MULTI_CLUSTER_INGRESS)
        names = [asked, *(told if isinstance(told, list) else ())]
        found |= {kind for kind in IngressKind if kind in names}
    return frozenset(found)


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True, slots=True)
class _Health:
    """What was told of each backend service, and when it was asked."""

    by_name: Health
    at: datetime

    def of(self, names: Sequence[str]) -> Known[Mapping[str, int]] | Unknown:
        """Sum the backend services' counts; one that is Unknown makes the sum Unknown, half a count misleads."""
        if not names:
            return Unknown(UnknownReason.NOT_PUBLISHED, self.at, "no backend service is there yet")
        total: dict[str, int] = {}
        for name in names:
            fact = self.by_name.get(name, Unknown(UnknownReason.NOT_ASKED, self.at, _NOT_ASKED))
            if isinstance(fact, Unknown):
                return fact
            for region, count in fact.value.items():
                total[region] = total.get(region, 0) + count
        return Known(total, self.at)


def ingress_fact(
    spec: ServiceSpec, seen: Known[WiringView] | Unknown, wirings: Wirings, health: Health, at: datetime
) -> Known[IngressFact] | Unknown:
    """Give the wiring of the kind that the spec asks for, and of the other one while anything of it is there."""
    if isinstance(seen, Unknown):
        return seen
    facts = {kind: _fact_of(spec, seen.value, kind, wiring, _Health(health, at)) for kind, wiring in wirings.items()}
    mine = facts.pop(spec.ingress.kind)
    other = next((fact for fact in facts.values() if fact.present), None)
    return Known(replace(mine, other=other), seen.at)


def _fact_of(
    spec: ServiceSpec, seen: WiringView, kind: IngressKind, wiring: TrafficWiring, health: "_Health"
) -> IngressFact:
    member_kind = wiring.member_kind()
    state = wiring.state(spec, seen.objects, seen.members.get(member_kind) if member_kind else None)
    return IngressFact(
        clusters=state.clusters,
        address=state.address,
        healthy=Known({}, health.at) if _nothing_wired(state) else health.of(state.backend_services),
        spec_hash=state.spec_hash,
        resource_version=state.resource_version,
        foreign=bool(state.foreign),
        kind=kind,
        present=state.present,
        going=state.going,
    )


def _nothing_wired(state: WiringState) -> bool:
    """Say whether there is no address at all: then nothing answers behind it, and that is known."""
    return state.clusters is None and state.address is None and not state.backend_services
