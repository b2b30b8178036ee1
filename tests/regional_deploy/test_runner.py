"""What runs the reconciler: every value in its place, nothing of another project left, restricted Pod security."""

import json
import shlex

import pytest
import yaml

from controlplane.cli.app import run
from regional_deploy.runner import (
    Runner,
    cloud_run_job,
    inbox_commands,
    inbox_service,
    inbox_trigger,
    permissions,
    rights,
    trigger,
    trigger_command,
    watcher,
)

RUNNER = Runner(
    project="my-project",
    config_cluster="us-west2/hunt-config",
    image="us-west1-docker.pkg.dev/my-project/r/reconciler@sha256:abc",
    region="us-west1",
    service_account="hunter@my-project.iam.gserviceaccount.com",
    schedule="*/2 * * * *",
)
PLACEHOLDERS = ("PROJECT", "LOCATION", "REGION", "VERSION", "BUCKET")


def texts(value):
    """Give every string in a structure, keys aside."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize(
    "rendered",
    [
        cloud_run_job(RUNNER),
        trigger(RUNNER),
        inbox_service(RUNNER),
        inbox_trigger(RUNNER, "art", "us"),
        *watcher(RUNNER),
        *rights("member", RUNNER.service_account),
    ],
    ids=lambda document: document.get("kind", "trigger"),
)
def test_no_placeholder_is_left(rendered):
    """All that the files leave open is filled in."""
    assert [
        text for text in texts(rendered) if any(word in text.replace("GPUHUNTER_PROJECT", "") for word in PLACEHOLDERS)
    ] == []


def test_the_job_is_one_pass_that_nobody_repeats_at_once():
    """One task, no retries (the next minute is the retry), and a time-out that a pass stays below."""
    job = cloud_run_job(RUNNER)
    assert (job["apiVersion"], job["kind"]) == ("run.googleapis.com/v1", "Job")
    execution = job["spec"]["template"]["spec"]
    task = execution["template"]["spec"]
    (container,) = task["containers"]
    assert (execution["parallelism"], execution["taskCount"], task["maxRetries"]) == (1, 1, 0)
    assert container["command"] == ["python", "-m", "controlplane"]
    assert container["args"][0] == "reconcile"
    deadline = int(container["args"][container["args"].index("--deadline") + 1])
    assert deadline + 10 < int(task["timeoutSeconds"])
    assert container["image"] == RUNNER.image
    assert task["serviceAccountName"] == RUNNER.service_account
    assert {each["name"]: each["value"] for each in container["env"]} == {
        "GPUHUNTER_PROJECT": "my-project",
        "GPUHUNTER_CONFIG_CLUSTER": "us-west2/hunt-config",
    }


def test_the_trigger_starts_that_job_with_an_access_token_and_never_retries():
    """The address names project, region and job; OAuth, since it is one of Google's own APIs."""
    found = trigger(RUNNER)
    target = found["httpTarget"]
    name = cloud_run_job(RUNNER)["metadata"]["name"]
    assert target["uri"] == f"https://run.googleapis.com/v2/projects/my-project/locations/us-west1/jobs/{name}:run"
    assert target["oauthToken"]["serviceAccountEmail"] == RUNNER.service_account
    assert "oidcToken" not in target
    assert found["retryConfig"] == {"retryCount": 0}
    assert found["schedule"] == RUNNER.schedule


def test_the_command_for_the_trigger_says_what_the_file_says():
    """Every value of the file is a flag of the gcloud command."""
    flags = dict(word.removeprefix("--").split("=", 1) for word in trigger_command(RUNNER) if word.startswith("--"))
    found = trigger(RUNNER)
    assert flags["uri"] == found["httpTarget"]["uri"]
    assert flags["schedule"] == found["schedule"]
    assert flags["max-retry-attempts"] == "0"
    assert flags["oauth-service-account-email"] == RUNNER.service_account


def test_uploads_call_a_service_that_runs_what_the_command_line_has():
    """The trigger names the service and its region, and only this bucket's uploads; the arguments are a command's."""
    service, found = inbox_service(RUNNER), inbox_trigger(RUNNER, "my_art.pictures", "us")
    (container,) = service["spec"]["template"]["spec"]["containers"]
    assert found["destination"]["cloudRun"] == {
        "service": service["metadata"]["name"],
        "region": "us-west1",
        "path": "/",
    }
    assert found["name"] == "projects/my-project/locations/us/triggers/gpu-hunter-inbox-my-art-pictures"
    assert {each["attribute"]: each["value"] for each in found["eventFilters"]} == {
        "type": "google.cloud.storage.object.v1.finalized",
        "bucket": "my_art.pictures",
    }
    assert service["metadata"]["annotations"]["run.googleapis.com/ingress"] == "internal"
    assert run([*container["args"], "--help"]) == 0


