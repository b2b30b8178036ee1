"""One Pod on its node: volumes, init containers, containers, the end, and the status that tells of all this.

The worker owns the Pod's processes. It is told three things: the Pod changed, stop within a grace, or the machine lost
its power. Whatever happens to its containers, it writes the status from the records of all of them together, once per
turn of the event loop and only when something differs.
"""

import asyncio
import contextlib
import copy
import logging
from collections.abc import Iterator
from datetime import datetime

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.clock import rfc3339
from controlplane.localcloud.kubelet.container import ContainerRunner
from controlplane.localcloud.kubelet.environment import ConfigError
from controlplane.localcloud.kubelet.host import Machine, NodeState
from controlplane.localcloud.kubelet.record import REBOOT_EXIT_CODE, ContainerRecord, restored
from controlplane.localcloud.kubelet.status import FINAL_PHASES, Ending, PodFacts, pod_phase, pod_status
from controlplane.localcloud.kubelet.volumes import prepare_volumes, remove_volumes

log = logging.getLogger(__name__)

MOUNT_RETRY_SECONDS = 2.0
DEADLINE = Ending("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")


class PodWorker:
    """Runs one Pod until it is finished or stopped."""

    def __init__(self, machine: Machine, node: NodeState, pod: Object, ip: str) -> None:
        self.pod = pod
        self.uid: str = pod["metadata"]["uid"]
        self.ip = ip
        self.node = node
        self._machine = machine
        self._clock = machine.clock
        self._directory = machine.run_dir / "pods" / self.uid
        self._start_time: str = (pod.get("status") or {}).get("startTime") or rfc3339(self._clock.now())
        self._ending: Ending | None = None
        self._stopping = False
        self._dead = False
        self.deleting = False
        self._dirty = False
        self._task: asyncio.Task[None] | None = None
        self._deadline: asyncio.Task[None] | None = None
        self._init = [self._runner(container, init=True) for container in pod["spec"].get("initContainers") or []]
        self._main = [self._runner(container, init=False) for container in pod["spec"]["containers"]]
        if self._goes_on():
            self._initialise_again()

    @property
    def finished(self) -> bool:
        """Whether the Pod reached a final phase."""
        return self._phase() in FINAL_PHASES

    @property
    def stopping(self) -> bool:
        """Whether the Pod has been told to stop."""
        return self._stopping

    def start(self) -> None:
        """Begin, or go on after a reboot of the node."""
        self._task = asyncio.get_running_loop().create_task(self._live())
        if (seconds := self.pod["spec"].get("activeDeadlineSeconds")) is not None:
            self._deadline = asyncio.get_running_loop().create_task(self._expire(seconds))

    def update(self, pod: Object) -> None:
        """Take note of the Pod as it is now."""
        generation = self.pod["metadata"].get("generation")
        self.pod = pod
        if pod["metadata"].get("generation") != generation:
            self._changed()

    async def stop(self, grace: float, ending: Ending | None = None) -> None:
        """Stop all containers within the grace and write the last status."""
        self._stopping = True
        self._ending = self._ending or ending
        if self._task is not None and not any(runner.record.running for runner in self._runners()):
            self._task.cancel()
        main = [runner for runner in self._runners() if not self._is_sidecar(runner)]
        sidecars = [runner for runner in self._runners() if self._is_sidecar(runner)]
        deadline = self._clock.monotonic() + grace
        for group in (main, sidecars):
            left = max(deadline - self._clock.monotonic(), 0.0)
            await asyncio.gather(*(runner.stop(left) for runner in group))
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._end_deadline()
        self.publish()

    def kill(self) -> None:
        """Lose the power: every process dies now and nothing more is written."""
        self._dead = True
        for runner in self._runners():
            runner.kill()
        for task in (self._task, self._deadline):
            if task is not None:
                task.cancel()

    def forget(self) -> None:
        """Remove what the Pod left on the disk."""
        self.kill()
        remove_volumes(self._directory)

    def pids(self) -> list[int]:
        """Give the processes that run, one for each container."""
        return [runner.pid for runner in self._runners() if runner.pid is not None]

    def container(self, name: str) -> ContainerRunner | None:
        """Give a container by its name; the first one for no name."""
        if not name:
            return self._main[0]
        return next((runner for runner in self._runners() if runner.record.name == name), None)

    def reject(self, ending: Ending) -> None:
        """Refuse to run the Pod at all."""
        self._ending = ending
        self._stopping = True
        self.publish()

    async def _live(self) -> None:
        self._announce_reboot()
        self.publish()
        await self._mount()
        sidecars = []
        for runner in self._init:
            task = runner.start()
            if self._is_sidecar(runner):
                sidecars.append(runner)
                await self._until_started(runner, task)
                continue
            await asyncio.wait([task])
            self._complain(task)
            if self._stopping or not runner.record.succeeded:
                self.publish()
                return
        tasks = [runner.start() for runner in self._main]
        await asyncio.wait(tasks)
        for task in tasks:
            self._complain(task)
        if not self._stopping:
            grace = float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))
            await asyncio.gather(*(runner.stop(grace) for runner in sidecars))
            self._end_deadline()
        self.publish()

    async def _until_started(self, runner: ContainerRunner, task: asyncio.Task[None]) -> None:
        while not runner.record.started and not task.done():
            await self._clock.sleep(0.05)

    async def _mount(self) -> None:
        meta = self.pod["metadata"]
        while True:
            try:
                prepare_volumes(
                    self.pod,
                    self._directory / "volumes",
                    lambda resource, name: self._machine.read(meta["namespace"], resource, name),
                )
            except (ConfigError, OSError) as error:
                self._machine.recorder.record(self.pod, "Warning", "FailedMount", f"MountVolume.SetUp failed: {error}")
                await self._clock.sleep(MOUNT_RETRY_SECONDS)
            else:
                return

    async def _expire(self, seconds: float) -> None:
        began = datetime.fromisoformat(self._start_time)
        await self._clock.sleep(max(0.0, seconds - (self._clock.now() - began).total_seconds()))
        if not self.finished and not self._stopping:
            self._deadline = None
            self._machine.recorder.record(self.pod, "Normal", DEADLINE.reason, DEADLINE.message)
            await self.stop(float(self.pod["spec"].get("terminationGracePeriodSeconds", 30)), DEADLINE)

    def _end_deadline(self) -> None:
        if self._deadline is not None and self._deadline is not asyncio.current_task():
            self._deadline.cancel()

    def _announce_reboot(self) -> None:
        ended = [runner.record.terminated for runner in self._runners()]
        if any(state is not None and state["exitCode"] == REBOOT_EXIT_CODE for state in ended):
            text = "Pod sandbox changed, it will be killed and re-created."
            self._machine.recorder.record(self.pod, "Normal", "SandboxChanged", text)

    def _runner(self, container: Object, *, init: bool) -> ContainerRunner:
        key = "initContainerStatuses" if init else "containerStatuses"
        known = {status["name"]: status for status in (self.pod.get("status") or {}).get(key) or []}
        record = restored(container, known.get(container["name"]), self._clock.now(), init=init)
        if not init and self.pod["spec"].get("initContainers") and not known:
            record.wait("PodInitializing")
        policy = self.pod["spec"].get("restartPolicy") or "Always"
        if init:
            policy = container.get("restartPolicy") or ("Never" if policy == "Never" else "OnFailure")
        return ContainerRunner(
            self._machine,
            self.node,
            lambda: self.pod,
            container,
            record,
            directory=self._directory,
            policy=policy,
            changed=self._changed,
        )

    def _goes_on(self) -> bool:
        """Say whether a Pod that ran before a reboot gets a new sandbox."""
        if self.pod["spec"].get("restartPolicy") == "Never":
            return False
        phase = (self.pod.get("status") or {}).get("phase")
        return phase not in FINAL_PHASES and any(runner.runs_again for runner in self._main)

    def _initialise_again(self) -> None:
        """Have what had succeeded run once more: a reboot took the sandbox, and what was prepared in it, away."""
        for runner in self._init:
            if runner.record.succeeded:
                runner.record.wait("PodInitializing")

    def _is_sidecar(self, runner: ContainerRunner) -> bool:
        return runner in self._init and runner.container.get("restartPolicy") == "Always"

    def _runners(self) -> Iterator[ContainerRunner]:
        yield from self._init
        yield from self._main

    def _complain(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("pod %s: %r", self.pod["metadata"]["name"], error, exc_info=error)

    def _facts(self) -> PodFacts:
        def records(runners: list[ContainerRunner]) -> list[ContainerRecord]:
            return [runner.record for runner in runners]

        return PodFacts(
            records=records(self._main),
            init_records=records(self._init),
            pod_ip=self.ip,
            host_ip=self.node.ip,
            start_time=self._start_time,
            stopping=self._stopping,
            ending=self._ending,
        )

    def _phase(self) -> str:
        return pod_phase(self.pod, self._facts())

    def _changed(self) -> None:
        if not self._dirty:
            self._dirty = True
            asyncio.get_running_loop().call_soon(self.publish)

    def publish(self) -> None:
        """Write the status, where it differs from what the API has."""
        self._dirty = False
        if self._dead:
            return
        meta = self.pod["metadata"]
        present = self._machine.api.find("pods", meta["name"], meta["namespace"])
        if present is None or present["metadata"]["uid"] != self.uid:
            return
        status = pod_status(present, self._facts(), self._clock.now())
        if status == present.get("status"):
            return
        body = copy.deepcopy({**present, "status": status})
        try:
            self.pod = self._machine.api.update(
                "pods", body, subresource="status", user=f"system:node:{self.node.name}"
            )
        except ApiError as error:
            with contextlib.suppress(RuntimeError):
                log.warning("pod %s: status not written: %s", meta["name"], error.message)
