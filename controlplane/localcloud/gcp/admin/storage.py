"""Cloud Storage's JSON API, as far as the source of a build needs it: buckets, their policies, objects put and deleted.

Of an object only its name, size and hash are kept: nothing here reads what was put. A bucket that holds objects cannot
be deleted, and bucket names are one space for the whole world, so some are taken by others.
Source: https://cloud.google.com/storage/docs/json_api/v1.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.admin.policies import Policies
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.project import Project

_NAME = re.compile(r"[a-z0-9][-_.a-z0-9]{1,61}[a-z0-9]")
_ROOT = "/storage/v1/b"
UPLOAD = "/upload/storage/v1/b/{bucket}/o"
_KEPT = ("labels", "lifecycle", "iamConfiguration", "location", "storageClass")


class StorageApi:
    """Makes and deletes buckets and objects. taken: bucket names that belong to somebody else's project."""

    def __init__(self, project: Project, clock: Clock, policies: Policies) -> None:
        self._project = project
        self._clock = clock
        self._policies = policies
        self._buckets: dict[str, Document] = {}
        self._objects: dict[str, dict[str, Document]] = {}
        self.taken: set[str] = set()

    def routes(self) -> Iterable[Route]:
        """Give the methods but the upload, whose body is no JSON."""
        one = f"{_ROOT}/{{bucket}}"
        yield route("GET", _ROOT, self._list)
        yield route("POST", _ROOT, self._create)
        yield route("GET", one, self._get)
        yield route("PATCH", one, self._patch)
        yield route("DELETE", one, self._delete)
        yield route("GET", f"{one}/iam", self._policy)
        yield route("PUT", f"{one}/iam", self._set_policy)
        yield route("GET", f"{one}/o", self._list_objects)
        # Object names hold slashes, which come in the path as %2F.
        yield Route("DELETE", re.compile(rf"{_ROOT}/(?P<bucket>[^/:]+)/o/(?P<object>.+)"), self._delete_object)

    def upload(self, bucket: str, name: str, data: bytes) -> Document:
        """Put an object, in the place of one of that name."""
        self._find(bucket, "storage.objects.create")
        if not name:
            raise invalid("Required parameter: name")
        kept = self._objects[bucket][name] = {
            "kind": "storage#object",
            "name": name,
            "bucket": bucket,
            "size": str(len(data)),
            "md5Hash": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
            "timeCreated": rfc3339(self._clock.now()),
        }
        return kept

    def to_state(self) -> Document:
        """Give what must outlive the daemon."""
        return {"buckets": self._buckets, "objects": self._objects}

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._buckets = dict(state["buckets"])
        self._objects = {name: dict(objects) for name, objects in state["objects"].items()}

    def _list(self, call: Call) -> Document:
        self._project.check(call.query.get("project", ""), "storage.buckets.list")
        return page("items", [self._buckets[name] for name in sorted(self._buckets)], call.query)

    def _create(self, call: Call) -> Document:
        self._project.check(call.query.get("project", ""), "storage.buckets.create")
        name = str(call.body.get("name") or "")
        if not _NAME.fullmatch(name):
            raise invalid(f"Invalid bucket name: '{name}'")
        if name in self._buckets:
            raise GoogleError(
                "ALREADY_EXISTS", "Your previous request to create the named bucket succeeded.", "conflict"
            )
        if name in self.taken:
            text = (
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system."
            )
            raise GoogleError("ALREADY_EXISTS", text, "conflict")
        now = rfc3339(self._clock.now())
        made = {"kind": "storage#bucket", "id": name, "name": name, "projectNumber": str(self._project.number)}
        kept = {key: call.body[key] for key in _KEPT if key in call.body}
        self._buckets[name] = {**made, "timeCreated": now, "location": "US", "storageClass": "STANDARD", **kept}
        self._objects[name] = {}
        return self._buckets[name]

    def _get(self, call: Call) -> Document:
        return self._find(call["bucket"], "storage.buckets.get")

    def _patch(self, call: Call) -> Document:
        found = self._find(call["bucket"], "storage.buckets.update")
        for key in _KEPT:
            if key in call.body:
                found[key] = {**found.get(key, {}), **call.body[key]} if key == "labels" else call.body[key]
        return found

    def _delete(self, call: Call) -> Document:
        name = call["bucket"]
        self._find(name, "storage.buckets.delete")
        if self._objects[name]:
            raise GoogleError("FAILED_PRECONDITION", "The bucket you tried to delete is not empty.", "conflict")
        del self._buckets[name], self._objects[name]
        self._policies.drop(f"buckets/{name}")
        return {}

    def _policy(self, call: Call) -> Document:
        self._find(call["bucket"], "storage.buckets.getIamPolicy")
        return self._policies.get(f"buckets/{call['bucket']}")

    def _set_policy(self, call: Call) -> Document:
        self._find(call["bucket"], "storage.buckets.setIamPolicy")
        return self._policies.set(f"buckets/{call['bucket']}", {"policy": call.body})

    def _list_objects(self, call: Call) -> Document:
        self._find(call["bucket"], "storage.objects.list")
        return page("items", [each for _, each in sorted(self._objects[call["bucket"]].items())], call.query)

    def _delete_object(self, call: Call) -> Document:
        self._find(call["bucket"], "storage.objects.delete")
        name = call["object"]
        if name not in self._objects[call["bucket"]]:
            raise not_found(f"No such object: {call['bucket']}/{name}")
        del self._objects[call["bucket"]][name]
        return {}

    def _find(self, name: str, permission: str) -> Document:
        if name in self.taken:
            text = f"The caller does not have {permission} access to the Google Cloud Storage bucket."
            raise GoogleError("PERMISSION_DENIED", text, "forbidden")
        self._project.check(self._project.name, permission, f"buckets/{name}")
        if name not in self._buckets:
            raise not_found("The specified bucket does not exist.")
        return self._buckets[name]
