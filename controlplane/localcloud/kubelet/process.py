"""Containers as processes: what the kubelet asks of a container runtime, and the runtime that starts shims.

The kubelet depends on the two Protocols only, so its tests run hours of crash loops in milliseconds with containers
that live in the test.
"""

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

SHIM = Path(__file__).with_name("shim.py")
# A Pod whose owner is dead gets this long between SIGTERM and SIGKILL: nothing may survive the daemon by a second.
ORPHAN_SECONDS = 0.5
KILLED = 137
Gone: TypeAlias = Callable[[], Awaitable[object]]


class StartError(Exception):
    """The program could not be started at all."""


@dataclass(frozen=True, slots=True)
class Warmth:
    """What containers of an image may have in common before they start.

    module: imported once for all of them. own: the variables, as shell wildcards, that differ between them and that
    importing the module does not look at.
    """

    module: str
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """What is started."""

    argv: Sequence[str]
    env: Mapping[str, str]
    directory: Path
    log: Path
    warmth: Warmth | None = None


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


class Orders(Protocol):
    """The shim's standard input."""

    def write(self, data: bytes) -> object:
        """Send."""
        ...

    def is_closing(self) -> bool:
        """Tell whether nothing can be sent any more."""
        ...

    def close(self) -> object:
        """End it; the container goes too."""
        ...


class ShimProcess:
    """A container below its shim, whose reports come until it is gone."""

    def __init__(self, orders: Orders, reports: asyncio.StreamReader, gone: Gone, pid: int) -> None:
        self._orders = orders
        self._reports = reports
        self._gone = gone
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
        if not self._orders.is_closing():
            with contextlib.suppress(OSError, RuntimeError):
                self._orders.write(line.encode() + b"\n")

    async def _watch(self) -> int:
        code = KILLED  # a shim that vanishes without a word was killed, and its container with it
        async for line in self._reports:
            word, _, value = line.decode().partition(" ")
            if word == "exited":
                code = int(value)
        await self._gone()
        self._orders.close()
        return code


async def started(orders: Orders, reports: asyncio.StreamReader, gone: Gone) -> ShimProcess:
    """Give the container once its shim says that it has started; StartError when it says anything else.

    gone: returns when the shim is no more, after the end of its reports.
    """
    try:
        line = (await reports.readline()).decode()
    except asyncio.CancelledError:
        orders.close()  # nobody would ever hold this container
        raise
    word, _, value = line.strip().partition(" ")
    if word != "started":
        await gone()
        orders.close()
        raise StartError(value or "the shim ended before the container started")
    return ShimProcess(orders, reports, gone, int(value))


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
        if shim.stdin is None or shim.stdout is None:
            raise StartError("the shim has no pipes")
        return await started(shim.stdin, shim.stdout, shim.wait)
