"""Cloud Storage's buckets: made, described and deleted, with a policy each; and who may do what in them.

A bucket that holds objects cannot be deleted, and bucket names are one space for the whole world, so some are taken by
others. A folder that somebody makes beside the others is a bucket like any.
Source: https://cloud.google.com/storage/docs/json_api/v1/buckets.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, route
from controlplane.localcloud.gcp.admin.policies import Policies
from controlplane.localcloud.gcp.callers import ANONYMOUS, caller
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.gcp.storage.pages import page
from controlplane.localcloud.gcp.storage.shelf import Shelf

_NAME = re.compile(r"[a-z0-9][-_.a-z0-9]{1,61}[a-z0-9]")
ROOT = "/storage/v1/b"
_KEPT = ("labels", "lifecycle", "iamConfiguration", "location", "storageClass")


class Buckets:
    """Makes and deletes buckets. taken: bucket names that belong to somebody else's project."""

    def __init__(self, project: Project, clock: Clock, policies: Policies, folder: Path | None) -> None:
        self._project = project
        self._clock = clock
        self._policies = policies
        self._said: dict[str, Document] = {}
        self._shelves: dict[str, Shelf] = {}
        self._folder = folder
        self._borrowed: TemporaryDirectory[str] | None = None
        self.taken: set[str] = set()

    @property
    def folder(self) -> Path:
        """The folder whose folders are the buckets; one for as long as this process lives where none was given."""
        if self._folder is None:
            self._borrowed = TemporaryDirectory(prefix="buckets-")
            self._folder = Path(self._borrowed.name)
        return self._folder

    def close(self) -> None:
        """Delete the folder if it was ours alone."""
        if self._borrowed is not None:
            self._borrowed.cleanup()

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        one = f"{ROOT}/{{bucket}}"
        yield route("GET", ROOT, self._list)
        yield route("POST", ROOT, self._create)
        yield route("GET", one, self._get)
        yield route("PATCH", one, self._patch)
        yield route("DELETE", one, self._delete)
        yield route("GET", f"{one}/iam", self._policy)
        yield route("PUT", f"{one}/iam", self._set_policy)
        yield route("GET", f"{one}/storageLayout", self._layout)

    def to_state(self) -> Document:
        """Give what must outlive the daemon besides the folders."""
        return {"buckets": self._said}

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._said = dict(state["buckets"])

    def check(self, name: str, permission: str) -> None:
        """Refuse what the caller may not do in a bucket, in the words of Cloud Storage."""
        self._project.check_enabled("storage")
        if name in self.taken or not self.may(name, permission):
            raise refused(permission)

    def may(self, name: str, permission: str) -> bool:
        """Say whether the caller has a permission on a bucket, by its own policy or the project's."""
        return self._project.allows(caller.get(), permission, f"buckets/{name}")

    def shelf(self, name: str) -> Shelf:
        """Give a bucket's objects. Raises GoogleError where there is no such bucket."""
        if not _NAME.fullmatch(name) or not (self.folder / name).is_dir():
            raise not_found("The specified bucket does not exist.")
        return self._shelves.setdefault(name, Shelf(self.folder / name))

    def names(self) -> list[str]:
        """Give the names of all buckets."""
        if not self.folder.is_dir():
            return []
        return sorted(each.name for each in self.folder.iterdir() if _NAME.fullmatch(each.name) and each.is_dir())

    def _list(self, call: Call) -> Document:
        self._project.check(call.query.get("project", ""), "storage.buckets.list")
        prefix = call.query.get("prefix", "")
        found = [self._described(name) for name in self.names() if name.startswith(prefix)]
        return {"kind": "storage#buckets", **page("items", found, call.query)}

    def _create(self, call: Call) -> Document:
        self._project.check(call.query.get("project", ""), "storage.buckets.create")
        name = str(call.body.get("name") or "")
        if not _NAME.fullmatch(name):
            raise invalid(f"Invalid bucket name: '{name}'")
        if name in self.taken:
            text = (
                "The requested bucket name is not available. The bucket namespace is shared by all users of the system."
            )
            raise GoogleError("ALREADY_EXISTS", text, "conflict")
        if (self.folder / name).exists():
            text = "Your previous request to create the named bucket succeeded and you already own it."
            raise GoogleError("ALREADY_EXISTS", text, "conflict")
        (self.folder / name).mkdir(parents=True)
        kept = {key: call.body[key] for key in _KEPT if key in call.body}
        self._said[name] = {"timeCreated": rfc3339(self._clock.now()), **kept}
        return self._described(name)

    def _get(self, call: Call) -> Document:
        return self._described(self._find(call["bucket"], "storage.buckets.get"))

    def _patch(self, call: Call) -> Document:
        name = self._find(call["bucket"], "storage.buckets.update")
        said = self._said.setdefault(name, {})
        for key in _KEPT:
            if key in call.body:
                said[key] = {**said.get(key, {}), **call.body[key]} if key == "labels" else call.body[key]
        return self._described(name)

    def _delete(self, call: Call) -> Document:
        name = self._find(call["bucket"], "storage.buckets.delete")
        shelf = self.shelf(name)
        if next(shelf.walk(), None) is not None:
            raise GoogleError("FAILED_PRECONDITION", "The bucket you tried to delete is not empty.", "conflict")
        _remove_empty(shelf.folder)
        self._said.pop(name, None)
        self._shelves.pop(name, None)
        self._policies.drop(f"buckets/{name}")
        return {}

    def _policy(self, call: Call) -> Document:
        self._find(call["bucket"], "storage.buckets.getIamPolicy")
        return self._policies.get(f"buckets/{call['bucket']}")

    def _set_policy(self, call: Call) -> Document:
        self._find(call["bucket"], "storage.buckets.setIamPolicy")
        return self._policies.set(f"buckets/{call['bucket']}", {"policy": call.body})

    def _layout(self, call: Call) -> Document:
        name = self._find(call["bucket"], "storage.objects.list")
        location = self._described(name)["location"]
        return {
            "kind": "storage#storageLayout",
            "bucket": name,
            "location": location,
            "locationType": "region" if "-" in location else "multi-region",
            "hierarchicalNamespace": {"enabled": False},
        }

    def _find(self, name: str, permission: str) -> str:
        self.check(name, permission)
        self.shelf(name)
        return name

    def _described(self, name: str) -> Document:
        made = {"kind": "storage#bucket", "id": name, "name": name, "projectNumber": str(self._project.number)}
        return {**made, "location": "US", "storageClass": "STANDARD", "metageneration": "1", **self._said.get(name, {})}


def refused(permission: str) -> GoogleError:
    """Refuse for want of a permission: 401 for those who did not say who they are."""
    kind = "bucket" if permission.startswith("storage.buckets.") else "object"
    what = f"does not have {permission} access to the Google Cloud Storage {kind}."
    why = f"Permission '{permission}' denied on resource (or it may not exist)."
    if caller.get() == ANONYMOUS:
        return GoogleError("UNAUTHENTICATED", f"Anonymous caller {what} {why}", "required")
    return GoogleError("PERMISSION_DENIED", f"{caller.get()} {what} {why}", "forbidden")


def _remove_empty(folder: Path) -> None:
    """Remove a folder of which nothing but empty folders is left. Raises GoogleError for what is no object."""
    try:
        for each in folder.iterdir():
            _remove_empty(each)
        folder.rmdir()
    except (OSError, NotADirectoryError) as error:
        text = f"The bucket you tried to delete is not empty: its folder holds {folder.name}, which is no object."
        raise GoogleError("FAILED_PRECONDITION", text, "conflict") from error
