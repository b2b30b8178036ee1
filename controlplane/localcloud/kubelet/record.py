"""What the kubelet remembers of one container: its present and last state in the words of the API.

States are kept in the form they have in `containerStatuses`, so that writing the status is copying, and a kubelet
that starts again reads them back from the Pod, as after a reboot of the node.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.clock import new_uid, rfc3339
from controlplane.localcloud.kubelet.images import parse_reference

REBOOT_EXIT_CODE = 255


@dataclass(slots=True)
class ContainerRecord:
    """One container of a Pod over all its runs."""

    name: str
    image: str
    init: bool = False
    state: Object = field(default_factory=dict)
    last_state: Object = field(default_factory=dict)
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""
    image_id: str = ""

    @property
    def running(self) -> bool:
        """Whether a process runs now, as far as is known."""
        return "running" in self.state

    @property
    def terminated(self) -> Object | None:
        """How the container ended, where it has and nothing came after."""
        ended: Object | None = self.state.get("terminated")
        return ended

    @property
    def succeeded(self) -> bool:
        """Whether it has ended with exit code 0."""
        return self.terminated is not None and self.terminated["exitCode"] == 0

    def wait(self, reason: str, message: str = "") -> None:
        """Wait, for a reason; a run that had ended moves to lastState."""
        if (ended := self.terminated) is not None:
            self.last_state = {"terminated": ended}
        self.state = {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        self.ready = self.started = False

    def run(self, now: datetime) -> None:
        """Run from now on, under a new container id."""
        if (ended := self.terminated) is not None:
            self.last_state = {"terminated": ended}
        self.container_id = f"containerd://{new_uid().replace('-', '')}{new_uid().replace('-', '')}"
        self.image_id = f"{parse_reference(self.image).name}@{parse_reference(self.image).digest}"
        self.state = {"running": {"startedAt": rfc3339(now)}}
        self.ready = self.started = False

    def end(self, exit_code: int, now: datetime, *, reason: str = "", message: str = "") -> None:
        """Have ended."""
        started = (self.state.get("running") or {}).get("startedAt")
        ended: dict[str, Any] = {
            "exitCode": exit_code,
            "reason": reason or ("Completed" if exit_code == 0 else "Error"),
            "startedAt": started or rfc3339(now),
            "finishedAt": rfc3339(now),
        }
        if self.container_id:
            ended["containerID"] = self.container_id
        if message:
            ended["message"] = message
        self.state = {"terminated": ended}
        self.ready = self.started = False

    def status(self, container: Object) -> Object:
        """Give the containerStatus."""
        status: Object = {
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "lastState": self.last_state,
            "ready": self.ready or (self.init and self.succeeded),
            "restartCount": self.restart_count,
            "started": self.started,
            "state": self.state,
        }
        if self.container_id:
            status["containerID"] = self.container_id
        if self.running or self.terminated:
            resources = container.get("resources") or {}
            if resources:
                status["resources"] = resources
            if requests := resources.get("requests"):
                status["allocatedResources"] = requests
        return status


def restored(container: Object, status: Object | None, now: datetime, *, init: bool = False) -> ContainerRecord:
    """Give the record that a kubelet has after a reboot: what ran has ended with the machine."""
    record = ContainerRecord(name=container["name"], image=container["image"], init=init)
    record.state = {"waiting": {"reason": "PodInitializing" if init else "ContainerCreating"}}
    if status is None:
        return record
    record.restart_count = status.get("restartCount", 0)
    record.last_state = status.get("lastState") or {}
    record.container_id = status.get("containerID", "")
    record.image_id = status.get("imageID", "")
    record.state = status.get("state") or record.state
    if record.running:
        record.end(
            REBOOT_EXIT_CODE, now, reason="Unknown", message="The node was restarted while this container was running"
        )
    return record
