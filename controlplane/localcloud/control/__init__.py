"""The local cloud as the command line drives it: start, stop, look, change.

Synchronous, and light to import: the daemon's own modules are never loaded here, only spoken to. Every failure is a
LocalCloudError with one line that says what to do.
"""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlplane.localcloud.control.client import DaemonFiles, ask, wait_for_daemon
from controlplane.localcloud.control.errors import LocalCloudError

if TYPE_CHECKING:
    from controlplane.localcloud.clock import BlockingClock

__all__ = [
    "CloudStatus",
    "ClusterStatus",
    "Connection",
    "LocalCloudError",
    "call",
    "connection",
    "default_state_dir",
    "down",
    "find_scenario",
    "kubeconfig",
    "reset",
    "status",
    "up",
]

STOP_SECONDS = 15.0
SCENARIOS = Path(__file__).parent.parent / "scenarios"


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """One cluster."""

    name: str
    location: str
    role: str
    endpoint: str
    status: str
    nodes: int
    pods: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class CloudStatus:
    """A running local cloud.

    buckets: the folder whose folders are the buckets of Cloud Storage. leaked_groups: name, zone and cluster of network
    endpoint groups that nobody owns.
    """

    project: str
    scenario: str
    state_dir: str
    pid: int
    address: str
    kubeconfig: str
    seconds_up: float
    buckets: str = ""
    clusters: tuple[ClusterStatus, ...] = field(default_factory=tuple)
    leaked_groups: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """How the reconciler reaches it. storage: the variables by which Cloud Storage's clients do."""

    project: str
    config_cluster: str
    endpoints: dict[str, str]
    ca_file: Path
    credentials_file: Path
    prices_file: Path
    storage: dict[str, str] = field(default_factory=dict)


def default_state_dir() -> Path:
    """Give the folder that is used when none is named."""
    if named := os.environ.get("GPUHUNTER_LOCAL_DIR"):
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "gpu-hunter"


def find_scenario(named: Path) -> Path:
    """Give the file of a scenario that is named by its path, or by its bare name when it comes along."""
    known = SCENARIOS / f"{named}.yaml"
    return known if len(named.parts) == 1 and not named.exists() and known.exists() else named


def up(
    state_dir: Path, scenario: Path | None = None, *, progress: Callable[[str], None] = lambda _: None
) -> CloudStatus:
    """Start the local cloud and come back when all its APIs answer; harmless when it runs already."""
    files = DaemonFiles(state_dir)
    scenario = scenario and find_scenario(scenario)
    if files.locked():
        wait_for_daemon(files, _clock())
        if scenario is not None:
            ask(files, "check-scenario", {"path": str(scenario.resolve())})
        progress("the local cloud is running already")
    else:
        from controlplane.localcloud.control.start import start_daemon

        start_daemon(state_dir, scenario, progress)
    found = status(state_dir)
    if found is None:
        raise LocalCloudError(f"the local cloud ended right after its start; see {files.log}")
    return found


def down(state_dir: Path) -> None:
    """Stop it; its state stays. Harmless when it does not run."""
    files = DaemonFiles(state_dir)
    if not files.locked():
        return
    pid = files.pid()
    if pid is None:
        raise LocalCloudError(f"{files.lock}: is held, but no process id is known; stop the process that holds it")
    _signal(pid, signal.SIGTERM)
    if not files.wait_unlocked(STOP_SECONDS, _clock()):
        _signal(pid, signal.SIGKILL)
        if not files.wait_unlocked(STOP_SECONDS, _clock()):
            raise LocalCloudError(f"process {pid} does not end; its log is {files.log}")


def status(state_dir: Path) -> CloudStatus | None:
    """Describe the running local cloud; None when it does not run."""
    files = DaemonFiles(state_dir)
    if not files.locked():
        return None
    wait_for_daemon(files, _clock())
    answer = ask(files, "status", {})
    clusters = tuple(ClusterStatus(**entry) for entry in answer.pop("clusters"))
    return CloudStatus(clusters=clusters, leaked_groups=tuple(answer.pop("leaked_groups")), **answer)


def reset(state_dir: Path) -> None:
    """Stop it and forget everything in it."""
    down(state_dir)
    from controlplane.localcloud.daemon.state import StateDir

    StateDir(state_dir).wipe()


def kubeconfig(state_dir: Path) -> Path:
    """Give the kubeconfig file: one context per cluster, each named after its cluster."""
    path = state_dir / "kubeconfig"
    if not path.exists():
        raise LocalCloudError("the local cloud has never run; start it with `gpuhunter local up`")
    return path


def connection(state_dir: Path) -> Connection:
    """Give what a client needs to reach the Google Cloud endpoints."""
    answer = ask(DaemonFiles(state_dir), "connection", {})
    return Connection(
        project=answer["project"],
        config_cluster=answer["config_cluster"],
        endpoints=answer["endpoints"],
        ca_file=Path(answer["ca_file"]),
        credentials_file=Path(answer["credentials_file"]),
        prices_file=Path(answer["prices_file"]),
        storage=answer.get("storage", {}),
    )


def call(state_dir: Path, command: str, **arguments: Any) -> dict[str, Any]:
    """Have the running local cloud do something: `stock-out`, `preempt`, `region-down`, `fault-add` ..."""
    return ask(DaemonFiles(state_dir), command, arguments)


def _clock() -> "BlockingClock":
    from controlplane.localcloud.clock import SystemClock

    return SystemClock()


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise LocalCloudError(f"process {pid} belongs to another user; let its owner stop it") from error
