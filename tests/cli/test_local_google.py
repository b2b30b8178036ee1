"""A project of the local cloud, used from outside: the hunter as a Cloud Run job that runs by the clock, and gcloud."""

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import yaml

from controlplane.bench.world import small
from controlplane.demo.stage import local_target
from controlplane.localcloud import control
from controlplane.wiring import build
from regional_deploy.runner import Runner, cloud_run_job, permissions, rights, trigger

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
KUBECTL = str(Path(sys.executable).with_name("kubectl"))
ROOT = Path(__file__).parents[2]


class Cloud:
    """A running local cloud, and REST calls as its owner."""

    def __init__(self, folder):
        self.state = folder / "cloud"
        scenario = folder / "scenario.yaml"
        scenario.write_text(yaml.safe_dump(small()))
        control.up(self.state, scenario)
        found = self.found = control.connection(self.state)
        self.url, self.project = found.endpoints["run"], f"projects/{found.project}"
        self.region = f"{self.project}/locations/us-west2"
        self.hunter = f"gpu-hunter@{found.project}.iam.gserviceaccount.com"
        owner = json.loads(found.credentials_file.read_text())["client_email"]
        self.token = control.call(self.state, "token", account=owner)["token"]

    def ask(self, verb, path, body=None):
        headers = {"Authorization": f"Bearer {self.token}"}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                verb, f"{self.url}/{path}", json=body, headers=headers, verify=str(self.found.ca_file), timeout=20
            )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finished(self, version, operation):
        """Poll an operation as every client does."""
        for _ in range(4800):
            if operation.get("done"):
                assert "error" not in operation, operation["error"]
                return operation["response"]
            time.sleep(0.05)
            operation = self.ask("GET", f"{version}/{operation['name']}")
        raise AssertionError(operation)

    def bind(self, version, resource, role):
        policy = self.ask("POST" if resource == self.project else "GET", f"{version}/{resource}:getIamPolicy")
        policy.setdefault("bindings", []).append({"role": role, "members": [f"serviceAccount:{self.hunter}"]})
        self.ask("POST", f"{version}/{resource}:setIamPolicy", {"policy": policy})

    def environment(self):
        """Give what `local gcloud` prints, as a shell that evaluates it would have it."""
        command = [sys.executable, "-m", "controlplane", "local", "gcloud"]
        given = {**os.environ, "GPUHUNTER_LOCAL_DIR": str(self.state)}
        printed = subprocess.run(command, capture_output=True, text=True, check=True, env=given, cwd=ROOT).stdout
        script = f"{printed}\nexec env -0"
        lines = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split("\0")
        return dict(line.split("=", 1) for line in lines if line)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    folder = tmp_path_factory.mktemp("google")
    try:
        yield Cloud(folder)
    finally:
        control.reset(folder / "cloud")


def v2_template(job):
    """Give the v2 template of a job that is written in v1, as gcloud's `run jobs replace` has the service do."""
    execution = job["spec"]["template"]["spec"]
    task = execution["template"]["spec"]
    return {
        "parallelism": execution["parallelism"],
        "taskCount": execution["taskCount"],
        "template": {
            "containers": task["containers"],
            "serviceAccount": task["serviceAccountName"],
            "timeout": f"{task['timeoutSeconds']}s",
            "maxRetries": task["maxRetries"],
        },
    }


