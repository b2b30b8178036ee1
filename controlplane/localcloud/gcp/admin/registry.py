"""Artifact Registry: repositories for container images, and what builds have pushed into them.

Nothing is stored of an image but its name, tag and digest: what runs from it is decided where it is run.
Source: https://cloud.google.com/artifact-registry/docs/reference/rest/v1/projects.locations.repositories.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from controlplane.localcloud.clock import Clock, new_uid, rfc3339_micro
from controlplane.localcloud.gcp.admin.calls import Call, Document, Route, page, route
from controlplane.localcloud.gcp.admin.longrunning import LongRunning
from controlplane.localcloud.gcp.admin.policies import Policies
from controlplane.localcloud.gcp.admin.projects import asked_version, granted
from controlplane.localcloud.gcp.errors import GoogleError, invalid, not_found
from controlplane.localcloud.gcp.project import Project

_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_URI = re.compile(
    r"(?P<location>[a-z0-9-]+)-docker\.pkg\.dev/(?P<project>[^/]+)/(?P<repository>[^/]+)/(?P<image>[^@:]+)"
    r"(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_MULTI_REGIONS = ("asia", "europe", "us")
_BASE = "/v1/projects/{project}/locations/{location}/repositories"
_TYPE = "type.googleapis.com/google.devtools.artifactregistry.v1"
_FIELDS = ("description", "labels", "cleanupPolicies", "cleanupPolicyDryRun", "dockerConfig")


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image of this registry: its repository's full name, the image in it, and a tag or digest."""

    repository: str
    image: str
    tag: str
    digest: str


def image_name(uri: str) -> ImageName | None:
    """Take `LOCATION-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE[:TAG][@DIGEST]` apart; None for another registry's."""
    match = _URI.fullmatch(uri)
    if match is None:
        return None
    repository = f"projects/{match['project']}/locations/{match['location']}/repositories/{match['repository']}"
    tag = match["tag"] or ("" if match["digest"] else "latest")
    return ImageName(repository, match["image"], tag, match["digest"] or "")


