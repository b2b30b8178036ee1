"""Containers as processes: what the kubelet asks of a container runtime, and the runtime that starts shims.

The kubelet depends on the two Protocols only, so its tests run hours of crash loops in milliseconds with containers
that live in the test.
"""

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

SHIM = Path(__file__).with_name("shim.py")
# A Pod whose owner is dead gets this long between SIGTERM and SIGKILL: nothing may survive the daemon by a second.
ORPHAN_SECONDS = 0.5
KILLED = 137


class StartError(Exception):
    """The program could not be started at all."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is started."""

    argv: Sequence[str]
    env: Mapping[str, str]
    directory: Path
    log: Path


class Process(Protocol):
    """A running container."""

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    async def wait(self) -> int:
        """Give the exit code (128 + signal when killed) once the container has ended."""
        ...

    def stop(self, grace: float) -> None:
        """Send SIGTERM, and SIGKILL after the grace."""
        ...

    def kill(self) -> None:
        """Send SIGKILL to everything in the container."""
        ...


class Runtime(Protocol):
    """What starts containers."""

    async def start(self, command: Command) -> Process:
        """Start; StartError when the program cannot be executed."""
        ...


class ShimProcess:
    """A container below its shim."""

    def __init__(self, shim: asyncio.subprocess.Process, pid: int) -> None:
        self._shim = shim
        self.pid = pid
        self._exit = asyncio.get_running_loop().create_task(self._watch())

    async def wait(self) -> int:
        """Give the exit code; cancelling the waiter does not end the container."""
        return await asyncio.shield(self._exit)

    def stop(self, grace: float) -> None:
        """Ask the container to end."""
        self._order(f"stop {max(grace, 0):.3f}")

    def kill(self) -> None:
        """End the container now."""
        self._order("kill")

    def _order(self, line: str) -> None:
        if self._shim.stdin is not None and not self._shim.stdin.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                self._shim.stdin.write(line.encode() + b"\n")

    async def _watch(self) -> int:
        code = KILLED  # a shim that vanishes without a word was killed, and its container with it
        if self._shim.stdout is not None:
            async for line in self._shim.stdout:
                word, _, value = line.decode().partition(" ")
                if word == "exited":
                    code = int(value)
        await self._shim.wait()
        if self._shim.stdin is not None:
            self._shim.stdin.close()
        return code


class ShimRuntime:
    """Starts every container below a shim of its own."""

    async def start(self, command: Command) -> ShimProcess:
        """Start the container and learn its process id."""
        shim = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(SHIM),
            str(command.log),
            str(command.directory),
            str(ORPHAN_SECONDS),
            *command.argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(command.env),
            start_new_session=True,
        )
        if shim.stdout is None:
            raise StartError("the shim has no report pipe")
        try:
            line = (await shim.stdout.readline()).decode()
        except asyncio.CancelledError:
            shim.kill()  # nobody would ever hold this container
            raise
        word, _, value = line.strip().partition(" ")
        if word != "started":
            await shim.wait()
            raise StartError(value or "the shim ended before the container started")
        return ShimProcess(shim, int(value))
