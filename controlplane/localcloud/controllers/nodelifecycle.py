"""Node lifecycle: notices kubelets that have fallen silent, and taints nodes by their conditions.

Silence is measured from when this controller last *saw* a heartbeat change, not from the time written in it: so a
restart of the local cloud gives every kubelet its grace anew, and a shifted clock makes nobody look dead.
"""

from collections.abc import Iterable
from typing import Any

from controlplane.localcloud.apiserver.api import Api, ApiError, Change, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import clone, condition, is_deleting, key_of, own_key, with_condition
from controlplane.localcloud.controllers.pods import is_ready
from controlplane.localcloud.controllers.runtime import Controller, Key

LEASES = "leases.coordination.k8s.io"
LEASE_NAMESPACE = "kube-node-lease"
NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OWN_TAINTS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *_PRESSURES.values()})
_REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


class NodeLifecycle:
    """Reconciles Nodes. Its keys are ("", node)."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder, *, grace_seconds: float) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self._grace = grace_seconds
        self._heard: dict[str, tuple[Any, float]] = {}
        self.loop = Controller(
            "node-lifecycle",
            informer,
            clock,
            sources={"nodes": own_key, LEASES: _keys_of_lease},
            reconcile=self.reconcile,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    async def reconcile(self, key: Key) -> float | None:
        """Judge one Node by its heartbeats, then taint it by its conditions."""
        name = key[1]
        node = self._api.find("nodes", name)
        if node is None:
            self._heard.pop(name, None)
            return None
        left = self._grace - self._silence(node)
        if left <= 0:
            node = self._mark_unknown(node)
        self._taint(node)
        return left if left > 0 else None

    def _silence(self, node: Object) -> float:
        name = node["metadata"]["name"]
        beat = self._beat(node)
        known = self._heard.get(name)
        now = self._clock.monotonic()
        if known is None or known[0] != beat:
            self._heard[name] = (beat, now)
            return 0.0
        return now - known[1]

    def _beat(self, node: Object) -> tuple[Any, ...]:
        """Give what changes with every sign of life: the lease, and a Ready condition that somebody else wrote."""
        lease = self._api.find(LEASES, node["metadata"]["name"], LEASE_NAMESPACE)
        ready = condition(node.get("status"), "Ready") or {}
        return (lease or {}).get("spec", {}).get("renewTime"), ready.get("lastHeartbeatTime"), ready.get("status")

    def _mark_unknown(self, node: Object) -> Object:
        """Say Unknown of everything the kubelet used to report; its Pods are not ready from now on."""
        name = node["metadata"]["name"]
        ready = condition(node.get("status"), "Ready")
        if ready is None or ready["status"] != "Unknown":
            body = clone(node)
            status = body.setdefault("status", {})
            for kind in _REPORTED:
                status["conditions"] = with_condition(
                    status.get("conditions") or [], _unknown(condition(status, kind), kind), self._clock.now()
                )
            node = self._api.update("nodes", body, subresource="status")
            self._heard[name] = (self._beat(node), self._heard[name][1])  # our own word is no sign of life
            self._recorder.record(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        for pod in self._informer.on_node(name):
            self._mark_not_ready(pod)
        return node

    def _mark_not_ready(self, pod: Object) -> None:
        ready = condition(pod.get("status"), "Ready")
        if is_deleting(pod) or not is_ready(pod) or ready is None:
            return
        namespace, name = key_of(pod)
        fresh = {**ready, "status": "False"}
        conditions = with_condition(clone(pod)["status"]["conditions"], fresh, self._clock.now())
        try:
            self._api.patch("pods", name, {"status": {"conditions": conditions}}, namespace, subresource="status")
        except ApiError as error:
            if error.code != 404:
                raise
        self._recorder.record(pod, "Warning", "NodeNotReady", "Node is not ready")

    def _taint(self, node: Object) -> None:
        present = node["spec"].get("taints") or []
        wanted = wanted_taints(node)
        mine = [(taint["key"], taint["effect"]) for taint in present if taint["key"] in _OWN_TAINTS]
        if sorted(mine) == sorted(wanted):
            return
        stamp = rfc3339(self._clock.now())
        kept = [t for t in present if t["key"] not in _OWN_TAINTS or (t["key"], t["effect"]) in wanted]
        for key, effect in wanted:
            if (key, effect) not in mine:
                timed = {"timeAdded": stamp} if effect == "NoExecute" else {}
                kept.append({"key": key, "effect": effect, **timed})
        set_taints(self._api, node, kept)


def set_taints(api: Api, node: Object, taints: list[Object]) -> None:
    """Write the taints, unless the Node changed meanwhile."""
    guard = {"resourceVersion": node["metadata"].get("resourceVersion")}
    api.patch("nodes", node["metadata"]["name"], {"metadata": guard, "spec": {"taints": taints or None}})


def wanted_taints(node: Object) -> list[tuple[str, str]]:
    """Give (key, effect) of the taints that the Node's conditions and its cordon call for."""
    status = node.get("status")
    ready = (condition(status, "Ready") or {}).get("status")
    taints: list[tuple[str, str]] = []
    if ready == "Unknown":
        taints += [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]
    elif ready != "True":
        taints += [(NOT_READY, "NoSchedule")]
        if ready == "False":
            taints += [(NOT_READY, "NoExecute")]
    if node["spec"].get("unschedulable"):
        taints.append((UNSCHEDULABLE, "NoSchedule"))
    for kind, key in _PRESSURES.items():
        if (condition(status, kind) or {}).get("status") == "True":
            taints.append((key, "NoSchedule"))
    return taints


def _unknown(old: Object | None, kind: str) -> Object:
    never = old is None
    return {
        **(old or {}),
        "type": kind,
        "status": "Unknown",
        "reason": "NodeStatusNeverUpdated" if never else "NodeStatusUnknown",
        "message": "Kubelet never posted node status." if never else "Kubelet stopped posting node status.",
    }


def _keys_of_lease(change: Change) -> Iterable[Key]:
    namespace, name = key_of(change.object)
    return [("", name)] if namespace == LEASE_NAMESPACE else []
