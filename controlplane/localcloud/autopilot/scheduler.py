"""The scheduler: binds waiting Pods to nodes that fit, and says in kube-scheduler's words when none does.

Bin packing as GKE's optimize-utilization profile does it: the fullest node that fits is taken, so that others empty
and can be scaled down. Pods are never preempted for others.
"""

from collections.abc import Iterable
from decimal import Decimal

from controlplane.localcloud.apiserver.api import Api, ApiError, Change, Object
from controlplane.localcloud.apiserver.schema.quantity import parse_quantity
from controlplane.localcloud.autopilot import names
from controlplane.localcloud.autopilot.fitting import misfits, unschedulable_message
from controlplane.localcloud.autopilot.pods import Amounts, is_bound, is_waiting, used_on
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.objects import clone, condition, key_of, with_condition
from controlplane.localcloud.controllers.runtime import Controller, Key


class Scheduler:
    """Gives Pods their nodes."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock
        self._events = EventRecorder(api, clock, names.SCHEDULER)
        self._waiting: dict[Key, None] = {}
        sources = {"pods": self._of_pod, "nodes": self._of_node}
        self._controller = Controller("scheduler", api, clock, sources=sources, reconcile=self.reconcile)

    async def run(self) -> None:
        """Schedule until cancelled."""
        await self._controller.run()

    def _of_pod(self, change: Change) -> Iterable[Key]:
        pod, key = change.object, key_of(change.object)
        if change.type != "DELETED" and is_waiting(pod):
            known = key in self._waiting
            self._waiting[key] = None
            # Its own condition and annotations change while it waits; a look at each of those would change nothing.
            return () if known and condition(pod.get("status"), "PodScheduled") else (key,)
        self._waiting.pop(key, None)
        # A Pod that left its node may have made room there.
        left = is_bound(pod) and (change.type == "DELETED" or (pod.get("status") or {}).get("phase") != "Running")
        return tuple(self._waiting) if left else ()

    def _of_node(self, change: Change) -> Iterable[Key]:
        return tuple(self._waiting)

    async def reconcile(self, key: Key) -> float | None:
        """Give one Pod a node, if there is one."""
        namespace, name = key
        pod = self._api.find("pods", name, namespace)
        if pod is None or not is_waiting(pod):
            self._waiting.pop(key, None)
            return None
        used = used_on(self._api.list("pods"))
        fitting, reasons = [], []
        for node in self._api.list("nodes"):
            why = misfits(pod["spec"], node, used.get(node["metadata"]["name"], {}))
            if why:
                reasons.append(why)
            else:
                fitting.append(node)
        if fitting:
            fullest = min(fitting, key=lambda node: _room(node, used.get(node["metadata"]["name"], {})))
            self._bind(pod, fullest["metadata"]["name"])
        else:
            self._refuse(pod, unschedulable_message(reasons))
        return None

    def _bind(self, pod: Object, node: str) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": pod["metadata"]["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            self._api.create("pods/binding", binding, namespace)
        except ApiError as error:
            if error.code in (404, 409):  # gone, or bound by somebody else
                return
            raise
        self._events.record(pod, "Normal", "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")
        bound = self._api.find("pods", name, namespace)
        if bound is not None and (condition(bound.get("status"), "PodScheduled") or {}).get("status") != "True":
            self._set_condition(bound, {"type": "PodScheduled", "status": "True"})

    def _refuse(self, pod: Object, message: str) -> None:
        """Say why, unless that was the last thing said."""
        old = condition(pod.get("status"), "PodScheduled")
        if old and old["status"] == "False" and old.get("message") == message:
            return
        refused = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self._set_condition(pod, refused)
        self._events.record(pod, "Warning", "FailedScheduling", message)

    def _set_condition(self, pod: Object, new: Object) -> None:
        now, meta = self._clock.now(), pod["metadata"]
        conditions = clone(pod).get("status", {}).get("conditions") or []
        conditions = with_condition(conditions, {**new, "lastProbeTime": None}, now)
        status = {"status": {"conditions": conditions}}
        self._api.patch("pods", meta["name"], status, meta["namespace"], subresource="status")


def _room(node: Object, used: Amounts) -> tuple[Decimal, Decimal, str]:
    """Give what is left on a node, GPUs before CPUs, with the name to break ties."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}

    def left(resource: str) -> Decimal:
        return parse_quantity(allocatable.get(resource, "0")) - used.get(resource, Decimal(0))

    return left(names.GPU), left("cpu"), node["metadata"]["name"]
