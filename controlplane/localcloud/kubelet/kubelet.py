"""The kubelet of one cluster: all its nodes, and all Pods bound to them.

It watches Nodes and Pods and keeps one worker for every Pod whose node exists. A node that disappears is a machine that
was taken away: its Pods' processes die at once and nobody writes their status any more. A node with the termination
taint is shut down gracefully: its Pods get SIGTERM first.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from controlplane.localcloud.apiserver.api import Api, ApiError, Change, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.objects import key_of
from controlplane.localcloud.kubelet.addresses import Addresses
from controlplane.localcloud.kubelet.host import Machine, NodeState, Recorder
from controlplane.localcloud.kubelet.images import ImageMap
from controlplane.localcloud.kubelet.logs import LogOptions, read_log
from controlplane.localcloud.kubelet.nodes import RENEW_SECONDS, NodeReporter, going_down, internal_address
from controlplane.localcloud.kubelet.pod import PodWorker
from controlplane.localcloud.kubelet.probes import Checker, check
from controlplane.localcloud.kubelet.process import Runtime, ShimRuntime
from controlplane.localcloud.kubelet.status import FINAL_PHASES, Ending
from controlplane.localcloud.kubelet.usage import cpu_seconds
from controlplane.localcloud.kubelet.volumes import remove_volumes

log = logging.getLogger(__name__)

VERSION = "v1.37.0-gke.1"
# Of the 30 seconds between notice and end of a Spot machine, Pods get 15: the rest is for the system's own.
SHUTDOWN_GRACE_SECONDS = 15.0
SHUTDOWN = Ending(
    "Terminated", "Pod was terminated in response to imminent node shutdown.", disruption="TerminationByKubelet"
)
REJECTED = Ending("NodeShutdown", "Pod was rejected as the node is shutting down.")
# What a container inherits of the daemon's own environment: where programs and their libraries are found, and nothing
# secret. A Python outside the usual folders starts only with its LD_LIBRARY_PATH.
INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


class Kubelet:
    """Runs the Pods of one cluster as processes."""

    def __init__(
        self,
        api: Api,
        clock: Clock,
        *,
        cluster: str,
        subnet: int,
        run_dir: Path,
        images: ImageMap,
        runtime: Runtime | None = None,
        checker: Checker = check,
        recorder: Recorder | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        base = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self._machine = Machine(
            api=api,
            clock=clock,
            runtime=runtime or ShimRuntime(),
            checker=checker,
            images=images,
            recorder=recorder or EventRecorder(api, clock, "kubelet"),
            run_dir=run_dir,
            base_env={**base, **(environment or {})},
        )
        self.cluster = cluster
        self._api = api
        self._clock = clock
        self._addresses = Addresses(subnet)
        self._reporter = NodeReporter(api, clock, VERSION)
        self._nodes: dict[str, NodeState] = {}
        self._pods: dict[str, Object] = {}
        self._workers: dict[str, PodWorker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: asyncio.Task[None] | None = None
        self._powered = asyncio.Event()
        self._powered.set()

    async def run(self) -> None:
        """Serve until cancelled; the Pods die with this."""
        try:
            while True:
                await self._powered.wait()
                self._session = asyncio.get_running_loop().create_task(self._serve())
                await asyncio.wait([self._session])
                if not self._session.cancelled():
                    self._session.result()
        finally:
            await self.kill_all()

    async def kill_all(self) -> None:
        """Lose the power of all machines: every process dies at once, no object changes."""
        self._powered.clear()
        for worker in self._workers.values():
            worker.kill()
            self._addresses.give_back(worker.ip)
        self._workers.clear()
        self._pods.clear()
        self._nodes.clear()
        for task in (*self._tasks, *([self._session] if self._session else [])):
            task.cancel()
        self._tasks.clear()

    def sweep(self) -> None:
        """Remove the folders of Pods that exist no more, as an earlier daemon may have left them."""
        present = {pod["metadata"]["uid"] for pod in self._api.list("pods")}
        folder = self._machine.run_dir / "pods"
        for path in folder.iterdir() if folder.exists() else ():
            if path.name not in present:
                remove_volumes(path)

    def restart(self) -> None:
        """Have the power back: Pods start again as after a reboot of their nodes."""
        self._powered.set()

    def processes(self) -> int:
        """Give the number of Pods that have not finished."""
        return sum(not worker.finished for worker in self._workers.values())

    def cpu_seconds(self) -> dict[tuple[str, str], float]:
        """Give the seconds of CPU time that each Pod's processes have used, by (namespace, name)."""
        pids = {key_of(worker.pod): worker.pids() for worker in self._workers.values() if not worker.finished}
        used = cpu_seconds(pid for found in pids.values() for pid in found)
        return {
            key: sum(used[pid] for pid in found) for key, found in pids.items() if found and used.keys() >= set(found)
        }

    async def logs(  # noqa: PLR0917 - the order of the API server's log source
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        follow: bool = False,
        tail_lines: int | None = None,
        previous: bool = False,
        since_seconds: int | None = None,
        timestamps: bool = False,
    ) -> AsyncIterator[bytes]:
        """Give a container's log; ApiError where there is none."""
        worker = next((w for w in self._workers.values() if _is(w.pod, namespace, pod)), None)
        if worker is None:
            raise ApiError(404, "NotFound", f'pods "{pod}" not found on any running node')
        runner = worker.container(container or "")
        if runner is None:
            raise ApiError(400, "BadRequest", f"container {container} is not valid for pod {pod}")
        record = runner.record
        if previous and not record.last_state.get("terminated"):
            text = f'previous terminated container "{record.name}" in pod "{pod}" not found'
            raise ApiError(400, "BadRequest", text)
        waiting = record.state.get("waiting")
        if waiting and not previous and not record.last_state.get("terminated"):
            text = f'container "{record.name}" in pod "{pod}" is waiting to start: {waiting["reason"]}'
            raise ApiError(400, "BadRequest", text)
        options = LogOptions(follow and not previous, tail_lines, since_seconds, timestamps)
        # While a crashed container waits, its last run is what there is to read.
        path = runner.log_path(1 if previous and not waiting else 0)
        async for text_ in read_log(lambda: path, lambda: record.running, options, self._clock):
            yield text_

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._heartbeat())

    async def _listen(self) -> None:
        async for change in self._api.watch("nodes", "pods"):
            try:
                (self._on_node if change.resource == "nodes" else self._on_pod)(change)
            except ApiError as error:
                log.warning("%s: %s: %s", self.cluster, change.resource, error.message)

    async def _heartbeat(self) -> None:
        while True:
            await self._clock.sleep(RENEW_SECONDS)
            for state in list(self._nodes.values()):
                self._reporter.renew(state)

    def _on_node(self, change: Change) -> None:
        node = change.object
        name = node["metadata"]["name"]
        if change.type == "DELETED":
            self._lose_node(name)
            return
        state = self._nodes.get(name)
        if state is None:
            state = NodeState(name, internal_address(node) or self._addresses.node_address())
            state.shutting_down = going_down(node)
            self._nodes[name] = state
            self._reporter.renew(state)
            for pod in list(self._pods.values()):
                if pod["spec"].get("nodeName") == name:
                    self._sync(pod)
        elif going_down(node) != state.shutting_down:
            state.shutting_down = going_down(node)
            self._reporter.renew(state)
            if state.shutting_down:
                self._shut_down(name)

    def _lose_node(self, name: str) -> None:
        self._nodes.pop(name, None)
        self._reporter.forget(name)
        for uid, worker in list(self._workers.items()):
            if worker.node.name == name:
                self._drop(uid)

    def _shut_down(self, name: str) -> None:
        for worker in self._workers.values():
            if worker.node.name == name and not worker.finished and not worker.stopping:
                own = float(worker.pod["spec"].get("terminationGracePeriodSeconds", 30))
                self._spawn(worker.stop(min(own, SHUTDOWN_GRACE_SECONDS), SHUTDOWN))

    def _on_pod(self, change: Change) -> None:
        pod = change.object
        uid = pod["metadata"]["uid"]
        if change.type == "DELETED":
            self._pods.pop(uid, None)
            self._drop(uid)
        elif pod["spec"].get("nodeName"):
            self._pods[uid] = pod
            if pod["spec"]["nodeName"] in self._nodes:
                self._sync(pod)

    def _sync(self, pod: Object) -> None:
        """Have one Pod's worker do what the Pod says now."""
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if worker is None:
            worker = self._admit(pod)
        else:
            worker.update(pod)
        if pod["metadata"].get("deletionTimestamp") and not worker.deleting:
            worker.deleting = True
            self._spawn(self._delete(worker))

    def _admit(self, pod: Object) -> PodWorker:
        node = self._nodes[pod["spec"]["nodeName"]]
        worker = PodWorker(self._machine, node, pod, self._addresses.take())
        self._workers[worker.uid] = worker
        # What the API says, not what the records say: a Pod that the reboot ended has yet to be written as ended.
        if pod.get("status", {}).get("phase") in FINAL_PHASES or pod["metadata"].get("deletionTimestamp"):
            return worker
        if node.shutting_down:
            self._machine.recorder.record(pod, "Warning", REJECTED.reason, REJECTED.message)
            worker.reject(REJECTED)
        else:
            worker.start()
        return worker

    async def _delete(self, worker: PodWorker) -> None:
        """Stop a Pod that is to be deleted, and tell the API server when nothing of it is left."""
        meta = worker.pod["metadata"]
        await worker.stop(float(meta.get("deletionGracePeriodSeconds") or 0))
        with contextlib.suppress(ApiError):  # gone already, or another Pod of that name
            self._api.delete("pods", meta["name"], meta["namespace"], grace_seconds=0, uid=worker.uid)

    def _drop(self, uid: str) -> None:
        worker = self._workers.pop(uid, None)
        if worker is not None:
            worker.forget()
            self._addresses.give_back(worker.ip)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: %r", self.cluster, error, exc_info=error)


def _is(pod: Object, namespace: str, name: str) -> bool:
    return bool(pod["metadata"]["name"] == name and pod["metadata"]["namespace"] == namespace)
