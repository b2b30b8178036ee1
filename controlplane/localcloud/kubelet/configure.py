"""From a container as the Pod describes it to the command that is started: arguments, environment, directory, log."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.kubelet.environment import ConfigError, container_environment, expand
from controlplane.localcloud.kubelet.host import Machine
from controlplane.localcloud.kubelet.probes import Target
from controlplane.localcloud.kubelet.process import Command
from controlplane.localcloud.kubelet.volumes import mount_environment, mounts, real_path

LONGEST_MESSAGE_BYTES = 2048
LONGEST_FILE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ContainerFolders:
    """Where a container's things are below its Pod's folder."""

    pod: Path
    name: str

    @property
    def volumes(self) -> Path:
        """All volumes of the Pod."""
        return self.pod / "volumes"

    def work(self) -> Path:
        """Give the container's own directory."""
        folder = self.pod / "containers" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def message(self, run: int) -> Path:
        """Give the file in which a run leaves its termination message."""
        folder = self.pod / "messages" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{run}.txt"

    def log(self, run: int) -> Path:
        """Give the log of one run, counted from 0."""
        folder = self.pod / "logs" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{run}.log"


def configure(
    machine: Machine, pod: Object, container: Object, folders: ContainerFolders, run: int
) -> tuple[Command, Target]:
    """Give what to start and where its probes find it; ConfigError when something that it refers to is missing."""
    image = machine.images.find(container["image"])
    if image is None:
        raise ConfigError(f'image "{container["image"]}" is not present')
    mounted = {**mounts(container, folders.volumes), **_message_file(container, folders, run)}
    ports = {port.get("name", ""): port["containerPort"] for port in container.get("ports") or []}
    ip = (pod.get("status") or {}).get("podIP", "")
    namespace = pod["metadata"]["namespace"]
    plain = container_environment(
        pod,
        container,
        image_env=image.env,
        given=_given(machine, pod, container, folders, ports),
        read=lambda resource, name: machine.read(namespace, resource, name),
    )
    env = {name: real_path(value, mounted) for name, value in plain.items()}
    argv = [
        real_path(expand(part, plain), mounted)
        for part in image.argv(container.get("command") or [], container.get("args") or [])
    ]
    if not argv:
        raise ConfigError("no command specified")
    wanted = Path(real_path(container.get("workingDir") or "", mounted) or folders.work())
    directory = wanted if wanted.is_dir() else folders.work()
    target = Target(ip=ip, ports=ports, env=env, directory=str(directory))
    return Command(argv, env, directory, folders.log(run), image.warmth), target


def _given(
    machine: Machine, pod: Object, container: Object, folders: ContainerFolders, ports: Mapping[str, int]
) -> dict[str, str]:
    """Give what every container is told: who it is, where it may listen, where its volumes are."""
    return {
        **machine.base_env,
        "HOSTNAME": pod["metadata"]["name"],
        "HOME": str(folders.work()),
        "HOST": (pod.get("status") or {}).get("podIP", ""),
        **({"PORT": str(next(iter(ports.values())))} if ports else {}),
        **mount_environment(container, folders.volumes),
    }


def _message_file(container: Object, folders: ContainerFolders, run: int) -> dict[str, Path]:
    """Give the real place of the termination message: where a volume is mounted over the path, that has it."""
    path = str(container.get("terminationMessagePath") or "")
    return {path: folders.message(run)} if path else {}


def last_words(container: Object, code: int, log: Path, message: Path) -> str:
    """Give the termination message: what the container left in its file, or the end of the log where it asks so."""
    try:
        left = message.read_bytes()[:LONGEST_FILE_BYTES].decode("utf-8", "replace")
    except OSError:
        left = ""
    if left:
        return left
    if code == 0 or container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
        return ""
    try:
        tail = log.read_bytes()[-2 * LONGEST_MESSAGE_BYTES :]
    except OSError:
        return ""
    lines = [line.split(b" ", 3)[-1] for line in tail.splitlines()]
    return b"\n".join(lines)[-LONGEST_MESSAGE_BYTES:].decode("utf-8", "replace")
