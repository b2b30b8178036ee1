"""Containers that start warm: forked from a process that has imported what their image always imports.

Which containers have so much in common that one process can stand for all their beginnings is decided by what they are
told: the interpreter, the module, and every variable but those that the image map calls their own. Any other variable
may be looked at while importing, so a container that has another value for it gets another fork server, and where there
are too many of those, or forking is not sound, it starts as every container does.
"""

import asyncio
import json
import logging
import os
import socket
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeAlias

from controlplane.localcloud.kubelet.process import (
    ORPHAN_SECONDS,
    Command,
    Process,
    Runtime,
    ShimProcess,
    ShimRuntime,
    Warmth,
    started,
)

FORK_SERVER = Path(__file__).with_name("forkserver.py")
# Each holds what it has imported for as long as the local cloud runs.
MOST_SERVERS = 3
LONGEST_COMMAND_LINE_BYTES = 1024
_LONGEST_GREETING_BYTES = 16

Key: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]
log = logging.getLogger(__name__)


class CannotFork(Exception):  # noqa: N818
    """The fork server is not there, or does not take orders."""


class WarmRuntime:
    """Forks what can be forked, and leaves the rest to the runtime for everything."""

    def __init__(self, cold: Runtime | None = None, *, linux: bool = sys.platform == "linux") -> None:
        self._cold = cold or ShimRuntime()
        self._linux = linux
        self._servers: dict[Key, asyncio.Task[ForkServer]] = {}

    async def start(self, command: Command) -> Process:
        """Start; StartError when the program cannot be executed."""
        key = _key(command) if self._linux else None
        if key is None or (key not in self._servers and len(self._servers) >= MOST_SERVERS):
            return await self._cold.start(command)
        if key not in self._servers:
            self._servers[key] = asyncio.get_running_loop().create_task(ForkServer.start(command, dict(key[2])))
        starting = self._servers[key]
        try:
            server = await asyncio.shield(starting)
        except CannotFork as error:  # nor would it be there another time
            log.warning("%s: no fork server: %s", key[1], error)
            return await self._cold.start(command)
        try:
            return await server.fork(command)
        except CannotFork as error:
            log.warning("%s: the fork server is lost: %s", key[1], error)
            if self._servers.get(key) is starting:
                del self._servers[key]
            return await self._cold.start(command)


def _key(command: Command) -> Key | None:
    """Give what a container has to have in common with others to be forked from the same process."""
    warmth, argv = command.warmth, command.argv
    if warmth is None or len(argv) < 3 or argv[1] != "-m":
        return None
    shared = ((name, value) for name, value in command.env.items() if not _is_own(name, warmth))
    return argv[0], warmth.module, tuple(sorted(shared))


def _is_own(name: str, warmth: Warmth) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in warmth.own)


class ForkServer:
    """A process that forks containers when told so."""

    def __init__(self, orders: socket.socket, process: asyncio.subprocess.Process) -> None:
        self._orders = orders
        self._process = process  # held: nobody else does

    @classmethod
    async def start(cls, command: Command, env: dict[str, str]) -> "ForkServer":
        """Start one, and wait until it has imported the module. Raises CannotFork."""
        if command.warmth is None:
            raise CannotFork("its image has nothing to import beforehand")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            options = (str(theirs.fileno()), command.warmth.module, " " * LONGEST_COMMAND_LINE_BYTES)
            program = (command.argv[0], "-P", str(FORK_SERVER), *options)
            try:
                process = await asyncio.create_subprocess_exec(
                    *program,
                    stdin=asyncio.subprocess.DEVNULL,
                    env=env,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise CannotFork(f"{program[0]}: {error.strerror}") from error
        greeting = await asyncio.get_running_loop().sock_recv(ours, _LONGEST_GREETING_BYTES)
        if not greeting:
            ours.close()
            raise CannotFork(f"it ended with {await process.wait()} while importing")
        return cls(ours, process)

    async def fork(self, command: Command) -> ShimProcess:
        """Start a container. Raises CannotFork, and StartError."""
        theirs_in, orders_end = os.pipe()
        reports_end, theirs_out = os.pipe()
        order = {
            "argv": list(command.argv),
            "env": dict(command.env),
            "directory": str(command.directory),
            "log": str(command.log),
            "orphan_seconds": ORPHAN_SECONDS,
        }
        try:
            socket.send_fds(self._orders, [json.dumps(order).encode()], [theirs_in, theirs_out])
        except OSError as error:
            os.close(orders_end)
            os.close(reports_end)
            raise CannotFork(f"it takes no orders: {error.strerror}") from error
        finally:
            os.close(theirs_in)
            os.close(theirs_out)
        return await _connected(orders_end, reports_end)


async def _connected(orders_end: int, reports_end: int) -> ShimProcess:
    loop = asyncio.get_running_loop()
    reports = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reports), os.fdopen(reports_end, "rb", buffering=0)
    )
    orders, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(orders_end, "wb", buffering=0))
    return await started(orders, reports, reports.read)
