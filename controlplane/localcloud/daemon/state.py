"""The folder in which a local cloud lives: where everything is, and the facts that outlive the daemon.

Kubernetes objects are in one database per cluster, kept by the API servers. Here is the rest: which clusters there are
and on which ports and subnets, the stock, the clock's offset. It is one small JSON file, replaced as a whole.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from controlplane.localcloud.control.errors import LocalCloudError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class StateDir:
    """Paths."""

    folder: Path

    @property
    def state_file(self) -> Path:
        """What outlives the daemon."""
        return self.folder / "state.json"

    @property
    def pki_folder(self) -> Path:
        """Certificates."""
        return self.folder / "pki"

    @property
    def credentials_file(self) -> Path:
        """The service account's key file."""
        return self.folder / "credentials.json"

    @property
    def storage_credentials_file(self) -> Path:
        """The same key for clients of Cloud Storage alone, which get their tokens beside it, without TLS."""
        return self.folder / "storage-credentials.json"

    @property
    def buckets_folder(self) -> Path:
        """The buckets of Cloud Storage, a folder each."""
        return self.folder / "buckets"

    @property
    def kubeconfig_file(self) -> Path:
        """One context per cluster."""
        return self.folder / "kubeconfig"

    @property
    def prices_file(self) -> Path:
        """The scenario's prices, as the reconciler reads them."""
        return self.folder / "prices.yaml"

    @property
    def run_folder(self) -> Path:
        """What only a running cloud needs: Pods' folders and logs, Envoy's configuration."""
        return self.folder / "run"

    def database(self, cluster: str) -> Path:
        """Give the database with the objects of one cluster."""
        return self.folder / "clusters" / f"{cluster}.db"

    @property
    def ours(self) -> bool:
        """A local cloud has lived here: what bears its names in the folder is its own."""
        return (self.folder / "daemon.lock").exists() or self.state_file.exists()

    def occupied(self) -> str | None:
        """Name something of somebody else's that stands where a new local cloud would put, and later wipe, its own."""
        folders = ("pki", "run", "clusters", "gcloud", "loadbalancer", "buckets")
        names = (*folders, "kubeconfig", "credentials.json", "storage-credentials.json", "prices.yaml")
        return None if self.ours else next((name for name in names if (self.folder / name).exists()), None)

    def wipe(self) -> None:
        """Forget everything of this cloud, and nothing else that may lie in the folder."""
        if not self.ours:
            return
        for path in (
            self.pki_folder,
            self.run_folder,
            self.buckets_folder,
            self.folder / "clusters",
            self.folder / "gcloud",
            self.folder / "loadbalancer",
        ):
            shutil.rmtree(path, ignore_errors=True)
        for name in (
            "state.json",
            "credentials.json",
            "storage-credentials.json",
            "kubeconfig",
            "prices.yaml",
            "daemon.json",
            "daemon.log",
            "daemon.log.1",
            "admin-token",
        ):
            (self.folder / name).unlink(missing_ok=True)


@dataclass(slots=True)
class ClusterState:
    """What is remembered of one cluster."""

    name: str
    location: str
    port: int
    subnet: int
    created: str
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class CloudState:
    """What is remembered of the whole cloud. new: it has never run; afterwards it may well have no clusters."""

    clusters: list[ClusterState] = field(default_factory=list)
    gcp_port: int = 0
    gcp_grpc_port: int = 0
    storage_port: int = 0
    scenario: str = ""
    scenario_digest: str = ""
    stock: dict[str, Any] = field(default_factory=dict)
    google: dict[str, Any] = field(default_factory=dict)
    clock_offset_seconds: float = 0.0
    delays: dict[str, float] = field(default_factory=dict)
    new: bool = True

    def cluster(self, name: str, location: str) -> ClusterState | None:
        """Give what is remembered of a cluster."""
        return next((c for c in self.clusters if (c.name, c.location) == (name, location)), None)


def load_state(directory: StateDir) -> CloudState | None:
    """Read the state; None for a new cloud. LocalCloudError when it cannot be used."""
    path = directory.state_file
    if not path.exists():
        return None
    remedy = "; `gpuhunter local reset` starts afresh"
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LocalCloudError(f"{path}: the local cloud's state is corrupted ({error}){remedy}") from error
    if not isinstance(document, Mapping):
        raise LocalCloudError(f"{path}: the local cloud's state is corrupted (not a mapping){remedy}")
    if document.get("format") != FORMAT:
        found = document.get("format")
        raise LocalCloudError(f"{path}: made by another version (format {found}, this one is {FORMAT}){remedy}")
    try:
        clusters = [ClusterState(**entry) for entry in document["clusters"]]
        rest = {key: value for key, value in document.items() if key not in {"format", "clusters"}}
        return CloudState(clusters=clusters, **rest)
    except (KeyError, TypeError) as error:
        raise LocalCloudError(f"{path}: the local cloud's state is corrupted ({error}){remedy}") from error


def save_state(directory: StateDir, state: CloudState) -> None:
    """Replace the state file as a whole."""
    text = json.dumps({"format": FORMAT, **asdict(state)}, indent=1)
    temporary = directory.state_file.with_name("state.json.new")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory.state_file)
