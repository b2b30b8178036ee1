"""The status users read: what is wanted, where it stands, why, and what is remembered.

`kubectl get gpuservices` prints from here, so a few values stand twice, once as data and once as short text.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.api.codec import memory_to_status
from controlplane.model.decision import Condition, Counts, Decision
from controlplane.model.memory import Attempt, PlacementMemory
from controlplane.model.service import IngressKind, ServiceSpec

SHOWN_ATTEMPTS = 10
LONGEST_MESSAGE = 300


def status_of(
    spec: ServiceSpec,
    decision: Decision,
    previous: Mapping[str, Any] | None,
    now: datetime,
    *,
    address: str | None,
) -> dict[str, Any]:
    """Give the whole status. Conditions keep their lastTransitionTime while their status stays the same."""
    counts = decision.counts
    status: dict[str, Any] = {
        "observedGeneration": spec.generation,
        "replicas": counts.serving,
        "ready": f"{counts.serving}/{counts.wanted}",
        "regions": ",".join(counts.regions),
        "accelerators": ",".join(name.removeprefix("nvidia-") for name in counts.accelerators),
        "hourlyCost": f"{counts.hourly_cost:.2f}",
        "counts": _counts(counts),
        "conditions": conditions_of(decision.conditions, (previous or {}).get("conditions"), spec.generation, now),
        "placements": [_placement(p, decision.memory.unknown_since) for p in decision.memory.placements],
        "attempts": [_attempt(attempt) for attempt in decision.memory.attempts[-SHOWN_ATTEMPTS:]],
        "refusals": dict(decision.histogram),
        "memory": memory_to_status(decision.memory),
    }
    if address:
        status["address"] = address
    kinds = [kind.value for kind in decision.wirings] or (previous or {}).get("ingressKinds")
    if kinds and kinds != [IngressKind.MULTI_CLUSTER_INGRESS.value]:
        status["ingressKinds"] = kinds
    return status


def worth_writing(new: Mapping[str, Any], previous: Mapping[str, Any] | None) -> bool:
    """Say whether a status differs from the last one by more than the count of passes and what things cost now.

    Prices come and go with what tells them; a status that is written for each would never be still.
    """
    return _comparable(new) != _comparable(previous or {})


def _comparable(status: Mapping[str, Any]) -> dict[str, Any]:
    memory = status.get("memory")
    if isinstance(memory, Mapping):
        memory = {key: value for key, value in memory.items() if key != "passes"}
    conditions = status.get("conditions")
    if isinstance(conditions, list):
        conditions = [_without_cost(c) if isinstance(c, Mapping) else c for c in conditions]
    return {**status, "memory": memory, "conditions": conditions, "hourlyCost": None}


def _without_cost(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {**condition, "message": None} if condition.get("type") == "WithinCostCap" else dict(condition)


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "wanted": counts.wanted,
        "hunting": counts.hunting,
        "warming": counts.warming,
        "serving": counts.serving,
        "draining": counts.draining,
    }


def conditions_of(
    conditions: tuple[Condition, ...], previous: object, generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Give the conditions in wire form; one whose status stays the same keeps its lastTransitionTime."""
    before = {str(c.get("type")): c for c in previous if isinstance(c, Mapping)} if isinstance(previous, list) else {}
    result = []
    for condition in conditions:
        old = before.get(condition.type, {})
        same = old.get("status") == condition.status and "lastTransitionTime" in old
        result.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message[:LONGEST_MESSAGE],
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same else rfc3339(now),
            }
        )
    return result


def _placement(placement: PlacementMemory, unknown_since: Mapping[str, datetime]) -> dict[str, Any]:
    """Describe a placement; of a cluster that does not answer, the phase is what it was when it last did."""
    offering = placement.offering
    shown: dict[str, Any] = {
        "region": offering.region,
        "cluster": offering.cluster.link,
        "accelerator": offering.accelerator.type,
        "count": offering.accelerator.count,
        "capacity": offering.capacity.value,
        "phase": placement.phase.value,
        "replicas": placement.replicas,
        "since": rfc3339(placement.since),
    }
    if placement.ceiling:
        shown["maxReplicas"] = placement.ceiling
    if (since := unknown_since.get(offering.cluster.link)) is not None:
        shown["unknownSince"] = rfc3339(since)
    return {**shown, "reason": placement.reason[:LONGEST_MESSAGE]} if placement.reason else shown


def _attempt(attempt: Attempt) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "offering": attempt.offering.key,
        "replicas": attempt.replicas,
        "outcome": attempt.outcome.value,
        "startedAt": rfc3339(attempt.started_at),
    }
    if attempt.ended_at is not None:
        shown["endedAt"] = rfc3339(attempt.ended_at)
    if attempt.refusal is not None:
        shown["refusal"] = attempt.refusal.value
    if attempt.message:
        shown["message"] = attempt.message[:LONGEST_MESSAGE]
    return shown


def rfc3339(instant: datetime) -> str:
    """Write an instant as Kubernetes does: UTC, whole seconds, Z."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
