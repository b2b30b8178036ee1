"""A small local cloud of its own for the daemon's tests: one member region, any free port, no delays."""

import contextlib
import ipaddress
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controlplane.localcloud import control

KUBECTL = str(Path(sys.executable).with_name("kubectl"))

SCENARIO = """
name: small
project: small-project
project_number: 100000000002
client_region: us-central1
config_cluster: {name: hunt-config, location: us-west2, zones: [us-west2-a]}
clusters:
- {name: gpu-us-central1, location: us-central1, zones: [us-central1-a]}
stock:
  us-central1-a:
    nvidia-l4: {on-demand: 4, spot: 4}
prices:
  us-central1:
    nvidia-l4: {on-demand: 0.56, spot: 0.22}
delays: {provisioning: 0, boot: 0, image_pull: 0, scale_down: 5, load_balancer: 0, cluster_create: 0}
load_balancer: {port: 0}
"""

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}
      terminationGracePeriodSeconds: 5
      containers:
      - name: web
        image: gpu-hunter/demo-app:1
        ports: [{containerPort: 7860, name: http}]
        env: [{name: DRAIN_SECONDS, value: "0.2"}, {name: TEST_MARK, value: "MARK"}]
        readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 1}
        resources: {limits: {nvidia.com/gpu: 1}, requests: {cpu: "1", memory: 4Gi}}
"""


class Cloud:
    """One local cloud in a folder, and the means to look at it from outside."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.state = folder / "state"
        self.scenario = folder / "scenario.yaml"
        self.scenario.write_text(SCENARIO)
        self.said = []

    def up(self, scenario=None):
        return control.up(self.state, scenario or self.scenario, progress=self.said.append)

    def pid(self):
        return int((self.state / "daemon.lock").read_text())

    def kubectl(self, *arguments, stdin=None, context="gpu-us-central1"):
        command = [KUBECTL, "--kubeconfig", control.kubeconfig(self.state), "--context", context, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=150, check=False)

    def deploy(self):
        made = self.kubectl("apply", "-f", "-", stdin=DEPLOYMENT.replace("MARK", str(self.state)))
        assert made.returncode == 0, made.stderr
        waited = self.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
        assert waited.returncode == 0, waited.stdout + waited.stderr

    def kill(self):
        os.kill(self.pid(), signal.SIGKILL)

    def processes(self):
        """Give all processes that belong to this cloud: by their command line, or their environment."""
        mark, found = str(self.state).encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                    zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                except OSError:
                    continue
                if mark in text and not zombie:
                    found.append(int(entry.name))
        return found

    def listening(self):
        """Give the addresses that the cloud's processes listen on, as the kernel tells them."""
        inodes = set()
        for pid in self.processes():
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(link.readlink()))
        found = []
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for row in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = row.split()[:10]
                if state == "0A" and f"socket:[{inode}]" in inodes:
                    found.append(_address(local.partition(":")[0]))
        return found

    def wait_processes(self, count, seconds=60):
        end = time.monotonic() + seconds
        while len(self.processes()) < count and time.monotonic() < end:
            time.sleep(0.05)
        return len(self.processes()) >= count

    def wait_gone(self, seconds):
        end = time.monotonic() + seconds
        while self.processes() and time.monotonic() < end:
            time.sleep(0.02)
        return self.processes()


def _address(written):
    """Read an address of /proc/net: words of four bytes, each in the machine's order."""
    raw = bytes.fromhex(written)
    turned = b"".join(
        raw[i : i + 4][::-1] if sys.byteorder == "little" else raw[i : i + 4] for i in range(0, len(raw), 4)
    )
    address = ipaddress.ip_address(turned)
    return getattr(address, "ipv4_mapped", None) or address


@pytest.fixture
def new_cloud(tmp_path):
    clouds = []

    def make(name="cloud"):
        (tmp_path / name).mkdir()
        clouds.append(Cloud(tmp_path / name))
        return clouds[-1]

    yield make
    for cloud in clouds:
        control.reset(cloud.state)


@pytest.fixture
def cloud(new_cloud):
    return new_cloud()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    cloud.up()
    yield cloud
    control.reset(cloud.state)
