"""Supervision: parts that run for as long as the daemon lives, each started again when it fails.

One part's failure must not end the others, nor go unseen: it is in the log, and a moment later the part is tried again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from controlplane.localcloud.clock import Clock

log = logging.getLogger(__name__)


class Supervisor:
    """Runs parts. restart_seconds: how long after a failure a part is started again."""

    def __init__(self, clock: Clock, *, restart_seconds: float) -> None:
        self._clock, self._restart_seconds = clock, restart_seconds
        self._tasks: list[asyncio.Task[None]] = []

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run one part until all are cancelled. name: what the log calls it."""
        self._tasks.append(asyncio.get_running_loop().create_task(self._keep(name, run)))

    def cancel(self) -> None:
        """Let every part end, without waiting for it."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End every part; all have ended when this comes back."""
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks.clear()

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
            except Exception:
                log.exception("%s failed; starting it again", name)
            await self._clock.sleep(self._restart_seconds)
