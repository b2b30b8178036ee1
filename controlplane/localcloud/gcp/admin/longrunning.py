"""Long-running operations of the administration APIs: given unfinished, done a moment later.

What an operation is about is in its state before the operation is given, so one that the daemon did not live to finish
has nothing left to do.
"""

import asyncio
from collections.abc import Callable
from typing import TypeAlias

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.gcp.admin.calls import Document
from controlplane.localcloud.gcp.errors import GoogleError, not_found, rpc_code

_KEPT = 500
# What is left to do at the operation's end; gives its response.
Ending: TypeAlias = Callable[[], Document]


class LongRunning:
    """The operations of all these APIs, by their full names."""

    def __init__(self, clock: Clock, changed: Callable[[], None]) -> None:
        self._clock = clock
        self.changed = changed
        self._operations: dict[str, Document] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def has(self, name: str) -> bool:
        """Say whether there is an operation of this name."""
        return name in self._operations

    def get(self, name: str) -> Document:
        """Answer operations.get."""
        if name not in self._operations:
            raise not_found(f"Operation {name} not found.")
        return self._operations[name]

    def begin(self, name: str, metadata: Document, ending: Ending, *, seconds: float = 0) -> Document:
        """Begin one; gives it as it is now, unfinished."""
        operation: Document = {"name": name, "metadata": metadata}
        self._keep(operation)
        self.spawn(self._finish(operation, ending, seconds))
        return dict(operation)

    def done(self, name: str, response: Document) -> Document:
        """Give one that had nothing to do."""
        operation: Document = {"name": name, "done": True, "response": response}
        self._keep(operation)
        return operation

    def open(self, name: str, metadata: Document) -> Document:
        """Begin one that somebody else ends, by putting `done` and `response` or `error` into it."""
        operation: Document = {"name": name, "metadata": metadata}
        self._keep(operation)
        return operation

    def spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        """Run something beside the calls, until the daemon ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def under_way(self) -> list[asyncio.Task[None]]:
        """Give what is still running."""
        return list(self._tasks)

    async def close(self) -> None:
        """Stop what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _finish(self, operation: Document, ending: Ending, seconds: float) -> None:
        await self._clock.sleep(seconds)
        try:
            operation["response"] = ending()
        except GoogleError as error:
            operation["error"] = {"code": rpc_code(error.status), "message": error.message}
        operation["done"] = True
        self.changed()

    def _keep(self, operation: Document) -> None:
        self._operations[operation["name"]] = operation
        while len(self._operations) > _KEPT:
            del self._operations[next(iter(self._operations))]
