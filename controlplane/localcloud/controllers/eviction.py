"""Pods that may not stay: evicted by NoExecute taints, or left behind by a Node that is gone.

Both begin at the node: a Node that is tainted or deleted concerns all Pods bound to it.
"""

import math
from collections.abc import Iterable

from controlplane.localcloud.apiserver.api import Api, ApiError, Change, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import (
    age_order,
    clone,
    is_deleting,
    key_of,
    own_key,
    uid_of,
    with_condition,
)
from controlplane.localcloud.controllers.pods import is_finished
from controlplane.localcloud.controllers.runtime import Controller, Key
from controlplane.localcloud.controllers.tolerations import seconds_to_eviction

FINISHED_LIMIT = 12_500
FINISHED: Key = ("", "")
# A finished Pod is kept a little after its node is gone, for whoever wants to see how it ended.
FINISHED_SECONDS = 60.0


def _node_of_pod(change: Change) -> Iterable[Key]:
    node = change.object["spec"].get("nodeName")
    return [("", node)] if node and change.type != "DELETED" else []


class TaintEviction:
    """Deletes Pods that do not tolerate a NoExecute taint of their node, when their time is up."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self.loop = Controller(
            "taint-eviction",
            informer,
            clock,
            sources={"nodes": own_key, "pods": _node_of_pod},
            reconcile=self.reconcile,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    async def reconcile(self, key: Key) -> float | None:
        """Evict what has to go from one node; give the seconds until the next has to."""
        node = self._api.find("nodes", key[1])
        taints = [t for t in ((node or {}).get("spec") or {}).get("taints") or [] if t["effect"] == "NoExecute"]
        if not taints:
            return None
        next_due = math.inf
        for pod in self._informer.on_node(key[1]):
            if is_deleting(pod) or is_finished(pod):
                continue
            left = seconds_to_eviction(pod, taints, self._clock.now())
            if left <= 0:
                self._evict(pod)
            else:
                next_due = min(next_due, left)
        return None if math.isinf(next_due) else next_due

    def _evict(self, pod: Object) -> None:
        namespace, name = key_of(pod)
        self._recorder.record(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")
        disrupt(self._api, self._clock, pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
        _delete(self._api, pod)


class PodCollector:
    """Removes Pods of Nodes that are gone, and the oldest finished Pods where there are very many."""

    def __init__(self, informer: Informer, clock: Clock, *, quarantine_seconds: float) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._quarantine = quarantine_seconds
        self._missing: dict[str, float] = {}
        self.loop = Controller(
            "pod-collector",
            informer,
            clock,
            sources={"nodes": own_key, "pods": self._keys_of_pod},
            reconcile=self.reconcile,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _keys_of_pod(self, change: Change) -> Iterable[Key]:
        yield from _node_of_pod(change)
        if change.type != "DELETED" and is_finished(change.object):
            yield FINISHED

    async def reconcile(self, key: Key) -> float | None:
        """Look after one node name, or after the finished Pods."""
        if key == FINISHED:
            self._collect_finished()
            return None
        name = key[1]
        orphans = self._informer.on_node(name) if self._api.find("nodes", name) is None else []
        if not orphans:
            self._missing.pop(name, None)
            return None
        now = self._clock.monotonic()
        since = self._missing.setdefault(name, now)
        waits = [left for pod in orphans if (left := since + self._patience(pod) - now) > 0]
        for pod in orphans:
            if since + self._patience(pod) <= now:
                self._remove(pod)
        return min(waits, default=None)

    def _patience(self, pod: Object) -> float:
        return max(self._quarantine, FINISHED_SECONDS) if is_finished(pod) else self._quarantine

    def _remove(self, pod: Object) -> None:
        if not is_finished(pod):
            text = "PodGC: node no longer exists"
            disrupt(self._api, self._clock, pod, "DeletionByPodGC", text, extra={"phase": "Failed"})
        _delete(self._api, pod, grace_seconds=0)

    def _collect_finished(self) -> None:
        finished = [pod for pod in self._api.list("pods") if is_finished(pod) and not is_deleting(pod)]
        for pod in sorted(finished, key=age_order)[: max(0, len(finished) - FINISHED_LIMIT)]:
            _delete(self._api, pod, grace_seconds=0)


def disrupt(api: Api, clock: Clock, pod: Object, reason: str, message: str, *, extra: Object | None = None) -> None:
    """Write into the Pod's status why it is being taken away."""
    verdict = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    conditions = with_condition(clone(pod.get("status") or {}).get("conditions") or [], verdict, clock.now())
    namespace, name = key_of(pod)
    patch = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": conditions, **(extra or {})}}
    try:
        api.patch("pods", name, patch, namespace, subresource="status")
    except ApiError as error:
        if error.code != 404:
            raise


def _delete(api: Api, pod: Object, grace_seconds: int | None = None) -> None:
    namespace, name = key_of(pod)
    try:
        api.delete("pods", name, namespace, uid=uid_of(pod), grace_seconds=grace_seconds)
    except ApiError as error:
        if error.code != 404:
            raise
