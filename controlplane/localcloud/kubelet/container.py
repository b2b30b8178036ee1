"""One container over all its runs: pull, configure, start, probe, wait, back off, again.

The record says what the API shows; this is what makes it true. Every change of the record is followed by `changed()`,
and the Pod writes its status from all records together.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.kubelet.configure import ContainerFolders, configure, last_words
from controlplane.localcloud.kubelet.environment import ConfigError
from controlplane.localcloud.kubelet.hooks import HookError, run_hook
from controlplane.localcloud.kubelet.host import EventType, Machine, NodeState
from controlplane.localcloud.kubelet.probes import Prober, Reactions, Target
from controlplane.localcloud.kubelet.process import Command, Process, StartError
from controlplane.localcloud.kubelet.pull import Puller
from controlplane.localcloud.kubelet.record import ContainerRecord

FIRST_BACK_OFF_SECONDS = 10.0
LONGEST_BACK_OFF_SECONDS = 300.0
# A run of this length forgives earlier crashes.
HEALTHY_RUN_SECONDS = 600.0
# A container gets at least this long after its preStop hook, even when the hook used up the grace.
LEAST_GRACE_SECONDS = 2.0
START_ERROR_CODE = 128


class ContainerRunner:
    """Keeps one container as its restart policy says, until told to stop."""

    def __init__(
        self,
        machine: Machine,
        node: NodeState,
        pod: Callable[[], Object],
        container: Object,
        record: ContainerRecord,
        *,
        directory: Path,
        policy: str,
        changed: Callable[[], None],
    ) -> None:
        self.record = record
        self.container = container
        self._machine = machine
        self._clock = machine.clock
        self._node = node
        self._pod = pod
        self._folders = ContainerFolders(directory, record.name)
        self._policy = policy
        self._changed = changed
        self._puller = Puller(machine, node, record, event=self._event, changed=changed)
        self._process: Process | None = None
        self._prober: Prober | None = None
        self._target: Target | None = None
        self._back_off = 0.0
        self._stopping = False
        self._in_hook = False
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process that runs; None where none does."""
        return self._process.pid if self._process is not None else None

    def start(self) -> asyncio.Task[None]:
        """Begin; the task ends when the container will not run again."""
        self._task = asyncio.get_running_loop().create_task(self._run())
        return self._task

    def kill(self) -> None:
        """End the process now and never start another, as when the machine loses its power."""
        self._stopping = True
        if self._process is not None:
            self._process.kill()
        if self._task is not None:
            self._task.cancel()

    async def stop(self, grace: float) -> None:
        """Run the preStop hook, then SIGTERM, then SIGKILL, all within the grace."""
        again, self._stopping = self._stopping, True
        if self._prober is not None:
            self._prober.stopping = True
        if self._process is None:
            if self._task is not None:
                self._task.cancel()
        elif again:
            await self._hurry(self._process, grace)
        else:
            await self._stop_process(self._process, grace)
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _hurry(self, process: Process, grace: float) -> None:
        """Shorten the grace of a stop that is under way; a preStop hook may still use what is left."""
        if not self._in_hook:
            process.stop(grace)
            return
        limit = asyncio.ensure_future(self._clock.sleep(grace))
        await asyncio.wait([limit, *([self._task] if self._task else [])], return_when=asyncio.FIRST_COMPLETED)
        if not limit.done():
            limit.cancel()
        elif self._process is not None:
            self._process.stop(0)

    async def _stop_process(self, process: Process, grace: float) -> None:
        self._event("Normal", "Killing", f"Stopping container {self.record.name}")
        hook = (self.container.get("lifecycle") or {}).get("preStop")
        deadline = self._clock.monotonic() + grace
        if hook and grace > 0 and self._target is not None:
            ended = asyncio.ensure_future(process.wait())
            running = asyncio.ensure_future(self._hook("PreStop", hook, grace))
            self._in_hook = True
            await asyncio.wait([ended, running], return_when=asyncio.FIRST_COMPLETED)
            self._in_hook = False
            running.cancel()
            ended.cancel()
            process.stop(max(deadline - self._clock.monotonic(), min(LEAST_GRACE_SECONDS, grace)))
        else:
            process.stop(grace)

    async def _hook(self, kind: str, hook: Object, seconds: float) -> bool:
        if self._target is None:
            return True
        try:
            await run_hook(hook, self._target, self._clock, seconds)
        except HookError as failure:
            self._event("Warning", f"Failed{kind}Hook", f"{kind}Hook failed: {failure}")
            return False
        return True

    async def _run(self) -> None:
        if self.record.terminated or self.record.last_state.get("terminated"):
            if self.record.terminated and not self.runs_again:
                return
            self.record.restart_count += 1
        while True:
            await self._puller.pull(self.container)
            await self._run_once()
            if self._stopping or not self.runs_again:
                return
            await self._wait_before_restart()
            self.record.restart_count += 1

    @property
    def runs_again(self) -> bool:
        """Whether the restart policy wants another run after what the record shows."""
        return self._policy == "Always" or (self._policy == "OnFailure" and not self.record.succeeded)

    async def _run_once(self) -> None:
        process = await self._start()
        if process is None:
            return
        started_at = self._clock.monotonic()
        self._process = process
        probing = asyncio.get_running_loop().create_task(self._probe(process))
        try:
            code = await process.wait()
        finally:
            probing.cancel()
            self._process = self._prober = None
        if self._clock.monotonic() - started_at >= HEALTHY_RUN_SECONDS:
            self._back_off = 0.0
        self.record.end(code, self._clock.now(), message=self._last_words(code))
        self._changed()
        with contextlib.suppress(asyncio.CancelledError):
            await probing

    async def _start(self) -> Process | None:
        command = await self._command()
        try:
            process = await self._machine.runtime.start(command)
        except StartError as error:
            text = f"failed to create containerd task: failed to create shim task: {error}"
            self.record.run(self._clock.now())
            self.record.end(START_ERROR_CODE, self._clock.now(), reason="StartError", message=text)
            self._event("Warning", "Failed", f"Error: {text}")
            self._changed()
            return None
        self.record.run(self._clock.now())
        self._event("Normal", "Started", f"Started container {self.record.name}")
        self._changed()
        return process

    async def _command(self) -> Command:
        """Configure the container; wait, as the API shows, until everything that it refers to exists."""
        while True:
            try:
                command, self._target = configure(
                    self._machine, self._pod(), self.container, self._folders, self.record.restart_count
                )
            except ConfigError as error:
                self.record.wait("CreateContainerConfigError", str(error))
                self._event("Warning", "Failed", f"Error: {error}")
                self._changed()
                await self._clock.sleep(FIRST_BACK_OFF_SECONDS)
            else:
                self._event("Normal", "Created", f"Created container: {self.record.name}")
                return command

    def _last_words(self, code: int) -> str:
        message = self._folders.message(self.record.restart_count)
        return last_words(self.container, code, self.log_path(), message)

    def log_path(self, restarts_ago: int = 0) -> Path:
        """Give the log file of this run, or of an earlier one."""
        return self._folders.log(self.record.restart_count - restarts_ago)

    async def _probe(self, process: Process) -> None:
        hook = (self.container.get("lifecycle") or {}).get("postStart")
        if hook and not await self._hook("PostStart", hook, LONGEST_BACK_OFF_SECONDS):
            self._kill_for("failed postStart hook", process)
            return
        if self._target is None:
            return

        def on_started() -> None:
            self.record.started = True
            self._changed()

        def on_ready(ready: bool) -> None:
            self.record.ready = ready
            self._changed()

        def on_failed_for_good(kind: str) -> None:
            self._kill_for(f"failed {kind} probe", process)

        def on_failure(kind: str, detail: str) -> None:
            self._event("Warning", "Unhealthy", f"{kind} probe failed: {detail}")

        reactions = Reactions(on_started, on_ready, on_failed_for_good, on_failure)
        self._prober = Prober(self.container, self._target, self._machine.checker, self._clock, reactions)
        self._prober.stopping = self._stopping
        await self._prober.run()

    def _kill_for(self, what: str, process: Process) -> None:
        self._event("Normal", "Killing", f"Container {self.record.name} {what}, will be restarted")
        grace = (self.container.get("livenessProbe") or {}).get("terminationGracePeriodSeconds")
        if grace is None:
            grace = self._pod()["spec"].get("terminationGracePeriodSeconds", 30)
        process.stop(float(grace))

    async def _wait_before_restart(self) -> None:
        seconds, self._back_off = (
            self._back_off,
            min(max(self._back_off * 2, FIRST_BACK_OFF_SECONDS), LONGEST_BACK_OFF_SECONDS),
        )
        if seconds <= 0:
            return
        meta = self._pod()["metadata"]
        where = f"container={self.record.name} pod={meta['name']}_{meta['namespace']}({meta['uid']})"
        self.record.wait("CrashLoopBackOff", f"back-off {_duration(seconds)} restarting failed {where}")
        text = f"Back-off restarting failed container {self.record.name} in pod "
        self._event("Warning", "BackOff", text + f"{meta['name']}_{meta['namespace']}({meta['uid']})")
        self._changed()
        await self._clock.sleep(seconds)

    def _event(self, type_: EventType, reason: str, message: str) -> None:
        self._machine.recorder.record(self._pod(), type_, reason, message)


def _duration(seconds: float) -> str:
    """Write whole seconds as Go writes a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
