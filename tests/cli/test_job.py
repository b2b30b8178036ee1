"""The Cloud Run job's very command against a local cloud, in an environment such as Cloud Run's."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from controlplane.bench.world import service, small
from controlplane.demo.stage import local_target
from controlplane.gateways.access import GoogleAccess, Project
from controlplane.localcloud import control
from controlplane.localcloud.metadata import MetadataServer
from controlplane.wiring import build
from regional_deploy.runner import Runner, cloud_run_job

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
PATIENCE = 120.0  # seconds; waited for only where something is wrong
OTHERS = ("gkehub", "serviceusage", "cloudresourcemanager")
ROOT = Path(__file__).parents[2]


class Cloud:
    """A local cloud, and the job that Cloud Run would run for it."""

    def __init__(self, folder):
        self.state = folder / "cloud"
        scenario = folder / "scenario.yaml"
        scenario.write_text(yaml.safe_dump(small()))
        control.up(self.state, scenario)
        self.found = control.connection(self.state)
        self.app = build(local_target(self.state))
        self.app.apply([service(2, 1)])
        self.tried, self.command, self.begun = 0, [], []

    def call(self, command, **arguments):
        return control.call(self.state, command, **arguments)

    def lease(self):
        return self.app._config.open().read_lease("gpu-hunter", "gpu-hunter")

    def holder(self):
        lease = self.lease()
        return lease["spec"]["holderIdentity"] if lease else ""

    def forget_lease(self):
        """Do what waiting for the lease's end does."""
        lease = self.lease()
        self.app._config.open().replace_lease({**lease, "spec": {**lease["spec"], "holderIdentity": ""}})

    def environment(self):
        """Give what Cloud Run gives, and where the APIs are."""
        self.tried += 1
        job = cloud_run_job(
            Runner(self.found.project, self.found.config_cluster, "i:1", "us-west1", "x@p.iam.gserviceaccount.com")
        )
        (container,) = job["spec"]["template"]["spec"]["template"]["spec"]["containers"]
        self.command = self.command or [sys.executable, *container["command"][1:], *container["args"]]
        url = self.found.endpoints["compute"]
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "CLOUD_RUN_JOB": job["metadata"]["name"],
            "CLOUD_RUN_EXECUTION": f"{job['metadata']['name']}-{self.tried}",
            "CLOUD_RUN_TASK_INDEX": "0",
            "CLOUD_RUN_TASK_COUNT": "1",
            "CLOUD_RUN_TASK_ATTEMPT": "0",
            **{each["name"]: each["value"] for each in container["env"]},
            "GPUHUNTER_PRICES": str(self.found.prices_file),
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(self.found.ca_file),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER": f"{url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{url}/compute/v1/",
            **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{url}/" for api in OTHERS},
        }

    def start(self, **more):
        environment = {**self.environment(), "GOOGLE_APPLICATION_CREDENTIALS": str(self.found.credentials_file), **more}
        environment = {name: value for name, value in environment.items() if value}
        process = subprocess.Popen(
            self.command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.begun.append(process)
        return process

    def until_held(self, process):
        """Wait until a process holds the lease; give the name that it holds it under."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if holder := self.holder():
                return holder
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        raise AssertionError("the job took no lease")

    def clean(self):
        """End what a test that failed left behind, so that the next one fails or not by itself."""
        self.call("fault-clear")
        while self.begun:
            process = self.begun.pop()
            if process.poll() is None:
                process.kill()
                process.communicate()
        if self.holder():
            self.forget_lease()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    with ExitStack() as ends:
        ends.callback(control.reset, folder / "cloud")
        yield Cloud(folder)


@pytest.fixture
def cloud(shared):
    """Give the local cloud without faults, and without a run that holds the lease."""
    shared.clean()
    shared.command = []
    yield shared
    shared.clean()


def finished(process):
    """Give exit code and log lines; every line that was written is one for Cloud Logging."""
    out, err = process.communicate(timeout=PATIENCE)
    assert err == ""
    return process.returncode, [json.loads(line) for line in out.splitlines()]


def summary(lines):
    (found,) = [line for line in lines if line["message"] == "pass done"]
    return found


@contextmanager
def metadata(cloud):
    """Give the environment of a process whose credentials come from the metadata server, as on Cloud Run."""
    access = GoogleAccess(Project(cloud.found.project, {}, cloud.found.credentials_file, cloud.found.ca_file))
    email = json.loads(cloud.found.credentials_file.read_text())["client_email"]
    with MetadataServer(cloud.found.project, email, access.token) as server:
        yield {"GOOGLE_APPLICATION_CREDENTIALS": "", **server.environment}, server


def test_the_job_makes_a_pass_and_speaks_as_cloud_logging_reads(cloud):
    """With the credentials of the metadata server: a pass, its lease given back, every line with trace and labels."""
    with metadata(cloud) as (environment, server):
        code, lines = finished(cloud.start(**environment))
    assert any(path.endswith("/token") for path in server.asked)
    assert code in (0, 2)
    project, execution = cloud.found.project, f"gpu-hunter-{cloud.tried}"
    for line in lines:
        assert {"severity", "message", "time"} <= set(line)
        assert line["logging.googleapis.com/trace"].startswith(f"projects/{project}/traces/")
        assert line["logging.googleapis.com/labels"]["run.googleapis.com/execution_name"] == execution
    done = summary(lines)
    assert done["exit_code"] == code
    assert done["run_id"].startswith(f"{execution}/0/0-")
    assert cloud.holder() == ""


def test_passes_of_the_job_reach_the_goal(cloud):
    """One process after the other, with a key file: state lives in the cluster, and the last one has nothing to do.

    A pass that only waits for its Pods has nothing to do either, so it is asked again until they serve.
    """
    until = time.monotonic() + 2 * PATIENCE
    while True:
        code, lines = finished(cloud.start())
        done = summary(lines)
        serving = any("2/2 serving" in text for text in done["services"].values())
        if (code == 0 and serving and not done["actions"]) or time.monotonic() > until:
            break
    assert (code, done["severity"]) == (0, "INFO")
    assert serving
    assert not done["actions"]


@pytest.mark.parametrize(
    ("endpoint", "path", "given_back"),
    [
        pytest.param("gpu-us-central1", "", True, id="a-member-hangs"),
        pytest.param("hunt-config", "multicluster", True, id="the-config-cluster-hangs-in-a-list"),
        pytest.param("hunt-config", "multicluster", False, id="nothing-of-the-config-cluster-answers"),
    ],
)
def test_sigterm_ends_a_pass_that_hangs_and_the_lease_is_given_back(cloud, endpoint, path, given_back):
    """Exit code 4, the lease free where the config cluster still answers, and valid lines.

    What it waits for until then is bounded, so that Cloud Run need not kill it: the engine's own tests show that.
    """
    cloud.call("fault-add", endpoint=endpoint, kind="hang", path=path)
    process = cloud.start()
    cloud.until_held(process)
    time.sleep(0.3)
    if not given_back:
        cloud.call("fault-add", endpoint=endpoint, kind="hang", methods=["PUT"], path="leases")
    process.send_signal(signal.SIGTERM)
    code, lines = finished(process)
    assert code == 4
    assert any("asked to stop" in str(line) or line.get("exit_code") == 4 for line in lines)
    if given_back:
        assert cloud.holder() == ""
    else:
        cloud.call("fault-clear")
        assert cloud.lease()["spec"]["leaseDurationSeconds"] < 60, "the next minute's run finds it run out"
        cloud.forget_lease()


def fired_twice(cloud):
    """Start a second run while the first stands still with the lease; give first, holder, second's end, and seconds."""
    cloud.clean()
    cloud.call("fault-add", endpoint="hunt-config", kind="latency", path="gpuservices", methods=["GET"], seconds=4)
    first = cloud.start()
    holder = cloud.until_held(first)
    first.send_signal(signal.SIGSTOP)  # it must not be done before the second one looks
    began = time.monotonic()
    try:
        second = finished(cloud.start())
    finally:
        first.send_signal(signal.SIGCONT)
    return first, holder, second, time.monotonic() - began


def test_a_job_that_is_fired_twice_works_once(cloud):
    """The second one finds the lease held, says by whom, and leaves with 0; nothing is made twice."""
    for _ in range(4):
        first, holder, (code, lines), stood = fired_twice(cloud)
        if stood < 30:  # else the lease may have run out before the second one looked, on a busy machine
            break
    assert code == 0
    assert holder in summary(lines)["detail"]
    # Where the second one takes long to start, the first may find its own time over, and gives up in good order.
    assert finished(first)[0] in ((0, 2) if stood < 5 else (0, 2, 4))
    assert cloud.holder() == ""


def test_two_jobs_that_start_at_the_same_instant_do_no_harm(cloud):
    """Whichever is faster works; both leave in good order, and each placement has one Deployment."""
    both = [cloud.start() for _ in range(2)]
    codes = [finished(process)[0] for process in both]
    assert set(codes) <= {0, 2}
    target = build(local_target(cloud.state))
    report = target.run_pass(dry_run=True)
    assert report.strays == ()
    (found,) = report.services
    assert found.decision.counts.serving + found.decision.counts.warming + found.decision.counts.hunting <= 2
    assert cloud.holder() == ""


def examined(cloud, seconds):
    """Give exit code and findings of the doctor, when each check has so long."""
    command = [sys.executable, "-m", "controlplane", "--log-format", "text", "doctor", f"--timeout={seconds}"]
    cloud.command = [*command, "-o", "json"]
    process = cloud.start()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 2), out + err
    return process.returncode, json.loads(out)["findings"]


def test_the_doctor_looks_from_where_the_job_runs(cloud):
    """In the same environment: all is well, also while one region hangs but for that region."""
    code, found = examined(cloud, 60)
    assert (code, [each for each in found if each["state"] == "fail"]) == (0, [])
    cloud.call("fault-add", endpoint="gpu-us-east4", kind="hang")
    for seconds in (10, 60):  # a busy machine's answers may take more than ten
        code, found = examined(cloud, seconds)
        if len([each for each in found if each["check"] == "rbac" and each["state"] == "ok"]) == 4:
            break
    assert code == 2
    assert [each["subject"] for each in found if each["state"] == "fail"] == ["us-east4/gpu-us-east4"]
    assert len([each for each in found if each["check"] == "rbac"]) == 4


def test_a_job_that_cannot_work_fails_in_one_line(cloud):
    """A config cluster that is not there: exit code 64, which no retry helps, as an ERROR that names it."""
    code, lines = finished(cloud.start(GPUHUNTER_CONFIG_CLUSTER="us-west2/nothing"))
    assert code == 64
    assert [line["severity"] for line in lines if "us-west2/nothing" in json.dumps(line)] == ["ERROR"]
