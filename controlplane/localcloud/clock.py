"""The one place of the local cloud where time passes and chance has a say.

Controllers, the kubelet and the autoscaler are given a Clock; tests hand them a VirtualClock and move it by hand, so
that fifteen minutes of provisioning take no time and nothing waits on the wall clock.
"""

import asyncio
import heapq
import random
import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the local cloud needs of time."""

    def now(self) -> datetime:
        """Give the present instant, in UTC, with the offset that a fault may have set."""
        ...

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for this long."""
        ...


class BlockingClock(Protocol):
    """What code outside the event loop needs of time: the command line waiting for the daemon."""

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        ...

    def pause(self, seconds: float) -> None:
        """Block for this long."""
        ...


class ShiftableClock(Clock, Protocol):
    """A clock whose `now` shows another time than it is, by `offset`: the clock fault."""

    offset: timedelta


class SystemClock:
    """The machine's clock; `offset` is the clock fault (all cluster timestamps shift by it)."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        """Give the present instant, in UTC."""
        return datetime.now(UTC) + self.offset

    def monotonic(self) -> float:
        """Give seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let other tasks run for this long."""
        await asyncio.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """Block for this long; never call it inside the event loop."""
        time.sleep(seconds)


class VirtualClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.offset = timedelta()
        self._now = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._sequence = 0

    def now(self) -> datetime:
        """Give the virtual instant."""
        return self._now + self.offset

    def monotonic(self) -> float:
        """Give the virtual seconds since the start."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by this much."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sequence += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._sequence, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move the clock, waking every sleeper at its own instant and letting its consequences happen."""
        target = self._elapsed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            wake, _, future = heapq.heappop(self._sleepers)
            self._set(max(wake, self._elapsed))
            if not future.done():
                future.set_result(None)
            await settle()
        self._set(target)
        await settle()

    def _set(self, elapsed: float) -> None:
        self._now += timedelta(seconds=elapsed - self._elapsed)
        self._elapsed = elapsed


async def settle(rounds: int = 50) -> None:
    """Let everything that is ready to run do so."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def new_uid() -> str:
    """Give a UUID, as objects and operations have."""
    return str(uuid.uuid4())


def new_suffix(length: int = 5) -> str:
    """Give a random suffix in Kubernetes' own alphabet, which has no vowels and spells no words."""
    return "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(length))


def chance(probability: float) -> bool:
    """Say yes with this probability."""
    return random.random() < probability  # noqa: S311


def rfc3339(instant: datetime) -> str:
    """Give the instant as metav1.Time writes it: whole seconds, Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(instant: datetime) -> str:
    """Give the instant as metav1.MicroTime writes it: six digits, Z."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