def test_the_commands_for_uploads_grant_before_they_make():
    """Whoever publishes, receives, calls and reads may; the trigger itself comes last, with what the file says."""
    *grants, make = inbox_commands(RUNNER, "art", "us", "agent@x")
    roles = [word.rpartition("/")[2] for grant in grants for word in grant if word.startswith("--role=")]
    assert roles == ["pubsub.publisher", "eventarc.eventReceiver", "run.invoker", "storage.objectUser"]
    assert make[:5] == ["gcloud", "eventarc", "triggers", "create", "gpu-hunter-inbox-art"]
    assert "--event-filters=bucket=art" in make


@pytest.mark.parametrize(("bucket", "location", "field"), [("gs://art", "us", "bucket"), ("art", "US", "location")])
def test_a_trigger_for_no_bucket_is_refused(bucket, location, field):
    """The field, what is wrong, and what to give."""
    with pytest.raises(ValueError, match=rf"^{field}: .*; give"):
        inbox_trigger(RUNNER, bucket, location)


def test_what_watches_meets_the_restricted_standard():
    """No root, no privileges, no capabilities, a read-only root, the runtime's seccomp profile, no mounted token."""
    namespace, account, *_, deployment = watcher(RUNNER)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert account["automountServiceAccountToken"] is pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert {key for volume in pod["volumes"] for key in volume} == {"name", "emptyDir"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


def test_what_watches_acts_as_the_service_account_of_the_job():
    """One account, one set of rights: the Pod is that Google account, and the binding names it."""
    _, account, role, binding, deployment = watcher(RUNNER)
    assert account["metadata"]["annotations"]["iam.gke.io/gcp-service-account"] == RUNNER.service_account
    assert [subject["name"] for subject in binding["subjects"]] == [RUNNER.service_account]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    template = deployment["spec"]["template"]
    assert template["spec"]["serviceAccountName"] == account["metadata"]["name"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_the_permissions_of_the_role_can_be_read():
    """They are names of Google's, each once."""
    assert "container.clusters.list" in permissions()
    assert len(set(permissions())) == len(permissions())


def test_rendering_changes_no_file_for_the_next():
    """Each call gives structures of its own."""
    cloud_run_job(RUNNER)["spec"] = None
    assert cloud_run_job(RUNNER)["spec"]


OPTIONS = ["--project", "my-project", "--config-cluster", "us-west2/hunt-config", "runner"]


def test_the_command_line_prints_what_gcloud_and_kubectl_take(capsys):
    """YAML by default, the region of the config cluster, the usual account's name."""
    assert run([*OPTIONS, "job", "--image", "i:1"]) == 0
    job = yaml.safe_load(capsys.readouterr().out)
    assert job["metadata"]["labels"]["cloud.googleapis.com/location"] == "us-west2"
    assert run([*OPTIONS, "trigger", "--region", "us-west1", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "projects/my-project/locations/us-west1/jobs/gpu-hunter"
    assert run([*OPTIONS, "trigger", "--command"]) == 0
    words = shlex.split(capsys.readouterr().out)
    assert words[:5] == ["gcloud", "scheduler", "jobs", "create", "http"]
    assert run([*OPTIONS, "watch", "--image", "i:1"]) == 0
    kinds = [document["kind"] for document in yaml.safe_load_all(capsys.readouterr().out)]
    assert kinds == ["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Deployment"]


@pytest.mark.parametrize("cluster", ["config-cluster", "member"])
def test_the_rights_are_printed_bound_to_the_account(cluster, capsys):
    """The role as it stands in `rbac/`, for whoever is named, without needing a config cluster's name."""
    assert run(["--project", "my-project", "runner", "rights", cluster]) == 0
    role, binding = yaml.safe_load_all(capsys.readouterr().out)
    assert role["metadata"]["name"] == f"gpu-hunter-{cluster}"
    assert binding["subjects"][0]["name"] == "gpu-hunter@my-project.iam.gserviceaccount.com"
    assert run(["--project", "my-project", "runner", "rights", cluster, "--service-account", "me@x.example"]) == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out))[1]["subjects"][0]["name"] == "me@x.example"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param([*OPTIONS, "job", "--image", "i"], "--image", id="no-version"),
        pytest.param([*OPTIONS, "job", "--image", "i:1", "--region", "US West"], "--region", id="region"),
        pytest.param([*OPTIONS, "job", "--image", "i:1", "--service-account", "me"], "--service-account", id="account"),
        pytest.param([*OPTIONS, "trigger", "--schedule", "always"], "--schedule", id="schedule"),
        pytest.param(["--project", "My Project", *OPTIONS[2:], "trigger"], "--project", id="project"),
        pytest.param(["runner", "trigger"], "--project", id="no-project"),
        pytest.param(["runner", "rights", "member"], "--project", id="rights-in-no-project"),
    ],
)
def test_what_cannot_be_rendered_is_one_line(arguments, expected, capsys, monkeypatch):
    """The option and its remedy, and exit code 64."""
    monkeypatch.delenv("GPUHUNTER_PROJECT", raising=False)
    assert run(arguments) == 64
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
