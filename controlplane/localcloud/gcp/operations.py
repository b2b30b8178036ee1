"""Container's operations: begun, finished, listed. They outlive the daemon, as whoever waits for one expects."""

from collections.abc import Iterable
from typing import Any

from google.cloud.container_v1.types import cluster_service as k
from google.rpc import code_pb2, status_pb2

from controlplane.localcloud.clock import Clock, new_uid, rfc3339
from controlplane.localcloud.gcp.errors import not_found
from controlplane.localcloud.gcp.project import Project

ROOT = "https://container.googleapis.com/v1"
_KEPT = 200


class Operations:
    """The latest operations."""

    def __init__(self, project: Project, clock: Clock) -> None:
        self._project = project
        self._clock = clock
        self._operations: dict[str, k.Operation] = {}

    def has(self, name: str) -> bool:
        """Say whether there is an operation of this name."""
        return name in self._operations

    async def list_operations(self, request: k.ListOperationsRequest) -> k.ListOperationsResponse:
        """Answer ListOperations."""
        parent = request.parent or f"projects/{request.project_id}/locations/{request.zone or '-'}"
        place = self._project.place(parent, "container.operations.list")
        self._project.check_up(place.location)
        found = [each for each in self._operations.values() if place.location in ("-", each.location)]
        missing = {each.location for each in found if self._project.is_missing(each.location)}
        return k.ListOperationsResponse(
            operations=[each for each in found if each.location not in missing], missing_zones=sorted(missing)
        )

    async def get_operation(self, request: k.GetOperationRequest) -> k.Operation:
        """Answer GetOperation."""
        legacy = f"projects/{request.project_id}/locations/{request.zone}/operations/{request.operation_id}"
        place = self._project.place(request.name or legacy, "container.operations.get")
        self._project.check_up(place.location)
        operation = self._operations.get(place.id)
        if operation is None or operation.location != place.location:
            path = f"projects/{self._project.name}/locations/{place.location}/operations/{place.id}"
            raise not_found(f"Not found: {path}.")
        return operation

    def begin(self, kind: k.Operation.Type, link: str) -> k.Operation:
        """Begin one on a cluster (LOCATION/NAME)."""
        location = link.split("/", 1)[0]
        now = self._clock.now()
        name = f"operation-{int(now.timestamp() * 1000)}-{new_uid()}"
        path = f"{ROOT}/projects/{self._project.number}/locations/{location}"
        operation = k.Operation(
            name=name,
            location=location,
            zone=location,
            operation_type=kind,
            status=k.Operation.Status.RUNNING,
            start_time=rfc3339(now),
            self_link=f"{path}/operations/{name}",
            target_link=f"{path}/clusters/{link.split('/', 1)[1]}",
        )
        self._operations[name] = operation
        while len(self._operations) > _KEPT:
            del self._operations[next(iter(self._operations))]
        return operation

    def finish(self, name: str, failure: str = "") -> None:
        """End one, well or with an error."""
        operation = self._operations.get(name)
        if operation is None:
            return
        operation.status = k.Operation.Status.DONE
        operation.end_time = rfc3339(self._clock.now())
        if failure:
            operation.status_message = failure
            operation.error = status_pb2.Status(code=code_pb2.INTERNAL, message=failure)

    def to_state(self) -> list[Any]:
        """Give what must outlive the daemon."""
        return [k.Operation.to_dict(each) for each in self._operations.values()]

    def from_state(self, state: Iterable[Any]) -> None:
        """Take up what an earlier daemon left."""
        self._operations = {each["name"]: k.Operation(each) for each in state}
