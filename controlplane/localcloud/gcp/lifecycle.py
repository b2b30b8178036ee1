"""Clusters that are being made or deleted: each is an operation that takes its time and survives a restart.

What was asked for is written down before it is begun, so that a daemon that was killed half way goes on with it: the
operation keeps its name, and is over when the host has done what it says.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from google.cloud.container_v1.types import cluster_service as k

from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.gcp.fleet import Fleet
from controlplane.localcloud.gcp.hosts import ClusterHost
from controlplane.localcloud.gcp.operations import Operations


@dataclass(slots=True)
class Birth:
    """A cluster that is being made, or whose making failed; the host does not know it.

    fleet: whether it registers itself. dooms: what will end its creation in an error; failed: what has.
    """

    link: str
    labels: dict[str, str]
    operation: str
    created: str
    fleet: bool = False
    dooms: str = ""
    failed: str = ""


class Lifecycle:
    """What is under way."""

    def __init__(
        self,
        clusters: ClusterHost,
        fleet: Fleet,
        operations: Operations,
        clock: Clock,
        *,
        creation_seconds: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._host = clusters
        self._fleet = fleet
        self._operations = operations
        self._clock = clock
        self._creation_seconds = creation_seconds
        self._changed = changed
        self.births: dict[str, Birth] = {}
        self.leaving: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, link: str, labels: Mapping[str, str], *, fleet: bool, dooms: str) -> k.Operation:
        """Begin to make a cluster."""
        operation = self._operations.begin(k.Operation.Type.CREATE_CLUSTER, link)
        created = rfc3339(self._clock.now())
        self._fleet.keep_out(link)
        birth = Birth(link, dict(labels), operation.name, created, fleet=fleet, dooms=dooms)
        self.births[link] = birth
        self._spawn(self._give_birth(birth))
        return operation

    def delete(self, link: str, forget: Callable[[str], None]) -> k.Operation:
        """Begin to delete a cluster; `forget` is told its link when it is gone."""
        operation = self._operations.begin(k.Operation.Type.DELETE_CLUSTER, link)
        if self.births.pop(link, None) is not None:
            forget(link)
            self._operations.finish(operation.name)
            return operation
        self.leaving[link] = operation.name
        self._spawn(self._bury(link, forget))
        return operation

    def busy(self, link: str) -> str | None:
        """Give the name of the operation that a cluster is under, if any."""
        birth = self.births.get(link)
        if birth is not None:
            return None if birth.failed else birth.operation
        return self.leaving.get(link)

    async def close(self) -> None:
        """Leave what is under way for the next daemon."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def to_state(self) -> dict[str, Any]:
        """Give what must outlive the daemon."""
        return {"births": [asdict(birth) for birth in self.births.values()], "leaving": dict(self.leaving)}

    def from_state(self, state: Mapping[str, Any], forget: Callable[[str], None]) -> None:
        """Take up what an earlier daemon left, and go on with it."""
        self.births = {each["link"]: Birth(**each) for each in state.get("births", ())}
        self.leaving = dict(state.get("leaving", {}))
        for birth in self.births.values():
            if not birth.failed:
                self._spawn(self._give_birth(birth))
        for link in self.leaving:
            self._spawn(self._bury(link, forget))

    async def _give_birth(self, birth: Birth) -> None:
        location, name = birth.link.split("/", 1)
        try:
            if birth.dooms:
                await self._clock.sleep(self._creation_seconds())
                raise RuntimeError(birth.dooms)  # noqa: TRY301 - it ends as any other failure of the host's does
            if not self._hosts(birth.link):
                await self._host.create(name, location, birth.labels)
        except Exception as error:  # noqa: BLE001 - whatever the host cannot do is the operation's error
            birth.failed = str(error)
            self._operations.finish(birth.operation, birth.failed)
            self._changed()
            return
        if birth.fleet:
            self._fleet.add_own(birth.link, rfc3339(self._clock.now()))
        del self.births[birth.link]
        self._operations.finish(birth.operation)
        self._changed()

    async def _bury(self, link: str, forget: Callable[[str], None]) -> None:
        location, name = link.split("/", 1)
        failure = ""
        try:
            if self._hosts(link):
                self._fleet.orphan(link)
                await self._host.delete(name, location)
        except Exception as error:  # noqa: BLE001 - whatever the host cannot do is the operation's error
            failure = str(error)
        operation = self.leaving.pop(link)
        if not failure:
            forget(link)
        self._operations.finish(operation, failure)
        self._changed()

    def _hosts(self, link: str) -> bool:
        return any(f"{each.location}/{each.name}" == link for each in self._host.list())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
