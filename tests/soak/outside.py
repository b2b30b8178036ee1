"""The world as an outsider sees it: the clusters' API servers, the state folder's secrets, the reconciling processes.

Requests carry `soak=1` in their query, by which injected faults let them pass: a watcher must see what it judges.
"""

import base64
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from controlplane.localcloud import control

NOT_OURS = r"^(?!.*soak=1)"
OURS = "app.kubernetes.io/managed-by=gpu-hunter"
CONFIG = "hunt-config"
MEMBERS = ("gpu-us-central1", "gpu-us-east4", "gpu-europe-west4", "gpu-asia-southeast1")
SERVICES = "/apis/gpuhunter.dev/v1alpha1/namespaces/default/gpuservices"
MCS = "/apis/networking.gke.io/v1/namespaces/default/multiclusterservices"
REGION_OF = {name: name.removeprefix("gpu-") for name in MEMBERS}


class Outside:
    """Reads and writes of any cluster, under no fault."""

    def __init__(self, state: Path) -> None:
        self.state = state
        config = yaml.safe_load(control.kubeconfig(state).read_text(encoding="utf-8"))
        token = config["users"][0]["user"]["token"]
        self.clients = {}
        for entry in config["clusters"]:
            pem = base64.b64decode(entry["cluster"]["certificate-authority-data"]).decode()
            self.clients[entry["name"]] = httpx.Client(
                base_url=entry["cluster"]["server"],
                headers={"Authorization": f"Bearer {token}"},
                verify=ssl.create_default_context(cadata=pem),
                timeout=4,
            )

    def call(self, cluster: str, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Make one request; None for 404. Raises httpx.HTTPError for anything else that is no success."""
        content = None if body is None else json.dumps(body)
        divider = "&" if "?" in path else "?"
        answer = self.clients[cluster].request(
            method, f"{path}{divider}soak=1", content=content, headers={"Content-Type": kind}
        )
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    def items(self, cluster: str, path: str, labels: str = "") -> list[dict[str, Any]]:
        """List objects; none where the kind is not served."""
        found = self.call(cluster, "GET", path + (f"?labelSelector={labels}" if labels else ""))
        return (found or {}).get("items") or []

    def merge(self, cluster: str, path: str, body: Any) -> Any:
        """Merge-patch an object."""
        return self.call(cluster, "PATCH", path, body, "application/merge-patch+json")

    def admin(self, command: str, **arguments: Any) -> Any:
        """Do something to the local cloud."""
        return control.call(self.state, command, **arguments)

    def edit(self, name: str, spec: dict[str, Any]) -> None:
        """Change a GPUService's spec as a user does."""
        self.merge(CONFIG, f"{SERVICES}/{name}", {"spec": spec})

    def secrets(self) -> set[str]:
        """Give everything in the state folder that must never be seen elsewhere."""
        key = json.loads((self.state / "credentials.json").read_text())
        body = [line for line in key["private_key"].splitlines() if "PRIVATE" not in line and len(line) > 20]
        config = yaml.safe_load((self.state / "kubeconfig").read_text())
        return {*body, (self.state / "admin-token").read_text().strip(), config["users"][0]["user"]["token"]}


@dataclass
class Hunter:
    """A `reconcile --watch` of its own process, whose whole output is kept."""

    state: Path
    log: Path
    interval: float = 0.7
    paused: bool = False
    process: subprocess.Popen[bytes] | None = None
    _file: Any = field(default=None, repr=False)

    def start(self) -> None:
        """Start it unless it runs."""
        if self.process is not None and self.process.poll() is None:
            return
        self._file = self.log.open("ab")
        command = [sys.executable, "-m", "controlplane", "--verbose", "--state-dir", str(self.state)]
        command += ["reconcile", "--watch", "--interval", str(self.interval), "--output", "json"]
        self.process = subprocess.Popen(command, stdout=self._file, stderr=self._file, start_new_session=True)
        self.paused = False

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        """Kill it at once, wherever it is."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self.process = None

    def freeze(self) -> None:
        """Pause it, as a virtual machine is paused."""
        self.signal(signal.SIGSTOP)
        self.paused = True

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)
        self.paused = False

    def passes(self) -> int:
        """Count the passes it has made under the lease."""
        with contextlib.suppress(OSError):
            return self.log.read_bytes().count(b'"heldBy": ""')
        return 0


def in_background(work: Any, name: str) -> threading.Thread:
    """Run something beside."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