def test_the_scheduler_starts_a_pass_that_needs_no_more_than_its_role(cloud):
    """From an account and a role to a pass: built, made a job, fired, run with the metadata server's credentials.

    The pass ends well, and every permission that it needed is one of its role's.
    """
    image = f"us-west2-docker.pkg.dev/{cloud.found.project}/gpu-hunter/reconciler:v1"
    runner = Runner(cloud.found.project, cloud.found.config_cluster, image, "us-west2", cloud.hunter)
    build(local_target(cloud.state)).apply([])
    cloud.ask("POST", f"v1/{cloud.project}/serviceAccounts", {"accountId": "gpu-hunter"})
    role = {"title": "GPU Hunter", "stage": "GA", "includedPermissions": list(permissions())}
    cloud.ask("POST", f"v1/{cloud.project}/roles", {"roleId": "gpuHunter", "role": role})
    cloud.bind("v1", cloud.project, f"{cloud.project}/roles/gpuHunter")
    made = cloud.ask("POST", f"v1/{cloud.region}/repositories?repositoryId=gpu-hunter", {"format": "DOCKER"})
    cloud.finished("v1", made)
    steps = [{"name": "gcr.io/cloud-builders/docker", "args": ["build", "-t", image, "."]}]
    control.call(cloud.state, "build-fail", why="no space left")
    failed = cloud.ask("POST", f"v1/{cloud.region}/builds", {"steps": steps, "images": [image]})
    with pytest.raises(AssertionError, match="no space left"):
        cloud.finished("v1", failed)
    built = cloud.ask("POST", f"v1/{cloud.region}/builds", {"steps": steps, "images": [image]})
    assert cloud.finished("v1", built)["status"] == "SUCCESS"
    body = {"template": v2_template(cloud_run_job(runner))}
    cloud.finished("v2", cloud.ask("POST", f"v2/{cloud.region}/jobs?jobId=gpu-hunter", body))
    cloud.bind("v2", f"{cloud.region}/jobs/gpu-hunter", "roles/run.invoker")
    for cluster in control.status(cloud.state).clusters:
        where = "config-cluster" if cluster.role == "config" else "member"
        manifests = yaml.safe_dump_all(rights(where, cloud.hunter))
        command = [KUBECTL, "--kubeconfig", control.kubeconfig(cloud.state), "--context", cluster.name]
        applied = subprocess.run(
            [*command, "apply", "-f", "-"], input=manifests, capture_output=True, text=True, check=False
        )
        assert applied.returncode == 0, applied.stderr
    fired = trigger(runner)
    cloud.ask("POST", f"v1/{cloud.region}/jobs", fired)
    cloud.ask("POST", f"v1/{fired['name']}:pause")
    cloud.ask("POST", f"v1/{fired['name']}:run")
    for _ in range(4800):
        executions = control.call(cloud.state, "executions")["executions"]
        if executions and "completionTime" in executions[0]:
            break
        time.sleep(0.05)
    (execution,) = executions
    (log,) = execution["logs"]
    said = Path(log).read_text()
    assert (execution["creator"], execution["succeededCount"]) == (cloud.hunter, 1), said
    assert '"message": "pass done"' in said
    used = control.call(cloud.state, "permissions", account=cloud.hunter)["permissions"]
    assert {each["permission"] for each in used if not each["granted"]} == set()
    assert {"container.clusters.list", "compute.regions.list", "run.jobs.run"} <= {each["permission"] for each in used}


def test_what_is_printed_for_gcloud_leads_to_this_cloud_alone(cloud):
    """Every API's override answers under the authority that is named, and nothing else is trusted before it."""
    variables = cloud.environment()
    overrides = {key: value for key, value in variables.items() if key.startswith("CLOUDSDK_API_ENDPOINT_OVERRIDES_")}
    assert {"/".join(value.split("/", 3)[:3]) for value in overrides.values()} == {cloud.url}
    assert Path(variables["CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"]) == cloud.found.ca_file
    assert not {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} & set(variables)
    assert variables["CLOUDSDK_CONFIG"].startswith(str(cloud.state))
    assert variables["KUBECONFIG"].startswith(str(cloud.state))


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not installed")
def test_the_real_gcloud_reads_this_cloud(cloud):
    """Clusters, credentials with which kubectl works, GPU types, a region's quotas, the fleet's memberships."""
    env = cloud.environment()

    def gcloud(*words):
        ran = subprocess.run(["gcloud", *words, "--format=json"], capture_output=True, text=True, env=env, check=False)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout) if ran.stdout.strip() else None

    calls = (
        ("container", "clusters", "list"),
        ("compute", "accelerator-types", "list"),
        ("compute", "regions", "describe", "us-central1"),
        ("container", "fleet", "memberships", "list"),
        ("container", "clusters", "get-credentials", "gpu-us-central1", "--location=us-central1"),
    )
    with ThreadPoolExecutor(2) as pool:
        clusters, types, region, members, _ = pool.map(lambda words: gcloud(*words), calls)
    names = {each.name for each in control.status(cloud.state).clusters}
    assert {each["name"] for each in clusters} == names
    assert {"nvidia-l4", "nvidia-tesla-t4"} <= {each["name"] for each in types}
    assert {"limit": 16.0, "metric": "NVIDIA_L4_GPUS", "usage": 0.0} in region["quotas"]
    assert {each["name"].rpartition("/")[2] for each in members} == names
    if shutil.which("gke-gcloud-auth-plugin") is not None:
        ran = subprocess.run([KUBECTL, "get", "ns", "-o", "name"], capture_output=True, text=True, env=env, check=False)
        assert "namespace/kube-system" in ran.stdout, ran.stderr
