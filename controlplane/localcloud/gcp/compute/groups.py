"""Deleting network endpoint groups that nobody owns any more, and the zonal operations that doing so gives."""

from typing import Any, TypeAlias

from controlplane.localcloud.clock import Clock, new_uid, rfc3339
from controlplane.localcloud.gcp.compute.balancing import Balancing
from controlplane.localcloud.gcp.compute.catalogue import number
from controlplane.localcloud.gcp.compute.lists import ROOT, named
from controlplane.localcloud.gcp.project import Project

Document: TypeAlias = dict[str, Any]

_KEPT = 100


class Groups:
    """Deletes them, at once; the operations are in memory, since they are done when they are given."""

    def __init__(self, project: Project, clock: Clock, balancing: Balancing) -> None:
        self._project = project
        self._clock = clock
        self._balancing = balancing
        self._operations: dict[str, Document] = {}

    def delete(self, zone: str, name: str) -> Document:
        """Delete one."""
        self._balancing.delete_group(zone, name)
        now, operation = rfc3339(self._clock.now()), f"operation-{new_uid()}"
        base = f"{ROOT}/projects/{self._project.name}/zones/{zone}"
        self._operations[operation] = {
            "kind": "compute#operation",
            "id": number(operation),
            "name": operation,
            "zone": base,
            "operationType": "delete",
            "targetLink": f"{base}/networkEndpointGroups/{name}",
            "status": "DONE",
            "progress": 100,
            "insertTime": now,
            "startTime": now,
            "endTime": now,
            "selfLink": f"{base}/operations/{operation}",
        }
        while len(self._operations) > _KEPT:
            del self._operations[next(iter(self._operations))]
        return self._operations[operation]

    def operation(self, zone: str, name: str) -> Document:
        """Describe a finished operation."""
        path = f"projects/{self._project.name}/zones/{zone}/operations/{name}"
        here = [each for each in self._operations.values() if f"/zones/{zone}/" in each["selfLink"]]
        return named(here, name, path)
