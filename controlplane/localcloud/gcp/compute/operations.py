"""Compute Engine's operations: what is changed is changed at once, so they are done when they are given."""

from typing import Any, TypeAlias

from controlplane.localcloud.clock import Clock, new_uid, rfc3339
from controlplane.localcloud.gcp.compute.catalogue import number
from controlplane.localcloud.gcp.compute.lists import ROOT, named
from controlplane.localcloud.gcp.project import Project

Document: TypeAlias = dict[str, Any]

_KEPT = 500


class Operations:
    """The latest ones of all scopes: `global`, regions/REGION, zones/ZONE. A restart forgets them."""

    def __init__(self, project: Project, clock: Clock) -> None:
        self._project = project
        self._clock = clock
        self._operations: dict[str, Document] = {}

    def done(self, verb: str, scope: str, target: str) -> Document:
        """Give the operation by which something of a scope was changed. target: KIND/NAME."""
        now, name = rfc3339(self._clock.now()), f"operation-{new_uid()}"
        base = f"{ROOT}/projects/{self._project.name}/{scope}"
        self._operations[name] = {
            "kind": "compute#operation",
            "id": number(name),
            "name": name,
            **({"zone": base} if scope.startswith("zones/") else {}),
            "operationType": verb,
            "targetLink": f"{base}/{target}",
            "status": "DONE",
            "progress": 100,
            "insertTime": now,
            "startTime": now,
            "endTime": now,
            "selfLink": f"{base}/operations/{name}",
        }
        while len(self._operations) > _KEPT:
            del self._operations[next(iter(self._operations))]
        return self._operations[name]

    def get(self, scope: str, name: str) -> Document:
        """Describe one of a scope."""
        here = f"/projects/{self._project.name}/{scope}/operations/{name}"
        return named([each for each in self._operations.values() if each["selfLink"].endswith(here)], name, here[1:])
