"""Node auto-provisioning: makes a node for each Pod that the scheduler could not place, or says why not.

A scale-up tries the zones in turn. Each refusal takes a moment; when all zones have refused, one FailedScaleUp names
them, and the shape backs off. A quota or the IP range concerns the whole region or cluster, so they end the round at
once. A VM that is on its way when its Pod is deleted goes to the next Pod of the same shape.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from controlplane.localcloud.apiserver.api import Api, ApiError, Change, Object
from controlplane.localcloud.autopilot import messages, names
from controlplane.localcloud.autopilot.backoff import Backoff
from controlplane.localcloud.autopilot.computeclass import ComputeClasses
from controlplane.localcloud.autopilot.fitting import misfits
from controlplane.localcloud.autopilot.machines import NodePlan, plans
from controlplane.localcloud.autopilot.nodes import Nodes
from controlplane.localcloud.autopilot.pods import is_waiting, used_on
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.objects import condition, key_of
from controlplane.localcloud.controllers.runtime import Controller, Key
from controlplane.localcloud.scenario import Delays, MachineType
from controlplane.localcloud.stock.ledger import QuotaExceeded, Stock, StockOut

log = logging.getLogger(__name__)

Shape: TypeAlias = tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]
LOOK_AGAIN_SECONDS = 1.0


@dataclass
class _ScaleUp:
    """One node on its way. `pod` is the uid of the Pod it is for, until that Pod is gone."""

    shape: Shape
    key: Key
    pod: str
    name: str = ""
    cancelled: bool = False
    failures: list[tuple[str, str]] = field(default_factory=list)


class ScaleUp:
    """Makes nodes for Pods that wait."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        nodes: Nodes,
        stock: Stock,
        delays: Callable[[], Delays],
        *,
        classes: ComputeClasses,
        machine_types: Iterable[MachineType],
        most_nodes: int | None = None,
    ) -> None:
        self._api = api
        self._clock = clock
        self._nodes = nodes
        self._stock = stock
        self._delays = delays
        self._classes = classes
        self._machine_types = tuple(machine_types)
        self._most_nodes = most_nodes
        self._events = EventRecorder(api, clock, names.AUTOSCALER)
        self._backoff = Backoff(clock, delays)
        self._under_way: list[_ScaleUp] = []
        # What each waiting Pod (its key, then its uid) was told last; said once and not at every look.
        self._told: dict[Key, tuple[str, str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._controller = Controller("scale-up", api, clock, sources={"pods": _waiting_pod}, reconcile=self.reconcile)

    async def run(self) -> None:
        """Make nodes until cancelled."""
        try:
            await self._controller.run()
        finally:
            for task in self._tasks:
                task.cancel()

    def look_again(self) -> None:
        """Look at every waiting Pod, since the world around them changed."""
        for pod in self._api.list("pods"):
            if is_waiting(pod):
                self._controller.enqueue(key_of(pod))

    def abandon(self) -> None:
        """Give up everything under way, since the region is gone."""
        for scale_up in self._under_way:
            scale_up.cancelled = True
            if scale_up.name:
                self._nodes.release(scale_up.name)
        self._under_way.clear()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Deciding

    async def reconcile(self, key: Key) -> float | None:
        """See to it that a node is on its way for one Pod, where one can be."""
        pod = self._api.find("pods", key[1], key[0])
        if pod is None or not _is_unschedulable(pod):
            self._told.pop(key, None)
            return None
        if self._stock.is_down(self._nodes.cluster.region):
            return None
        if any(scale_up.pod == pod["metadata"]["uid"] for scale_up in self._under_way):
            return None
        rungs = self._classes.rungs(pod["spec"])
        candidates = plans(pod["spec"], rungs, self._nodes.cluster, self._machine_types, self._stock)
        if not candidates:
            self._not_triggered(pod, messages.would_not_fit(len(self._nodes.cluster.zones)))
            return None
        shape = _shape(candidates)
        if self._adopt(shape, pod):
            return None
        if self._room_is_coming(pod):
            return LOOK_AGAIN_SECONDS
        wait = self._backoff.remaining(shape)
        if wait > 0:
            self._not_triggered(pod, messages.IN_BACKOFF)
            return wait
        self._told.pop(key, None)
        scale_up = _ScaleUp(shape, key, pod["metadata"]["uid"])
        self._under_way.append(scale_up)
        self._start(self._provision(scale_up, candidates))
        return None

    def _adopt(self, shape: Shape, pod: Object) -> bool:
        """Give the Pod a node that was ordered for a Pod which is gone."""
        for scale_up in self._under_way:
            if scale_up.shape == shape and not self._still_waiting(scale_up):
                scale_up.pod, scale_up.key = pod["metadata"]["uid"], key_of(pod)
                return True
        return False

    def _still_waiting(self, scale_up: _ScaleUp) -> Object | None:
        pod = self._api.find("pods", scale_up.key[1], scale_up.key[0])
        return pod if pod is not None and pod["metadata"]["uid"] == scale_up.pod and is_waiting(pod) else None

    def _room_is_coming(self, pod: Object) -> bool:
        """Say whether a node that is there, or is booting, takes the Pod: the scheduler will see to it."""
        used = used_on(self._api.list("pods"))
        return any(
            not misfits(pod["spec"], node, used.get(node["metadata"]["name"], {}), ignore=(names.NOT_READY_TAINT,))
            for node in self._nodes.all()
        )

    def _not_triggered(self, pod: Object, message: str) -> None:
        meta = pod["metadata"]
        if self._told.get(key_of(pod)) == (meta["uid"], message):
            return
        self._told[key_of(pod)] = (meta["uid"], message)
        self._events.record(pod, "Normal", "NotTriggerScaleUp", message)
        annotations = meta.get("annotations") or {}
        if names.UNHELPABLE_SINCE not in annotations:
            since = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S+0000")
            marks = {names.UNHELPABLE_SINCE: since, names.UNHELPABLE_UNTIL: "Inf"}
            self._api.patch("pods", meta["name"], {"metadata": {"annotations": marks}}, meta["namespace"])

    # Doing

    async def _provision(self, scale_up: _ScaleUp, candidates: list[NodePlan]) -> None:
        try:
            if await self._try_in_turn(scale_up, candidates):
                self._backoff.succeeded(scale_up.shape)
            elif not scale_up.cancelled:
                self._fail(scale_up)
        except ApiError as error:  # the cluster was deleted under us, or its API refuses us
            log.debug("scale-up for %s ended: %s", scale_up.key, error.message)
            if scale_up.name and self._nodes.find(scale_up.name) is None:
                self._nodes.release(scale_up.name)
        finally:
            if scale_up in self._under_way:
                self._under_way.remove(scale_up)
            self._controller.enqueue(scale_up.key)

    async def _try_in_turn(self, scale_up: _ScaleUp, candidates: list[NodePlan]) -> bool:
        for plan in candidates:
            name = self._nodes.new_name(plan)
            if (pod := self._still_waiting(scale_up)) is not None:
                text = messages.triggered(
                    self._nodes.cluster, plan.zone, plan.group(self._nodes.cluster), self._nodes.size_of(plan)
                )
                self._events.record(pod, "Normal", "TriggeredScaleUp", text)
            reason, final = self._reserve(plan, name)
            if reason:
                await self._clock.sleep(self._delays().refusal)
                scale_up.failures.append((plan.zone, reason))
            else:
                scale_up.name = name
                return await self._bring_up(scale_up, plan)
            if final or scale_up.cancelled:
                break
        return False

    def _reserve(self, plan: NodePlan, name: str) -> tuple[str, bool]:
        """Take what the VM needs; gives the refusal, if there is one, and whether other zones would say the same."""
        if self._most_nodes is not None and self._nodes.count() >= self._most_nodes:
            return messages.IP_SPACE_EXHAUSTED, True
        try:
            self._nodes.reserve(plan, name)
        except StockOut:
            return messages.OUT_OF_RESOURCES, False
        except QuotaExceeded:
            return messages.QUOTA_EXCEEDED, True
        return "", False

    async def _bring_up(self, scale_up: _ScaleUp, plan: NodePlan) -> bool:
        """Wait for the VM, as long as the autoscaler waits."""
        delays = self._delays()
        needed = delays.provisioning + delays.boot
        late = needed > delays.provision_timeout
        await self._clock.sleep(min(needed, delays.provision_timeout))
        if scale_up.cancelled:
            return False
        if late:
            self._nodes.release(scale_up.name)
            scale_up.failures.append((plan.zone, messages.timed_out(plan.group(self._nodes.cluster))))
            return False
        self._nodes.register(plan, scale_up.name)
        return True

    def _fail(self, scale_up: _ScaleUp) -> None:
        self._backoff.failed(scale_up.shape)
        pod = self._still_waiting(scale_up)
        if pod is not None:
            zones, reasons = zip(*scale_up.failures, strict=True)
            self._events.record(pod, "Warning", "FailedScaleUp", messages.failed(dict.fromkeys(zones), reasons))


def _shape(candidates: list[NodePlan]) -> Shape:
    """Give what the back-off is kept by: what would be made, and where it may be."""
    return tuple(dict.fromkeys(plan.shape for plan in candidates)), tuple(dict.fromkeys(p.zone for p in candidates))


def _waiting_pod(change: Change) -> Iterable[Key]:
    return (key_of(change.object),) if _is_unschedulable(change.object) else ()


def _is_unschedulable(pod: Object) -> bool:
    scheduled = condition(pod.get("status"), "PodScheduled")
    return is_waiting(pod) and scheduled is not None and scheduled.get("reason") == "Unschedulable"