class RegistryApi:
    """Makes and deletes repositories; builds push into them."""

    def __init__(self, project: Project, clock: Clock, policies: Policies, operations: LongRunning) -> None:
        self._project = project
        self._clock = clock
        self._policies = policies
        self._operations = operations
        self._repositories: dict[str, Document] = {}
        self._images: dict[str, Document] = {}

    def routes(self) -> Iterable[Route]:
        """Give the methods."""
        one = f"{_BASE}/{{repository}}"
        yield route("GET", _BASE, self._list)
        # gcloud lists by the API's last preview, whose repositories are the same.
        yield route("GET", _BASE.replace("v1", "v1beta2"), self._list)
        yield route("POST", _BASE, self._create)
        yield route("GET", one, self._get)
        yield route("PATCH", one, self._patch)
        yield route("DELETE", one, self._delete)
        yield route("GET", f"{one}:getIamPolicy", self._policy)
        yield route("POST", f"{one}:setIamPolicy", self._set_policy)
        yield route("POST", f"{one}:testIamPermissions", self._granted)
        yield route("GET", f"{one}/dockerImages", self._list_images)

    def refusal(self, uri: str, account: str) -> str:
        """Say why an account cannot push an image; empty when it can."""
        name = image_name(uri)
        if name is None:
            return f"push access to the requested resource is denied: {uri}"
        if name.repository not in self._repositories:
            return f'name unknown: Repository "{name.repository.rpartition("/")[2]}" not found'
        permission = "artifactregistry.repositories.uploadArtifacts"
        if not self._project.allows(account, permission, name.repository):
            return f'denied: Permission "{permission}" denied on resource "{name.repository}" (or it may not exist)'
        return ""

    def push(self, uri: str, content: str) -> str:
        """Take an image, made of this content, and let its tag lead to it; gives the digest."""
        name = image_name(uri)
        if name is None:
            raise invalid(f"Invalid image name {uri}.")
        digest = "sha256:" + sha256(content.encode()).hexdigest()
        base = f"{name.repository}/dockerImages/{name.image}@"
        for other in self._images.values():
            if other["name"].startswith(base):
                other["tags"] = [tag for tag in other.get("tags", []) if tag != name.tag]
        now = rfc3339_micro(self._clock.now())
        found = self._images.setdefault(
            base + digest,
            {
                "name": base + digest,
                "uri": f"{uri.partition('@')[0].removesuffix(f':{name.tag}')}@{digest}",
                "tags": [],
                "imageSizeBytes": "0",
                "uploadTime": now,
                "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
                "buildTime": now,
            },
        )
        found |= {"tags": [*found["tags"], name.tag], "updateTime": now}
        return digest

    def has(self, uri: str) -> bool:
        """Say whether an image was pushed."""
        name = image_name(uri)
        if name is None:
            return False
        base = f"{name.repository}/dockerImages/{name.image}@"
        if name.digest:
            return base + name.digest in self._images
        return any(key.startswith(base) and name.tag in image["tags"] for key, image in self._images.items())

    def to_state(self) -> Document:
        """Give what must outlive the daemon."""
        return {"repositories": self._repositories, "images": self._images}

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take up what an earlier daemon left."""
        self._repositories, self._images = dict(state["repositories"]), dict(state["images"])

    def _list(self, call: Call) -> Document:
        parent = self._parent(call, "artifactregistry.repositories.list")
        found = [each for name, each in sorted(self._repositories.items()) if name.startswith(f"{parent}/")]
        return page("repositories", found, call.query)

    def _create(self, call: Call) -> Document:
        parent = self._parent(call, "artifactregistry.repositories.create")
        repository = call.query.get("repositoryId") or call.query.get("repository_id") or ""
        if not _ID.fullmatch(repository):
            raise invalid(f"invalid repository_id: {repository!r}")
        if call.body.get("format") != "DOCKER":
            raise invalid("The local cloud has repositories of format DOCKER only.")
        name = f"{parent}/repositories/{repository}"
        if name in self._repositories:
            raise GoogleError("ALREADY_EXISTS", "the repository already exists")
        now = rfc3339_micro(self._clock.now())
        self._repositories[name] = {
            "name": name,
            "format": "DOCKER",
            **{field: call.body[field] for field in _FIELDS if field in call.body},
            "createTime": now,
            "updateTime": now,
            "mode": call.body.get("mode") or "STANDARD_REPOSITORY",
            "sizeBytes": "0",
            "registryUri": f"{call['location']}-docker.pkg.dev/{self._project.name}/{repository}",
        }
        return self._begin(parent, lambda: {"@type": f"{_TYPE}.Repository", **self._repositories[name]})

    def _get(self, call: Call) -> Document:
        return self._repositories[self._asked(call, "artifactregistry.repositories.get")]

    def _patch(self, call: Call) -> Document:
        name = self._asked(call, "artifactregistry.repositories.update")
        for field in call.mask:
            if field not in _FIELDS:
                raise invalid(f"field {field} cannot be updated")
            self._repositories[name].pop(field, None)
            if field in call.body:
                self._repositories[name][field] = call.body[field]
        self._repositories[name]["updateTime"] = rfc3339_micro(self._clock.now())
        return self._repositories[name]

    def _delete(self, call: Call) -> Document:
        name = self._asked(call, "artifactregistry.repositories.delete")
        del self._repositories[name]
        self._images = {key: image for key, image in self._images.items() if not key.startswith(f"{name}/")}
        self._policies.drop(name)
        return self._begin(
            name.partition("/repositories/")[0], lambda: {"@type": "type.googleapis.com/google.protobuf.Empty"}
        )

    def _policy(self, call: Call) -> Document:
        return self._policies.get(self._asked(call, "artifactregistry.repositories.getIamPolicy"), asked_version(call))

    def _set_policy(self, call: Call) -> Document:
        return self._policies.set(self._asked(call, "artifactregistry.repositories.setIamPolicy"), call.body)

    def _granted(self, call: Call) -> Document:
        return granted(self._project, self._policies, call, self._name(call))

    def _list_images(self, call: Call) -> Document:
        name = self._asked(call, "artifactregistry.dockerimages.list")
        found = [image for key, image in sorted(self._images.items()) if key.startswith(f"{name}/")]
        return page("dockerImages", found, call.query)

    def _parent(self, call: Call, permission: str) -> str:
        location = call["location"]
        parent = f"projects/{self._project.name}/locations/{location}"
        self._project.check(call["project"], permission, parent)
        if location not in _MULTI_REGIONS and not self._project.knows(location):
            raise invalid(f"Location {location} is not found or access is unauthorized.")
        return parent

    def _name(self, call: Call) -> str:
        return f"projects/{self._project.name}/locations/{call['location']}/repositories/{call['repository']}"

    def _asked(self, call: Call, permission: str) -> str:
        name = self._name(call)
        self._project.check(call["project"], permission, name)
        if name not in self._repositories:
            raise not_found("Requested entity was not found.")
        return name

    def _begin(self, parent: str, ending: Any) -> Document:
        metadata = {"@type": f"{_TYPE}.OperationMetadata"}
        return self._operations.begin(f"{parent}/operations/{new_uid()}", metadata, ending)
