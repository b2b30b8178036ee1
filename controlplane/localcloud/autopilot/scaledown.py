"""Scale-down: a node that stood empty for a while is removed, and its GPUs go back to the stock."""

from collections.abc import Callable, Iterable

from controlplane.localcloud.apiserver.api import Api, Change, Object
from controlplane.localcloud.autopilot import names
from controlplane.localcloud.autopilot.nodes import Nodes, is_going
from controlplane.localcloud.autopilot.pods import is_finished
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.objects import controller_of
from controlplane.localcloud.controllers.runtime import Controller, Key
from controlplane.localcloud.scenario import Delays

# A node that just came up is empty until its Pod is bound to it, a moment later.
SHORTEST_SECONDS = 1.0


class ScaleDown:
    """Removes empty nodes."""

    def __init__(self, api: Api, clock: Clock, nodes: Nodes, delays: Callable[[], Delays]) -> None:
        self._clock = clock
        self._nodes = nodes
        self._delays = delays
        self._events = EventRecorder(api, clock, names.AUTOSCALER)
        self._empty_since: dict[str, float] = {}
        sources = {"pods": _node_of, "nodes": self._of_node}
        self._controller = Controller("scale-down", api, clock, sources=sources, reconcile=self.reconcile)

    async def run(self) -> None:
        """Watch for empty nodes until cancelled."""
        await self._controller.run()

    def _of_node(self, change: Change) -> Iterable[Key]:
        name = change.object["metadata"]["name"]
        if change.type == "DELETED":
            self._empty_since.pop(name, None)
            if self._nodes.find(name) is None:
                self._nodes.release(name)
            return ()
        # A heartbeat of a node whose emptiness is being timed changes nothing.
        return () if name in self._empty_since and not is_going(change.object) else (("", name),)

    def look_again(self) -> None:
        """Look at all nodes, since the delays were changed."""
        for node in self._nodes.all():
            self._controller.enqueue(("", node["metadata"]["name"]))

    async def reconcile(self, key: Key) -> float | None:
        """Remove one node if it has been empty for long enough."""
        name = key[1]
        node = self._nodes.find(name)
        if node is None or is_going(node) or self._occupied(name):
            self._empty_since.pop(name, None)
            return None
        now = self._clock.monotonic()
        since = self._empty_since.setdefault(name, now)
        left = since + max(self._delays().scale_down, SHORTEST_SECONDS) - now
        if left > 1e-6:
            return left
        self._empty_since.pop(name, None)
        self._events.record(node, "Normal", "ScaleDown", "node removed by cluster autoscaler")
        self._nodes.remove(name)
        return None

    def _occupied(self, name: str) -> bool:
        return any(not is_finished(pod) and not _is_daemon(pod) for pod in self._nodes.pods_on(name))


def _node_of(change: Change) -> Iterable[Key]:
    node = change.object["spec"].get("nodeName")
    return (("", node),) if node else ()


def _is_daemon(pod: Object) -> bool:
    owner = controller_of(pod)
    return owner is not None and owner.get("kind") == "DaemonSet"
