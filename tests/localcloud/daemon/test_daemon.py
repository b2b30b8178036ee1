"""The daemon from outside: start, stop, death, restart, and what it says when something is in the way."""

import json
import os
import socket
import time
import urllib.error
import urllib.request

import pytest
import yaml

from controlplane.localcloud import control
from controlplane.localcloud.control.errors import LocalCloudError, RefusedError

pytestmark = pytest.mark.e2e


def test_nothing_survives_sigkill_and_the_next_up_has_everything_back(cloud):
    """SIGKILL leaves no process of the cloud, soon; objects, ports and Pods come back on the next up."""
    before = cloud.up()
    cloud.deploy()
    assert cloud.wait_processes(6)  # the daemon, Envoy, two Pods with their shims
    listening = cloud.listening()
    assert len(listening) >= 5  # two API servers, Google Cloud over REST and gRPC, Envoy, two Pods on one port
    assert [str(address) for address in listening if not address.is_loopback] == []
    cloud.kill()
    assert cloud.wait_gone(60) == []
    assert control.status(cloud.state) is None
    after = cloud.up()
    assert [(c.name, c.endpoint) for c in after.clusters] == [(c.name, c.endpoint) for c in before.clusters]
    ready = cloud.kubectl("wait", "pod", "-l", "app=web", "--for=condition=Ready", "--timeout=120s")
    assert ready.returncode == 0, ready.stdout + ready.stderr
    pods = json.loads(cloud.kubectl("get", "pods", "-o", "json").stdout)["items"]
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [1, 1]


def test_down_leaves_nothing_running_and_keeps_the_state(cloud):
    """Down ends every process; stock changes are still there afterwards."""
    cloud.up()
    control.call(cloud.state, "stock-out", region="us-central1", accelerator="nvidia-l4", capacity="spot")
    control.down(cloud.state)
    assert cloud.processes() == []
    cloud.up()
    pools = control.call(cloud.state, "stock")["stock"]
    assert {p["capacity"]: p["sold_out"] for p in pools if p["capacity"] in {"spot", "on-demand"}} == {
        "on-demand": False,
        "spot": True,
    }


def test_a_port_in_use_is_one_clear_line(cloud):
    """The line names the port and what to do; nothing is left running."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        cloud.scenario.write_text(cloud.scenario.read_text().replace("{port: 0}", f"{{port: {port}}}"))
        with pytest.raises(LocalCloudError, match=f"port {port} .* in use") as caught:
            cloud.up()
    assert "\n" not in str(caught.value)
    assert cloud.wait_gone(5) == []
    cloud.scenario.write_text(cloud.scenario.read_text().replace(f"{{port: {port}}}", "{port: 0}"))
    assert cloud.up().scenario == "small"  # the start that failed left nothing in the way of a mended scenario


def test_a_changed_scenario_does_not_change_a_living_world(cloud):
    """An edited scenario, and another one, are refused with the remedy; reset makes way for it."""
    cloud.up()
    control.down(cloud.state)
    text = cloud.scenario.read_text()
    cloud.scenario.write_text(text.replace("spot: 4", "spot: 9"))
    with pytest.raises(LocalCloudError, match=r"has changed since .* local reset"):
        cloud.up()
    other = cloud.folder / "other.yaml"
    other.write_text(text)
    with pytest.raises(LocalCloudError, match=r"was made from .* local reset"):
        cloud.up(other)
    control.reset(cloud.state)
    assert cloud.up(other).scenario == "small"


def test_a_bad_scenario_is_one_line_with_its_path(cloud):
    """The scenario's own complaint reaches the caller."""
    cloud.scenario.write_text("project: p\nclusters: 7\n")
    with pytest.raises(LocalCloudError, match=r"scenario\.yaml"):
        cloud.up()


def test_a_corrupted_state_is_one_line(cloud):
    """The cloud does not start over a state file that it cannot read."""
    cloud.state.mkdir()
    (cloud.state / "state.json").write_text("{")
    with pytest.raises(LocalCloudError, match="corrupted"):
        cloud.up()


def test_a_corrupted_database_is_one_line(cloud):
    """Objects that cannot be read stop the start, with the remedy; nothing is left running."""
    cloud.up()
    control.down(cloud.state)
    for database in (cloud.state / "clusters").glob("*hunt-config*"):
        database.write_bytes(b"not a database" * 1000)
    with pytest.raises(LocalCloudError, match=r"corrupted .* local reset") as caught:
        cloud.up()
    assert "\n" not in str(caught.value)
    assert cloud.wait_gone(5) == []


def test_two_clouds_run_side_by_side(new_cloud):
    """A second cloud gets ports and Pod addresses of its own."""
    one, two = new_cloud("one"), new_cloud("two")
    ports = {cluster.endpoint for cloud in (one, two) for cluster in cloud.up().clusters}
    assert len(ports) == 4
    addresses = []
    for cloud in (one, two):
        cloud.deploy()
        pods = json.loads(cloud.kubectl("get", "pods", "-o", "json").stdout)["items"]
        addresses += [pod["status"]["podIP"] for pod in pods]
    assert len(set(addresses)) == 4


