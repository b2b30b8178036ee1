"""The end of VMs that Google takes back: Spot preemption, with its notice and its grace.

A node that is to go says so itself (taint and labels), and everything else follows from that: this works on after a
restart, and a client sees exactly what the controller sees. PodDisruptionBudgets are not asked, as on the real cloud.
"""

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from controlplane.localcloud.apiserver.api import Api, ApiError, Change, Object
from controlplane.localcloud.autopilot import names
from controlplane.localcloud.autopilot.nodes import Nodes, is_going, pool_of
from controlplane.localcloud.autopilot.pods import is_finished
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.objects import age_order, clone, is_deleting, with_condition
from controlplane.localcloud.controllers.runtime import Controller, Key
from controlplane.localcloud.scenario import Delays
from controlplane.localcloud.stock.ledger import Stock

_MESSAGE = "Pod was terminated in response to imminent node shutdown."


class Preemption:
    """Ends nodes that have their notice, and gives notice."""

    def __init__(
        self, api: Api, clock: Clock, nodes: Nodes, stock: Stock, delays: Callable[[], Delays], *, stock_returns: bool
    ) -> None:
        self._api = api
        self._clock = clock
        self._nodes = nodes
        self._stock = stock
        self._delays = delays
        self._events = EventRecorder(api, clock, "kubelet")
        self._stock_returns = stock_returns
        sources = {"nodes": _going_node, "pods": self._of_pod}
        self._controller = Controller("preemption", api, clock, sources=sources, reconcile=self.reconcile)

    async def run(self) -> None:
        """End what has its notice until cancelled."""
        self.reclaim_short_pools()
        await self._controller.run()

    def preempt(self, accelerator: str | None, capacity: str | None, count: int | None) -> list[str]:
        """Give notice to nodes, the oldest first; gives their names."""
        candidates = [
            node
            for node in sorted(self._nodes.all(), key=age_order)
            if (pool := pool_of(node)) is not None
            and not is_going(node)
            and accelerator in (None, pool.accelerator)
            and capacity in (None, pool.capacity)
        ]
        chosen = [node["metadata"]["name"] for node in candidates[:count]]
        for name in chosen:
            self._give_notice(name)
        return chosen

    def reclaim_short_pools(self) -> None:
        """Give notice to as many nodes as replayed pools are short of; called on every change of the stock."""
        for node in sorted(self._nodes.all(), key=age_order, reverse=True):
            pool = pool_of(node)
            if pool is not None and not is_going(node) and self._stock.shortage(pool) > 0:
                self._give_notice(node["metadata"]["name"])

    def _give_notice(self, name: str) -> None:
        self._nodes.mark_going(name)
        deadline = self._clock.now().timestamp() + self._delays().spot_grace
        labels = {names.MAINTENANCE: "ONGOING", names.MAINTENANCE_TIME: str(math.ceil(deadline))}
        self._api.patch("nodes", name, {"metadata": {"labels": labels}})
        self._nodes.set_taints(name, add={"key": names.TERMINATION_TAINT, "effect": "NoSchedule"})
        if (node := self._nodes.find(name)) is not None:
            self._events.record(node, "Normal", "Shutdown", "Shutdown manager detected shutdown event")

    def _of_pod(self, change: Change) -> Iterable[Key]:
        node = change.object["spec"].get("nodeName")
        return (("", node),) if node and change.type == "DELETED" else ()

    async def reconcile(self, key: Key) -> float | None:
        """Take one node with notice a step nearer to its end."""
        name = key[1]
        node = self._nodes.find(name)
        if node is None or not is_going(node):
            return None
        left = self._seconds_left(node)
        present = [pod for pod in self._nodes.pods_on(name) if not is_finished(pod)]
        if not present or left <= 0:
            self._nodes.remove(name, lost=not self._stock_returns)
            return None
        for pod in present:
            if not is_deleting(pod):
                self._terminate(pod, left)
        return left

    def _seconds_left(self, node: Object) -> float:
        stamp = (node["metadata"].get("labels") or {}).get(names.MAINTENANCE_TIME, "")
        if not stamp.isdigit():
            return 0.0
        return (datetime.fromtimestamp(int(stamp), UTC) - self._clock.now()).total_seconds()

    def _terminate(self, pod: Object, left: float) -> None:
        """End a Pod as a kubelet does whose machine is shutting down: it says why, then the process has its grace."""
        meta = pod["metadata"]
        own = pod["spec"].get("terminationGracePeriodSeconds")
        grace = max(1, min(30 if own is None else own, int(left)))
        conditions = clone(pod).get("status", {}).get("conditions") or []
        reason = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationByKubelet",
            "message": _MESSAGE,
            "lastProbeTime": None,
        }
        status = {
            "reason": "Terminated",
            "message": _MESSAGE,
            "conditions": with_condition(conditions, reason, self._clock.now()),
        }
        try:
            self._api.patch("pods", meta["name"], {"status": status}, meta["namespace"], subresource="status")
            self._api.delete("pods", meta["name"], meta["namespace"], grace_seconds=grace, uid=meta["uid"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _going_node(change: Change) -> Iterable[Key]:
    going = change.type != "DELETED" and is_going(change.object)
    return (("", change.object["metadata"]["name"]),) if going else ()
