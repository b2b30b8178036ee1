"""The reconciler's image: built by Cloud Build from the code that runs, under a tag that says what is in it.

The tag is a hash of the code, so an image of that tag is the right one, and a new version of the code is a new image. A
build that is under way is found by its tags and waited for, not begun twice.
Source: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.locations.builds.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

from controlplane.bootstrap.values import Image, Json, Operation, Part, Seen, State, thing
from controlplane.gateways.sanitise import sanitise

if TYPE_CHECKING:
    from controlplane.gateways.administration import Administration

_REGISTRY, _BUILD = "artifactregistry", "cloudbuild"
_GOING = ("PENDING", "QUEUED", "WORKING")


class Images:
    """Images that are built from our code."""

    def __init__(self, rest: "Administration", source: Callable[[], bytes]) -> None:
        self._rest, self._source = rest, source

    def look(self, part: Part) -> Seen:
        """Look for the tag in the repository, and for a build of it."""
        wanted = thing(part, Image)
        if self._pushed(wanted):
            return Seen(State.PRESENT, wanted.tag)
        latest = self._latest(wanted)
        status = str(latest.get("status", ""))
        if status in _GOING:
            return Seen(State.GOING, f"build {latest.get('id')} is {status.lower()}", latest)
        if status == "SUCCESS":
            return Seen(State.ABSENT, "it was built, and removed from the repository")
        if status:
            told = latest.get("statusDetail") or (latest.get("failureInfo") or {}).get("detail") or latest.get("logUrl")
            return Seen(
                State.ABSENT, f"the last build ended in {status}: {sanitise(told or 'see its log', 160)}", latest
            )
        return Seen(State.ABSENT)

    def make(self, part: Part, seen: Seen) -> Operation | None:
        """Put the code into the bucket and begin a build."""
        del seen
        wanted = thing(part, Image)
        name = f"source/{wanted.tag}.tar.gz"
        self._rest.upload(wanted.bucket, name, self._source())
        source = {"storageSource": {"bucket": wanted.bucket, "object": name}}
        path = f"/v1/projects/{wanted.project}/locations/{wanted.region}/builds"
        answer = self._rest.write(_BUILD, "POST", path, {**wanted.build, "source": source})
        return Operation(_BUILD, f"/v1/{answer['name']}")

    def remove(self, part: Part, seen: Seen) -> Operation | None:
        """Do nothing: it goes with its repository."""
        del part, seen
        return None

    def _pushed(self, wanted: Image) -> bool:
        """Say whether the repository holds the tag; one that is not there holds nothing."""
        images = self._rest.pages(_REGISTRY, f"/v1/{_repository(wanted)}/dockerImages", "dockerImages")
        return any(
            str(each.get("uri", "")).partition("@")[0] == wanted.name and wanted.tag in (each.get("tags") or ())
            for each in images
        )

    def _latest(self, wanted: Image) -> Json:
        """Give the newest build of the tag; Cloud Build lists the newest first."""
        query = quote(f'tags="gpu-hunter-{wanted.tag}"', safe="")
        path = f"/v1/projects/{wanted.project}/locations/{wanted.region}/builds?filter={query}"
        builds = [
            each
            for each in self._rest.pages(_BUILD, path, "builds")
            if f"gpu-hunter-{wanted.tag}" in (each.get("tags") or ())
        ]
        return max(builds, key=lambda each: str(each.get("createTime", "")), default={})


def _repository(wanted: Image) -> str:
    host, _, rest = wanted.name.partition("/")
    repository = rest.rsplit("/", 2)[1]
    return f"projects/{wanted.project}/locations/{host.removesuffix('-docker.pkg.dev')}/repositories/{repository}"
