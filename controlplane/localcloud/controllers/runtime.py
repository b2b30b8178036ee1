"""The loop that every controller of the local cloud runs in: watch, remember keys, reconcile one key at a time.

Level-triggered, as in Kubernetes: a reconcile function is told which object to look at, never what happened to it.
A key that fails is tried again with a growing delay; two changes to one key while it waits are one piece of work.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from controlplane.localcloud.apiserver.api import ApiError, Change
from controlplane.localcloud.clock import Clock

log = logging.getLogger(__name__)

# (namespace, name) of the object a controller reconciles.
Key: TypeAlias = tuple[str, str]
# Gives the keys that a change concerns, for example a Pod's owner.
KeysOf: TypeAlias = Callable[[Change], Iterable[Key]]
# Does the work; the float it may give back is the number of seconds after which to look again.
Reconcile: TypeAlias = Callable[[Key], Awaitable[float | None]]


class Watched(Protocol):
    """Where changes come from: an Api, or an informer that several controllers share."""

    def watch(self, *resources: str) -> AsyncIterator[Change]:
        """Give every present object as ADDED, then every change, in order, for ever."""
        ...


class Runner(Protocol):
    """Something that works until it is cancelled."""

    async def run(self) -> None:
        """Work until cancelled."""
        ...


FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 5.0


class Controller:
    """One controller: what it watches, which keys a change means, and what is done for a key."""

    def __init__(
        self, name: str, api: Watched, clock: Clock, *, sources: Mapping[str, KeysOf], reconcile: Reconcile
    ) -> None:
        self.name = name
        self._api = api
        self._clock = clock
        self._sources = sources
        self._reconcile = reconcile
        self._waiting: dict[Key, None] = {}
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._timers: dict[Key, asyncio.Task[None]] = {}

    def enqueue(self, key: Key) -> None:
        """Have this key looked at soon."""
        self._waiting[key] = None
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._work())
        finally:
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()

    async def _listen(self) -> None:
        async for change in self._api.watch(*self._sources):
            try:
                keys = list(self._sources[change.resource](change))
            except Exception:
                log.exception("%s: cannot tell whom a change of %s concerns", self.name, change.resource)
                continue
            for key in keys:
                self.enqueue(key)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            key = next(iter(self._waiting))
            del self._waiting[key]
            again = await self._once(key)
            if again is not None:
                self._later(key, again)
            await asyncio.sleep(0)  # noqa: TID251 - gives way to others; no time passes

    async def _once(self, key: Key) -> float | None:
        try:
            again: float | None = await self._reconcile(key)
        except Exception as error:  # one broken object must not stop the controller
            failures = self._failures.get(key, 0) + 1
            self._failures[key] = failures
            expected = isinstance(error, ApiError)
            level = logging.DEBUG if expected or failures > 1 else logging.ERROR
            log.log(level, "%s: %s failed (%d): %r", self.name, key, failures, error, exc_info=not expected)
            return min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30), LONGEST_RETRY_SECONDS)
        self._failures.pop(key, None)
        return again

    def _later(self, key: Key, seconds: float) -> None:
        if (old := self._timers.pop(key, None)) is not None:
            old.cancel()

        async def fire() -> None:
            await self._clock.sleep(seconds)
            self._timers.pop(key, None)
            self.enqueue(key)

        self._timers[key] = asyncio.get_running_loop().create_task(fire())
