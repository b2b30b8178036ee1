"""Where Cloud Run's containers run: as processes of this computer, with Cloud Run's environment and metadata server.

Google's APIs are at their usual addresses there and somewhere on loopback here, so a process is told where in the
variables that gcloud reads; nothing else differs from what a container on Cloud Run is given.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.localcloud.kubelet.images import PROJECT, Image, ImageMap
from controlplane.localcloud.kubelet.process import Command, Process, Runtime

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHONS = ("python", "python3")


@dataclass(frozen=True, slots=True)
class Workshop:
    """What it takes to run containers. `surroundings` gives the variables that say where Google's APIs are."""

    folder: Path
    runtime: Runtime
    images: ImageMap
    surroundings: Callable[[], Mapping[str, str]]

    def image(self, uri: str, *, pushed: bool) -> Image | None:
        """Give what an image brings along.

        One that a build pushed and the image map does not know is taken for this project's own: Python and its
        packages, and nothing that starts by itself.
        """
        return self.images.find(uri) or (Image(env={"PYTHONPATH": str(PROJECT)}) if pushed else None)

    def argv(self, image: Image, container: Mapping[str, Any]) -> Sequence[str]:
        """Give the program and its arguments; empty where neither the image nor the container names one."""
        program, *rest = image.argv(container.get("command") or (), container.get("args") or ()) or [""]
        return [] if not program else [sys.executable if program in _PYTHONS else program, *rest]

    async def start(
        self, name: str, image: Image, container: Mapping[str, Any], given: Mapping[str, str]
    ) -> tuple[Process, Path]:
        """Start a container; gives it and its log. StartError when its program cannot be executed."""
        directory = self.folder / name
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = {str(each["name"]): str(each.get("value") or "") for each in container.get("env") or ()}
        env = {"PATH": _PATH, "HOME": "/root", **self.surroundings(), **image.env, **own, **given}
        log = directory / "log"
        return await self.runtime.start(Command(self.argv(image, container), env, directory, log)), log
