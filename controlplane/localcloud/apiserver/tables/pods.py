"""The Pod's row: its status is not the phase but what a person needs to know of it."""

from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.tables.age import age, parse_time
from controlplane.localcloud.apiserver.tables.columns import NONE, Printer, created, name_of, printer


def pod_cells(pod: Object, now: datetime) -> list[Any]:
    """Give NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    ready, total = ready_count(pod)
    reason, restarts, last = pod_reason(pod)
    text = str(restarts) if restarts == 0 or last is None else f"{restarts} ({age(last, now)} ago)"
    ips = status.get("podIPs") or ()
    ip = (ips[0].get("ip") if ips else status.get("podIP")) or NONE
    gates = spec.get("readinessGates") or ()
    passed = sum(_condition(status, gate.get("conditionType")) == "True" for gate in gates)
    return [
        name_of(pod),
        f"{ready}/{total}",
        reason,
        text,
        age(created(pod), now),
        ip,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        f"{passed}/{len(gates)}" if gates else NONE,
    ]


def _condition(status: Object, kind: Any) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == kind:
            return str(condition.get("status", ""))
    return ""


def _restartable_inits(spec: Object) -> set[str]:
    return {one["name"] for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"}


def ready_count(pod: Object) -> tuple[int, int]:
    """Count ready containers and all that should be, sidecars included."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = _restartable_inits(spec)
    total = len(spec.get("containers") or ()) + len(sidecars)
    ready = sum(
        bool(one.get("ready")) and "running" in (one.get("state") or {})
        for one in status.get("containerStatuses") or ()
    )
    ready += sum(
        bool(one.get("ready")) and bool(one.get("started"))
        for one in status.get("initContainerStatuses") or ()
        if one.get("name") in sidecars
    )
    return ready, total


def pod_reason(pod: Object) -> tuple[str, int, Any]:
    """Give the status word, the restarts and the time of the last restart."""
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or "Unknown"
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
    word, restarts, last = _init_reason(pod)
    initialised = word is None or _condition(status, "Initialized") == "True"
    if word is not None:
        reason = word
    if initialised:
        reason, restarts, last = _main_reason(pod, reason, restarts if word is not None else 0, last)
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            reason = "Terminating"
    return reason, restarts, last


def _latest(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return right if left is None else left
    one, two = parse_time(left), parse_time(right)
    return right if one is not None and two is not None and two > one else left


def _finished(container: Object) -> Any:
    return ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt")


def _init_reason(pod: Object) -> tuple[str | None, int, Any]:
    """Give the word of the first init container that has not done its part, with the restarts so far."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    sidecars = _restartable_inits(spec)
    total = len(spec.get("initContainers") or ())
    restarts, last = 0, None
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        restarts += container.get("restartCount", 0)
        last = _latest(last, _finished(container))
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting")
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        if terminated is not None:
            word = terminated.get("reason") or _exit_word(terminated)
            return f"Init:{word}", restarts, last
        if waiting is not None and waiting.get("reason") and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}", restarts, last
        return f"Init:{index}/{total}", restarts, last
    return None, restarts, last


def _exit_word(terminated: Object) -> str:
    signal = terminated.get("signal", 0)
    return f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode', 0)}"


def _main_reason(pod: Object, reason: str, restarts: int, last: Any) -> tuple[str, int, Any]:
    status = pod.get("status") or {}
    running = False
    for container in reversed(status.get("containerStatuses") or ()):
        restarts += container.get("restartCount", 0)
        last = _latest(last, _finished(container))
        state = container.get("state") or {}
        waiting, terminated = state.get("waiting") or {}, state.get("terminated")
        if waiting.get("reason"):
            reason = waiting["reason"]
        elif terminated is not None:
            reason = terminated.get("reason") or _exit_word(terminated)
        elif container.get("ready") and "running" in state:
            running = True
    if reason == "Completed" and running:
        reason = "Running" if _condition(status, "Ready") == "True" else "NotReady"
    return reason, restarts, last


PODS: Printer = printer(
    pod_cells,
    "Name",
    "Ready",
    "Status",
    "Restarts",
    "Age",
    "+IP",
    "+Node",
    "+Nominated Node",
    "+Readiness Gates",
)
