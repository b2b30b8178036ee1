"""gkehub's long-running operations: done after the scenario's delay, and not forgotten by a restart.

A change itself is made at once; until its operation is done, what was changed says that it is still coming.
"""

import base64
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from google.cloud.gkehub_v1.types import service as s
from google.longrunning import operations_pb2
from google.protobuf import any_pb2

from controlplane.localcloud.clock import Clock, new_uid
from controlplane.localcloud.gcp.errors import not_found
from controlplane.localcloud.gcp.project import Project

_KEPT = 200


class HubOperations:
    """The latest operations by their ids, each with the instant at which it is done."""

    def __init__(self, project: Project, clock: Clock, seconds: Callable[[], float]) -> None:
        self._project = project
        self._clock = clock
        self._seconds = seconds
        self._operations: dict[str, tuple[operations_pb2.Operation, datetime]] = {}

    def get(self, name: str) -> operations_pb2.Operation:
        """Give an operation by its full name."""
        place = self._project.place(name, "gkehub.operations.get")
        if place.id not in self._operations:
            raise not_found(f"Resource '{name}' was not found")
        return self._told(place.id)

    def due(self) -> datetime:
        """Give the instant at which a change that is made now is done."""
        return self._clock.now() + timedelta(seconds=self._seconds())

    def begin(self, location: str, target: str, verb: str, response: Any) -> operations_pb2.Operation:
        """Begin one, which will give this response."""
        now = self._clock.now()
        name = f"operation-{int(now.timestamp() * 1000)}-{new_uid()}"
        due = self.due()
        metadata = s.OperationMetadata(create_time=now, end_time=due, target=target, verb=verb, api_version="v1")
        full = f"projects/{self._project.name}/locations/{location}/operations/{name}"
        operation = operations_pb2.Operation(name=full, done=True)
        operation.metadata.CopyFrom(_any(s.OperationMetadata.pb(metadata)))
        operation.response.CopyFrom(_any(response))
        self._operations[name] = (operation, due)
        while len(self._operations) > _KEPT:
            del self._operations[next(iter(self._operations))]
        return self._told(name)

    def to_state(self) -> list[list[str]]:
        """Give what must outlive the daemon."""
        return [
            [name, base64.b64encode(operation.SerializeToString()).decode(), due.isoformat()]
            for name, (operation, due) in self._operations.items()
        ]

    def from_state(self, state: Iterable[Iterable[str]]) -> None:
        """Take up what an earlier daemon left."""
        self._operations = {
            name: (operations_pb2.Operation.FromString(base64.b64decode(data)), datetime.fromisoformat(due))
            for name, data, due in state
        }

    def _told(self, name: str) -> operations_pb2.Operation:
        operation, due = self._operations[name]
        if self._clock.now() >= due:
            return operation
        pending = operations_pb2.Operation(name=operation.name)
        metadata = s.OperationMetadata.deserialize(operation.metadata.value)
        s.OperationMetadata.pb(metadata).ClearField("end_time")
        pending.metadata.CopyFrom(_any(s.OperationMetadata.pb(metadata)))
        return pending


def _any(message: Any) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
