"""PodDisruptionBudget: how many Pods evictions may take now; the eviction subresource reads and debits this status."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

from controlplane.localcloud.apiserver.api import Change, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import (
    clone,
    controller_of,
    is_deleting,
    key_of,
    parse_time,
    uid_of,
    with_condition,
)
from controlplane.localcloud.controllers.pods import is_ready
from controlplane.localcloud.controllers.rollout import replicas_of, resolve
from controlplane.localcloud.controllers.runtime import Controller, Key

RESOURCE = "poddisruptionbudgets.policy"
# An eviction that was granted but not carried out within this time no longer counts against the budget.
GRANT_SECONDS = 120
_SCALED = {
    "ReplicaSet": "replicasets.apps",
    "Deployment": "deployments.apps",
    "StatefulSet": "statefulsets.apps",
    "ReplicationController": "replicationcontrollers",
}


class NoScaleError(Exception):
    """A Pod's controller has no number of replicas that a percentage could refer to."""


class DisruptionController:
    """Reconciles PodDisruptionBudgets."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self.loop = Controller(
            "disruption",
            informer,
            clock,
            sources=dict.fromkeys((RESOURCE, "pods", "replicasets.apps", "deployments.apps"), self._keys_of),
            reconcile=self.reconcile,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _keys_of(self, change: Change) -> Iterable[Key]:
        if change.resource == RESOURCE:
            return [key_of(change.object)]
        namespace = change.object["metadata"]["namespace"]
        return [key_of(budget) for budget in self._informer.in_namespace(namespace, RESOURCE)]

    async def reconcile(self, key: Key) -> float | None:
        """Count one budget anew."""
        budget = self._api.find(RESOURCE, key[1], key[0])
        if budget is None or is_deleting(budget):
            return None
        now = self._clock.now()
        selector = budget["spec"].get("selector")
        pods = self._informer.select("pods", key[0], selector) if selector is not None else []
        granted, wait = self._granted(budget, pods, now)
        healthy = sum(1 for p in pods if is_ready(p) and not is_deleting(p) and p["metadata"]["name"] not in granted)
        try:
            expected, desired = self._demand(budget, pods)
        except NoScaleError as error:
            self._recorder.record(budget, "Warning", "CalculateExpectedPodCountFailed", str(error))
            self._report(budget, {"disruptionsAllowed": 0}, "SyncFailed", str(error), now)
            return wait
        allowed = max(0, healthy - desired) if expected > 0 else 0
        counts: Object = {
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "disruptionsAllowed": allowed,
            "disruptedPods": granted,
        }
        self._report(budget, counts, "SufficientPods" if allowed else "InsufficientPods", "", now)
        return wait

    def _granted(self, budget: Object, pods: list[Object], now: datetime) -> tuple[dict[str, str], float | None]:
        """Give the evictions granted but not yet carried out, and when the next of them lapses."""
        present = {pod["metadata"]["name"]: pod for pod in pods}
        kept: dict[str, str] = {}
        waits: list[float] = []
        for name, stamp in ((budget.get("status") or {}).get("disruptedPods") or {}).items():
            pod = present.get(name)
            since = parse_time(stamp)
            if pod is None or is_deleting(pod) or since is None:
                continue
            left = (since + timedelta(seconds=GRANT_SECONDS) - now).total_seconds()
            if left > 0:
                kept[name] = stamp
                waits.append(left)
            else:
                text = f"Pod was expected by PDB {'/'.join(key_of(budget))} to be deleted but it wasn't"
                self._recorder.record(pod, "Warning", "NotDeleted", text)
        return kept, min(waits, default=None)

    def _demand(self, budget: Object, pods: list[Object]) -> tuple[int, int]:
        """Give (Pods there should be, Pods that have to be healthy)."""
        spec = budget["spec"]
        least, most_gone = spec.get("minAvailable"), spec.get("maxUnavailable")
        if most_gone is not None:
            expected = self._expected(pods)
            return expected, max(0, expected - resolve(most_gone, expected, round_up=True))
        if isinstance(least, str):
            expected = self._expected(pods)
            return expected, math.ceil(expected * int(least.rstrip("%")) / 100)
        return len(pods), int(least or 0)

    def _expected(self, pods: list[Object]) -> int:
        """Add up the replicas of the workloads these Pods belong to; Pods of nobody do not count."""
        scales: dict[str, int] = {}
        for pod in pods:
            reference = controller_of(pod)
            if reference is None:
                continue
            owner = self._top(reference, pod["metadata"]["namespace"])
            if owner is None:
                raise NoScaleError(f"found no controllers for pod {pod['metadata']['name']!r}")
            scales[uid_of(owner)] = replicas_of(owner)
        return sum(scales.values())

    def _top(self, reference: Object, namespace: str) -> Object | None:
        """Follow the controllers up to the one whose scale counts, such as a Deployment above its ReplicaSet."""
        resource = _SCALED.get(reference["kind"])
        found = self._api.find(resource, reference["name"], namespace) if resource else None
        if found is None or uid_of(found) != reference["uid"]:
            return None
        above = controller_of(found)
        return (self._top(above, namespace) if above else None) or found

    def _report(self, budget: Object, counts: Object, reason: str, message: str, now: datetime) -> None:
        old = budget.get("status") or {}
        status: Object = {**old, **counts, "observedGeneration": budget["metadata"].get("generation", 1)}
        if not status.get("disruptedPods"):
            status.pop("disruptedPods", None)
        verdict = {
            "type": "DisruptionAllowed",
            "status": "True" if reason == "SufficientPods" else "False",
            "reason": reason,
            "message": message,
            "observedGeneration": status["observedGeneration"],
        }
        status["conditions"] = with_condition(old.get("conditions") or [], verdict, now)
        if status != old:
            body = clone(budget)
            body["status"] = status
            self._api.update(RESOURCE, body, subresource="status")
