"""Telling people: Kubernetes Events on change only, the status of a GPUService that cannot be read, the exit code."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from controlplane.engine.outcome import ExitCode, Outcome, Result
from controlplane.gateways.sanitise import sanitise
from controlplane.model.decision import Decision
from controlplane.model.naming import FIELD_MANAGER, shorten
from controlplane.model.reasons import Reason
from controlplane.model.service import ServiceSpec

Json = dict[str, Any]
_QUIET = frozenset({Outcome.SKIPPED, Outcome.CONFLICT})
ACCEPTED = "Accepted"
FAULT = "a fault of the program; the log has the details"
REPEATED_AFTER = 600
"""Seconds after which the same failure is told again."""


def exit_code_of(spec: ServiceSpec, decision: Decision, results: Iterable[Result]) -> ExitCode:
    """Say how a service stands: steady or progressing, below target, or nothing feasible."""
    counts = decision.counts
    if spec.deleting or spec.paused:
        return ExitCode.OK
    if counts.serving >= counts.wanted:
        return ExitCode.OK
    if not decision.feasible:
        return ExitCode.NOTHING_FEASIBLE
    going_well = all(result.outcome in {Outcome.DONE, *_QUIET} for result in results)
    on_its_way = counts.serving + counts.warming + counts.hunting >= counts.wanted
    return ExitCode.OK if on_its_way and going_well else ExitCode.BELOW_TARGET


def condition_events(service: Mapping[str, Any], status: Mapping[str, Any], now: datetime) -> list[Json]:
    """Give an Event for every condition whose status or reason is another than in the last status.

    A condition that holds when it is first seen is no change anybody waits for.
    """
    before = {str(c.get("type")): c for c in _conditions_of(service)}
    events = []
    for condition in status.get("conditions") or ():
        old = before.get(condition["type"], {})
        good = condition["status"] == "True" or condition["type"] == "Progressing"
        changed = (old.get("status"), old.get("reason")) != (condition["status"], condition["reason"])
        if changed and (old or not good):
            message = f"{condition['type']} is {condition['status']}: {condition['message']}"
            told = event(service, condition["reason"], message, now, warning=not good)
            events.append(_once_in_a_while(told, now))
    return events


def action_events(service: Mapping[str, Any], results: Iterable[Result], now: datetime) -> list[Json]:
    """Give an Event for every action that was done, refused or in doubt; a conflict is no news."""
    events = []
    for result in results:
        if result.outcome in _QUIET:
            continue
        kind = type(result.action).__name__
        done = result.outcome is Outcome.DONE
        tail = "" if done else f" ({result.outcome.value}: {result.message})"
        reason = kind if done else f"{kind}{result.outcome.value}"
        told = event(service, reason, f"{result.action}{tail}", now, warning=not done)
        events.append(told if done else _once_in_a_while(told, now))
    return events


def _once_in_a_while(told: Json, now: datetime) -> Json:
    """Give an Event a name that stays the same for ten minutes: what fails or flaps is not told in every pass."""
    metadata, period = told["metadata"], int(now.timestamp()) // REPEATED_AFTER
    digest = hashlib.sha256(f"{told['involvedObject']['uid']}{told['reason']}{told['message']}{period}".encode())
    name = f"{metadata['name'].rpartition('.')[0]}.{digest.hexdigest()[:16]}"
    return {**told, "metadata": {**metadata, "name": name}}


def event(service: Mapping[str, Any], reason: str, message: str, now: datetime, *, warning: bool) -> Json:
    """Make an Event about a GPUService, or about the Fleet. Its name follows from its content: sent twice, it is one.

    What has no namespace has its Events in `default`.
    """
    metadata = service["metadata"]
    namespace = {"namespace": metadata["namespace"]} if metadata.get("namespace") else {}
    text, instant = sanitise(message, 1000), now.strftime("%Y-%m-%dT%H:%M:%SZ")
    digest = hashlib.sha256(f"{metadata.get('uid')}{reason}{text}{instant}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{shorten(metadata['name'], 200)}.{digest}", "namespace": "default", **namespace},
        "involvedObject": {
            "apiVersion": service.get("apiVersion"),
            "kind": service.get("kind"),
            "name": metadata["name"],
            **namespace,
            "uid": metadata.get("uid"),
            "resourceVersion": metadata.get("resourceVersion"),
        },
        "reason": re.sub(r"[^A-Za-z0-9]", "", reason)[:128] or "Unspecified",
        "message": text,
        "type": "Warning" if warning else "Normal",
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": FIELD_MANAGER,
        "firstTimestamp": instant,
        "lastTimestamp": instant,
        "count": 1,
    }


def unaccepted_status(service: Mapping[str, Any], problem: str, now: datetime) -> Json:
    """Give the last status with a condition that says why the GPUService cannot be acted on."""
    before = dict(service.get("status") or {})
    generation = service["metadata"].get("generation", 0)
    others = [c for c in _conditions_of(service) if c.get("type") != ACCEPTED]
    old: Mapping[str, Any] = next((c for c in _conditions_of(service) if c.get("type") == ACCEPTED), {})
    condition = {
        "type": ACCEPTED,
        "status": "False",
        "reason": Reason.SPEC_REJECTED.value,
        "message": sanitise(problem, 300),
        "observedGeneration": generation,
        "lastTransitionTime": old.get("lastTransitionTime")
        if old.get("status") == "False"
        else now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {**before, "conditions": [*others, condition]}


def _conditions_of(service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the conditions of the last status; others write there too, and what is no condition is not read."""
    found = (service.get("status") or {}).get("conditions")
    return [c for c in found if isinstance(c, Mapping)] if isinstance(found, list) else []
