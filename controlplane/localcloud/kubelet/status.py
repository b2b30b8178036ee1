"""A Pod's status from what its containers are doing: pure, with the kubelet's own rules for phase and conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.clock import rfc3339
from controlplane.localcloud.kubelet.quantities import qos_class
from controlplane.localcloud.kubelet.record import ContainerRecord

FINAL_PHASES = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a Pod as a whole was ended by the kubelet; shown in its status."""

    reason: str
    message: str
    disruption: str = ""  # reason of the DisruptionTarget condition, where it is one


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What the kubelet knows of one Pod."""

    records: Sequence[ContainerRecord]
    init_records: Sequence[ContainerRecord]
    pod_ip: str
    host_ip: str
    start_time: str
    stopping: bool = False
    ending: Ending | None = None


def pod_status(pod: Object, facts: PodFacts, now: datetime) -> Object:
    """Give the whole status, with what others wrote into the present one kept."""
    old = pod.get("status") or {}
    phase = pod_phase(pod, facts)
    generation = pod["metadata"].get("generation")
    status: Object = {
        **{key: value for key, value in old.items() if key not in ("reason", "message")},
        "phase": phase,
        "conditions": _conditions(pod, facts, phase, now),
        "hostIP": facts.host_ip,
        "hostIPs": [{"ip": facts.host_ip}],
        "startTime": facts.start_time,
        "qosClass": qos_class(pod),
        "containerStatuses": _statuses(pod["spec"]["containers"], facts.records),
    }
    if generation is not None:
        status["observedGeneration"] = generation
    if facts.pod_ip:
        status |= {"podIP": facts.pod_ip, "podIPs": [{"ip": facts.pod_ip}]}
    if facts.init_records:
        status["initContainerStatuses"] = _statuses(pod["spec"]["initContainers"], facts.init_records)
    if facts.ending is not None and phase == "Failed":
        status |= {"reason": facts.ending.reason, "message": facts.ending.message}
    return status


def pod_phase(pod: Object, facts: PodFacts) -> str:
    """Give the phase, by the kubelet's getPhase."""
    policy = pod["spec"].get("restartPolicy") or "Always"
    present = (pod.get("status") or {}).get("phase")
    if present in FINAL_PHASES:
        return str(present)
    if facts.ending is not None and not any(record.running for record in facts.records):
        return "Failed"
    if any(record.terminated and not record.succeeded for record in facts.init_records) and policy == "Never":
        return "Failed"
    if not all(_initialised(record) for record in facts.init_records):
        return "Pending"
    running = [record for record in facts.records if record.running]
    ended = [record for record in facts.records if record.terminated or record.last_state.get("terminated")]
    stopped = [record for record in ended if not record.running]
    if len(running) + len(stopped) < len(facts.records):
        return "Pending"
    if running:
        return "Running"
    return _stopped_phase(policy, facts)


def _stopped_phase(policy: str, facts: PodFacts) -> str:
    if facts.stopping or policy != "Always":
        if all(record.succeeded for record in facts.records):
            return "Succeeded"
        if facts.stopping or policy == "Never":
            return "Failed"
    return "Running"


def _initialised(record: ContainerRecord) -> bool:
    return record.succeeded or record.started


def _statuses(containers: Sequence[Object], records: Sequence[ContainerRecord]) -> list[Object]:
    by_name = {container["name"]: container for container in containers}
    return [record.status(by_name[record.name]) for record in records]


def _conditions(pod: Object, facts: PodFacts, phase: str, now: datetime) -> list[Object]:
    generation = pod["metadata"].get("generation")
    old = {condition["type"]: condition for condition in (pod.get("status") or {}).get("conditions") or []}
    wanted = [_sandbox(facts, phase), *_readiness(pod, facts, phase, old), _condition("PodScheduled", True)]
    conditions = [_stamped(condition, old, generation, now) for condition in wanted]
    names = {condition["type"] for condition in conditions}
    if facts.ending is not None and facts.ending.disruption and "DisruptionTarget" not in old:
        target = _condition("DisruptionTarget", True, facts.ending.disruption, facts.ending.message)
        conditions.append(_stamped(target, old, generation, now))
    conditions += [condition for name, condition in old.items() if name not in names]
    return conditions


def _sandbox(facts: PodFacts, phase: str) -> Object:
    return _condition("PodReadyToStartContainers", bool(facts.pod_ip) and phase not in FINAL_PHASES)


def _readiness(pod: Object, facts: PodFacts, phase: str, old: Mapping[str, Any]) -> list[Object]:
    if phase == "Succeeded":
        return [
            _condition("Initialized", True, "PodCompleted"),
            _condition("Ready", False, "PodCompleted"),
            _condition("ContainersReady", False, "PodCompleted"),
        ]
    waiting = [record.name for record in facts.init_records if not _initialised(record)]
    initialised = _condition("Initialized", True)
    if waiting:
        text = f"containers with incomplete status: {_names(waiting)}"
        initialised = _condition("Initialized", False, "ContainersNotInitialized", text)
    if phase == "Failed":
        return [
            initialised,
            _condition("Ready", False, "PodFailed"),
            _condition("ContainersReady", False, "PodFailed"),
        ]
    unready = [record.name for record in facts.records if not record.ready]
    containers = ready = _condition("ContainersReady", True)
    if unready:
        text = f"containers with unready status: {_names(unready)}"
        containers = ready = _condition("ContainersReady", False, "ContainersNotReady", text)
    elif missing := _closed_gates(pod, old):
        ready = _condition("Ready", False, "ReadinessGatesNotReady", missing)
    return [initialised, ready | {"type": "Ready"}, containers]


def _closed_gates(pod: Object, old: Mapping[str, Any]) -> str:
    for gate in pod["spec"].get("readinessGates") or []:
        name = gate["conditionType"]
        if name not in old:
            return f'corresponding condition of pod readiness gate "{name}" does not exist.'
        if old[name].get("status") != "True":
            return f'the status of pod readiness gate "{name}" is not "True", but {old[name].get("status")}'
    return ""


def _condition(name: str, status: bool, reason: str = "", message: str = "") -> Object:
    condition: Object = {"type": name, "status": "True" if status else "False"}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition


def _stamped(condition: Object, old: Mapping[str, Any], generation: int | None, now: datetime) -> Object:
    before = old.get(condition["type"]) or {}
    kept = before.get("status") == condition["status"] and before.get("lastTransitionTime")
    stamp = before["lastTransitionTime"] if kept else rfc3339(now)
    observed = {} if generation is None else {"observedGeneration": generation}
    return {**condition, **observed, "lastProbeTime": None, "lastTransitionTime": stamp}


def _names(names: Sequence[str]) -> str:
    return f"[{' '.join(names)}]"
