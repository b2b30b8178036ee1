"""The running local cloud through real kubectl: what a person sees of a stock-out, a refusal and a preemption."""

import json
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

from controlplane.localcloud import control

pytestmark = pytest.mark.e2e
CLUSTER = "gpu-us-central1"
SCENARIO = """
extends: {default}
load_balancer: {{port: 0}}
stock:
  us-central1-a: {{nvidia-l4: {{spot: 1}}}}
  us-central1-b: {{nvidia-l4: {{spot: 0}}}}
prices: {{}}
delays: {{provisioning: 0.2, refusal: 0.1, scale_down: 1, backoff_initial: 1, backoff_max: 4, spot_grace: 3}}
"""


@pytest.fixture
def cloud(tmp_path):
    """Start a local cloud with one Spot L4 in us-central1; gives its folder."""
    folder = tmp_path / "cloud"
    scenario = tmp_path / "scenario.yaml"
    default = Path(control.__file__).parents[1] / "scenarios" / "default.yaml"
    scenario.write_text(SCENARIO.format(default=default))
    control.up(folder, scenario, progress=lambda _: None)
    yield folder
    control.down(folder)


@pytest.fixture
def kubectl(cloud):
    """Run kubectl against the cluster; gives the finished process."""
    program = shutil.which("kubectl", path=sysconfig.get_path("scripts")) or shutil.which("kubectl")
    assert program, "kubectl comes with the development dependencies"

    def kubectl(*arguments, stdin=None):
        command = [program, "--kubeconfig", str(control.kubeconfig(cloud)), "--context", CLUSTER, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=150, check=False)

    return kubectl


@pytest.fixture
def eventually(kubectl):
    """Wait until an Event with a reason is there; gives its message."""

    def eventually(reason):
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            done = kubectl("get", "events", "-o", "json", "--field-selector", f"reason={reason}")
            events = json.loads(done.stdout)["items"]
            if events:
                return events[0]["message"]
            time.sleep(0.3)
        raise AssertionError(f"no {reason}: {kubectl('get', 'events').stdout}")

    return eventually


def test_the_life_of_a_spot_gpu_through_kubectl(cloud, kubectl, eventually, spec_of):
    """One Pod gets the GPU, one is refused in GKE's words, a wrong one by Warden; the preemption ends the first."""
    container = {"image": "gpu-hunter/demo-app:1"}

    def pod(name, **options):
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
        return json.dumps({**body, "spec": spec_of(container=container, **options)})

    assert kubectl("apply", "-f", "-", stdin=pod("first")).returncode == 0
    ready = kubectl("wait", "pod/first", "--for=condition=Ready", "--timeout=120s")
    assert ready.returncode == 0, ready.stderr
    assert kubectl("apply", "-f", "-", stdin=pod("second")).returncode == 0
    assert eventually("FailedScaleUp") == (
        "Node scale up in zones us-central1-a, us-central1-b associated with this pod failed: GCE out of resources. "
        "Pod is at risk of not being scheduled."
    )
    assert eventually("NotTriggerScaleUp") == "pod didn't trigger scale-up: 1 in backoff after failed scale-up"

    refused = kubectl("apply", "-f", "-", stdin=pod("wrong", accelerator=None))
    assert refused.returncode != 0
    assert "Error from server (GKE Warden constraints violations)" in refused.stderr
    assert "[denied by autogke-gpu-limitation]" in refused.stderr

    (node,) = control.call(cloud, "preempt", region="us-central1")["nodes"]
    gone = kubectl("wait", f"node/{node}", "--for=delete", "--timeout=120s")
    assert gone.returncode == 0, gone.stderr
    assert kubectl("get", "pod", "first").returncode != 0