def test_up_again_is_harmless(running):
    """Up on a running cloud gives the same daemon."""
    pid = running.pid()
    assert running.up().pid == pid == os.getpgid(pid)


def test_every_cluster_of_the_kubeconfig_answers(running):
    """Kubectl reaches each context, with a server version."""
    contexts = yaml.safe_load(control.kubeconfig(running.state).read_text())["contexts"]
    assert [entry["name"] for entry in contexts] == ["hunt-config", "gpu-us-central1"]
    for entry in contexts:
        answer = running.kubectl("get", "namespace", "default", "-o", "name", context=entry["name"])
        assert answer.stdout.strip() == "namespace/default", answer.stderr


def test_the_admin_endpoint_wants_its_token(running):
    """Without the token nothing is done; the token's file is for its owner only."""
    port = json.loads((running.state / "daemon.json").read_text())["admin_port"]
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/stock", data=b"{}", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    with caught.value as answer:
        assert answer.code == 401
    for name in ("admin-token", "kubeconfig", "credentials.json"):
        assert (running.state / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        pytest.param("no-such", {}, "unknown command", id="unknown-command"),
        pytest.param("region-down", {"region": "mars"}, "unknown region", id="unknown-region"),
        pytest.param("region-down", {}, "region", id="missing-argument"),
        pytest.param("stock-out", {"region": "us-central1", "accelerator": "gtx"}, "unknown accelerator", id="gpu"),
        pytest.param("fault-add", {"endpoint": "x", "kind": "hang"}, "unknown endpoint", id="endpoint"),
        pytest.param("fault-add", {"endpoint": "*", "kind": "rain"}, "unknown kind", id="fault-kind"),
        pytest.param("set-delays", {"boot": -1}, "delay boot", id="negative-delay"),
        pytest.param("set-delays", {"boots": 1}, "unknown delay", id="unknown-delay"),
        pytest.param("clock-offset", {"seconds": 1e12}, "not a usable offset", id="offset"),
        pytest.param("preempt", {"region": "us-central1", "count": 0}, "less than 1", id="count"),
    ],
)
def test_a_wrong_wish_is_one_line(running, command, arguments, says):
    """Each command says in one line what is wrong with its arguments."""
    with pytest.raises(LocalCloudError, match=says) as caught:
        control.call(running.state, command, **arguments)
    assert "\n" not in str(caught.value)


def test_a_region_falls_and_comes_back(running):
    """While it is down its API never answers and its Pods are gone; afterwards its workloads run again."""
    running.deploy()
    control.call(running.state, "region-down", region="us-central1")
    began = time.monotonic()
    dark = running.kubectl("get", "pods", "--request-timeout=1s")
    assert dark.returncode != 0
    assert time.monotonic() - began >= 0.9
    assert running.kubectl("get", "namespaces", context="hunt-config").returncode == 0
    statuses = {c.name: (c.status, c.pods) for c in control.status(running.state).clusters}
    assert statuses["gpu-us-central1"] == ("DOWN", 0)
    control.call(running.state, "region-up", region="us-central1")
    again = running.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    assert again.returncode == 0, again.stdout + again.stderr


def test_logs_and_their_end_are_seen_by_kubectl(running):
    """Kubectl logs gives the container's output, with times when asked."""
    pod = ["run", "say", "--image=busybox", "--restart=Never", "--command", "--", "sh", "-c", "echo one; echo two"]
    assert running.kubectl(*pod).returncode == 0
    done = running.kubectl("wait", "pod/say", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s")
    assert done.returncode == 0, done.stderr
    assert running.kubectl("logs", "say").stdout == "one\ntwo\n"
    assert running.kubectl("logs", "-f", "--tail=1", "say").stdout == "two\n"
    stamped = running.kubectl("logs", "--timestamps", "say").stdout.splitlines()
    assert [line.split(" ")[1] for line in stamped] == ["one", "two"]


def test_a_mistake_in_an_argument_is_told_apart_from_a_cloud_that_cannot_be_used(running):
    """Clearing the faults of an endpoint that is not there is refused with those there are, as the caller's mistake."""
    with pytest.raises(RefusedError, match="use gcp"):
        control.call(running.state, "fault-clear", endpoint="nowhere")


def test_faults_are_listed_and_cleared(running):
    """A fault hits its endpoint until it is cleared."""
    control.call(running.state, "fault-add", endpoint="gpu-us-central1", kind="500", path="/api/v1/nodes")
    assert running.kubectl("get", "nodes").returncode != 0
    assert [fault["kind"] for fault in control.call(running.state, "faults")["faults"]] == ["500"]
    assert control.call(running.state, "fault-clear", endpoint="gpu-us-central1") == {"cleared": 1}
    assert running.kubectl("get", "nodes").returncode == 0
