"""Probes: asking a container how it is, once (`check`) and again and again (`Prober`).

One task per container run asks the startup probe first and then readiness and liveness side by side. Until a container
has been ready once, its readiness is asked in quick succession at first, as kubelets since 1.33 do, so that a Pod with
`periodSeconds: 10` need not wait ten seconds for a process that was up after thirty milliseconds.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.kubelet.http import HttpError, dial_failure, http_status

EAGER_SECONDS = 0.1
LONGEST_OUTPUT = 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one probe found; `detail` says why it failed."""

    healthy: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The container being asked."""

    ip: str
    ports: Mapping[str, int]
    env: Mapping[str, str]
    directory: str

    def port(self, port: int | str) -> int:
        """Give the number of a named or numbered port; 0 where there is none of that name."""
        if isinstance(port, int):
            return port
        return self.ports.get(port) or (int(port) if port.isdigit() else 0)


class Checker(Protocol):
    """Asks once."""

    async def __call__(self, probe: Object, target: Target) -> Outcome:
        """Ask; a probe that takes longer than its timeoutSeconds has failed."""
        ...


async def check(probe: Object, target: Target) -> Outcome:
    """Ask once, over real sockets and processes."""
    seconds = probe.get("timeoutSeconds") or 1
    if http := probe.get("httpGet"):
        return await _http(http, target, seconds)
    if tcp := probe.get("tcpSocket"):
        return await _tcp(tcp, target, seconds)
    if command := (probe.get("exec") or {}).get("command"):
        return await _exec(command, target, seconds)
    return Outcome(False, "this kubelet knows httpGet, tcpSocket and exec probes only")


async def _http(http: Object, target: Target, seconds: float) -> Outcome:
    host, port = http.get("host") or target.ip, target.port(http["port"])
    scheme = http.get("scheme") or "HTTP"
    path = http.get("path") or "/"
    headers = {header["name"]: header["value"] for header in http.get("httpHeaders") or []}
    try:
        status = await http_status(scheme, host, port, path, headers=headers, seconds=seconds)
    except HttpError as failure:
        return Outcome(False, f'Get "{scheme.lower()}://{host}:{port}{path}": {failure}')
    if 200 <= status < 400:
        return Outcome(True)
    return Outcome(False, f"HTTP probe failed with statuscode: {status}")


async def _tcp(tcp: Object, target: Target, seconds: float) -> Outcome:
    host, port = tcp.get("host") or target.ip, target.port(tcp["port"])
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
    except OSError as error:
        return Outcome(False, dial_failure(host, port, error))
    writer.close()
    return Outcome(True)


async def _exec(command: Sequence[str], target: Target, seconds: float) -> Outcome:
    code, output = await run_command(command, target, seconds)
    if code is None:
        return Outcome(False, f'command timed out: "{" ".join(command)}" timed out after {seconds:g}s')
    return Outcome(code == 0, "" if code == 0 else output)


async def run_command(command: Sequence[str], target: Target, seconds: float) -> tuple[int | None, str]:
    """Run a command beside the container; no exit code when it had to be ended for its time."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(target.env),
            cwd=target.directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return 126, f'exec: "{command[0]}": {error.strerror}'
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    except TimeoutError:
        return None, ""
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode, output[:LONGEST_OUTPUT].decode("utf-8", "replace")


@dataclass(slots=True)
class Reactions:
    """What follows from probes: told once per change, and once per single failure."""

    on_started: Callable[[], None]
    on_ready: Callable[[bool], None]
    on_failed_for_good: Callable[[str], None]
    on_failure: Callable[[str, str], None]


class Prober:
    """Asks one container run until cancelled."""

    def __init__(self, container: Object, target: Target, checker: Checker, clock: Clock, reactions: Reactions) -> None:
        self._container = container
        self._target = target
        self._check = checker
        self._clock = clock
        self._reactions = reactions
        self.stopping = False  # a Pod that is going is still asked for readiness, never for liveness

    async def run(self) -> None:
        """Ask startup first, then readiness and liveness."""
        startup = self._container.get("startupProbe")
        if startup and not await self._wait_for_startup(startup):
            return
        self._reactions.on_started()
        readiness, liveness = self._container.get("readinessProbe"), self._container.get("livenessProbe")
        if not readiness:
            self._reactions.on_ready(True)
        async with asyncio.TaskGroup() as group:
            if readiness:
                group.create_task(self._readiness(readiness))
            if liveness:
                group.create_task(self._liveness(liveness))

    async def _wait_for_startup(self, probe: Object) -> bool:
        failures = 0
        await self._clock.sleep(probe.get("initialDelaySeconds") or 0)
        while True:
            outcome = await self._check(probe, self._target)
            if outcome.healthy:
                return True
            failures += 1
            self._reactions.on_failure("Startup", outcome.detail)
            if failures >= (probe.get("failureThreshold") or 3):
                self._reactions.on_failed_for_good("startup")
                return False
            await self._clock.sleep(probe.get("periodSeconds") or 10)

    async def _readiness(self, probe: Object) -> None:
        period = probe.get("periodSeconds") or 10
        ready, successes, failures = False, 0, 0
        await self._clock.sleep(probe.get("initialDelaySeconds") or 0)
        known = await self._eager(probe, period)
        while True:
            outcome, known = known or await self._check(probe, self._target), None
            if outcome.healthy:
                successes, failures = successes + 1, 0
            else:
                successes, failures = 0, failures + 1
                self._reactions.on_failure("Readiness", outcome.detail)
            if not ready and successes >= (probe.get("successThreshold") or 1):
                ready = True
                self._reactions.on_ready(True)
            elif ready and failures >= (probe.get("failureThreshold") or 3):
                ready = False
                self._reactions.on_ready(False)
            await self._clock.sleep(period)

    async def _eager(self, probe: Object, period: float) -> Outcome | None:
        """Ask quickly, without counting failures, for as long as one period; give the first good outcome."""
        wait, waited = EAGER_SECONDS, 0.0
        while waited < period:
            outcome = await self._check(probe, self._target)
            if outcome.healthy:
                return outcome
            await self._clock.sleep(wait)
            waited += wait
            wait = min(wait * 1.5, 1.0)
        return None

    async def _liveness(self, probe: Object) -> None:
        failures = 0
        await self._clock.sleep(probe.get("initialDelaySeconds") or 0)
        while True:
            outcome = await self._check(probe, self._target)
            failures = 0 if outcome.healthy else failures + 1
            if self.stopping:
                return
            if not outcome.healthy:
                self._reactions.on_failure("Liveness", outcome.detail)
            if failures >= (probe.get("failureThreshold") or 3):
                self._reactions.on_failed_for_good("liveness")
                return
            await self._clock.sleep(probe.get("periodSeconds") or 10)
