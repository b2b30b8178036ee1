"""Recorded availability played into the stock: the pools of a trace have what the recording says, step by step."""

import asyncio
from collections.abc import Iterable

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.scenario import Trace
from controlplane.localcloud.stock.ledger import Pool, Stock


class TraceReplay:
    """Plays all traces of a scenario, each at its own speed, from the start of the daemon, over and over."""

    def __init__(self, traces: Iterable[Trace], stock: Stock, clock: Clock) -> None:
        self._traces = tuple(traces)
        self._stock = stock
        self._clock = clock

    async def run(self) -> None:
        """Play until cancelled."""
        async with asyncio.TaskGroup() as group:
            for trace in self._traces:
                group.create_task(self._play(trace))

    async def _play(self, trace: Trace) -> None:
        steps = min(len(counts) for counts in trace.counts.values())
        step_seconds = trace.interval / trace.speed
        began, step = self._clock.monotonic(), 0
        while True:
            for zone, counts in trace.counts.items():
                self._stock.set_total(Pool(zone, trace.accelerator, trace.capacity), counts[step % steps])
            step = _next_change(trace, step, steps)
            await self._clock.sleep(began + step * step_seconds - self._clock.monotonic())


def _next_change(trace: Trace, step: int, steps: int) -> int:
    """Give the next step at which any zone differs, so that a quiet night costs no wake-up."""
    for ahead in range(step + 1, step + steps + 1):
        if any(counts[ahead % steps] != counts[step % steps] for counts in trace.counts.values()):
            return ahead
    return step + steps
