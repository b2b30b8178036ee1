"""Fills the files that run the reconciler itself: the Cloud Run job and its trigger, or the Deployment that watches.

As with a placement's manifests, the files in `project/` are complete and readable, and every value is put where it
belongs in the parsed object. The rights are those of `rbac/`, bound to the project's service account.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

Json = dict[str, Any]
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PROJECT = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9-]*@[a-z0-9.:-]+\.gserviceaccount\.com")
_BUCKET = re.compile(r"[a-z0-9][-_.a-z0-9]{1,61}[a-z0-9]")
_CRON = re.compile(r"\S+( \S+){4}")


@dataclass(frozen=True, slots=True)
class Runner:
    """What differs between projects. region: of the Cloud Run job. service_account: its email address.

    Raises ValueError with `field: what is wrong; what to do`.
    """

    project: str
    config_cluster: str
    image: str
    region: str
    service_account: str
    schedule: str = "* * * * *"

    def __post_init__(self) -> None:
        checks = (
            ("project", _PROJECT.fullmatch(self.project), "is no project id; give the id, not the number or the name"),
            ("config-cluster", self.config_cluster.count("/") == 1, "is not LOCATION/NAME; give it in that form"),
            ("image", re.fullmatch(r"\S+[:@]\S+", self.image), "names no version; add :TAG or @sha256:DIGEST"),
            ("region", _NAME.fullmatch(self.region), "is no region; give one such as us-west1"),
            ("service-account", _ACCOUNT.fullmatch(self.service_account), "is no service account's email; give that"),
            ("schedule", _CRON.fullmatch(self.schedule), 'is no cron schedule; give five fields such as "* * * * *"'),
        )
        for field, fits, wrong in checks:
            if not fits:
                raise ValueError(f'{field}: "{getattr(self, field.replace("-", "_"))}" {wrong}')


@cache
def _text(folder: str, name: str) -> str:
    return resources.files("regional_deploy").joinpath(folder, f"{name}.yaml").read_text("utf-8")


@cache
def _parsed(folder: str, name: str) -> tuple[Json, ...]:
    return tuple(document for document in yaml.safe_load_all(_text(folder, name)) if document is not None)


def _documents(folder: str, name: str) -> list[Json]:
    """Give the documents of a file, as structures of one's own."""
    return deepcopy(list(_parsed(folder, name)))


def cloud_run_job(runner: Runner) -> Json:
    """Render the Cloud Run job, `run.googleapis.com/v1`."""
    (job,) = _documents("project", "cloud-run-job")
    job["metadata"]["labels"]["cloud.googleapis.com/location"] = runner.region
    task = job["spec"]["template"]["spec"]["template"]["spec"]
    task["serviceAccountName"] = runner.service_account
    _fill_container(task["containers"][0], runner)
    return job


def cloud_run_job_v2(runner: Runner) -> Json:
    """Render the same job as the Admin API v2 takes it, whose fields are called otherwise."""
    execution = cloud_run_job(runner)["spec"]["template"]["spec"]
    task = execution["template"]["spec"]
    template = {
        "maxRetries": task["maxRetries"],
        "timeout": f"{task['timeoutSeconds']}s",
        "serviceAccount": task["serviceAccountName"],
        "containers": task["containers"],
    }
    return {
        "template": {"parallelism": execution["parallelism"], "taskCount": execution["taskCount"], "template": template}
    }


def cloud_build(image: str, version: str, project: str, account: str) -> Json:
    """Render the build of the reconciler's image, as Cloud Build's REST API takes it, but for its source.

    image: without its tag, which `version` is. account: the email that it runs as.
    """
    (build,) = _documents("project", "cloudbuild")
    del build["substitutions"]
    filled: Json = _substituted(build, {"${_IMAGE}": image, "${_VERSION}": version})
    return {**filled, "serviceAccount": f"projects/{project}/serviceAccounts/{account}"}


def trigger(runner: Runner) -> Json:
    """Render the job of Cloud Scheduler that starts the Cloud Run job, as its REST API takes it."""
    (job,) = _documents("project", "cloud-scheduler-job")
    place = f"projects/{runner.project}/locations/{runner.region}/jobs/gpu-hunter"
    job["name"], job["schedule"] = place, runner.schedule
    job["httpTarget"]["uri"] = f"https://run.googleapis.com/v2/{place}:run"
    job["httpTarget"]["oauthToken"]["serviceAccountEmail"] = runner.service_account
    return job


def trigger_command(runner: Runner) -> list[str]:
    """Give the words of the gcloud command that makes the trigger; gcloud takes no file for it."""
    job = trigger(runner)
    target, token = job["httpTarget"], job["httpTarget"]["oauthToken"]
    return [
        "gcloud", "scheduler", "jobs", "create", "http", job["name"].rpartition("/")[2],
        f"--project={runner.project}",
        f"--location={runner.region}",
        f"--description={job['description']}",
        f"--schedule={job['schedule']}",
        f"--time-zone={job['timeZone']}",
        f"--attempt-deadline={job['attemptDeadline']}",
        f"--max-retry-attempts={job['retryConfig']['retryCount']}",
        f"--uri={target['uri']}",
        f"--http-method={target['httpMethod'].lower()}",
        f"--oauth-service-account-email={token['serviceAccountEmail']}",
        f"--oauth-token-scope={token['scope']}",
    ]  # fmt: skip


def inbox_service(runner: Runner) -> Json:
    """Render the Cloud Run service that takes uploads, `serving.knative.dev/v1`."""
    (service,) = _documents("project", "inbox-service")
    service["metadata"]["labels"]["cloud.googleapis.com/location"] = runner.region
    revision = service["spec"]["template"]["spec"]
    revision["serviceAccountName"] = runner.service_account
    _fill_container(revision["containers"][0], runner)
    return service


def inbox_trigger(runner: Runner, bucket: str, location: str) -> Json:
    """Render the trigger of Eventarc that calls it for every upload to a bucket, which lies in that location.

    Raises ValueError as Runner does.
    """
    if not _BUCKET.fullmatch(bucket):
        raise ValueError(f'bucket: "{bucket}" is no bucket; give its name, without gs:// and folder')
    if not _NAME.fullmatch(location):
        raise ValueError(f'location: "{location}" is no location; give the bucket\'s, such as us-west1 or us')
    (trigger,) = _documents("project", "inbox-trigger")
    # A trigger's name has at most 63 letters, and neither dot nor underscore.
    name = re.sub(r"[._]", "-", f"gpu-hunter-inbox-{bucket}")[:63].rstrip("-")
    trigger["name"] = f"projects/{runner.project}/locations/{location}/triggers/{name}"
    trigger["eventFilters"][1]["value"] = bucket
    trigger["serviceAccount"] = runner.service_account
    trigger["destination"]["cloudRun"]["region"] = runner.region
    return trigger


def inbox_commands(runner: Runner, bucket: str, location: str, agent: str) -> list[list[str]]:
    """Give the words of the gcloud commands that make the trigger and grant what it takes, in order.

    agent: of Cloud Storage in the project, which publishes the uploads; `gcloud storage service-agent` prints it.
    """
    trigger = inbox_trigger(runner, bucket, location)
    run, account = trigger["destination"]["cloudRun"], trigger["serviceAccount"]
    project, member = f"--project={runner.project}", f"--member=serviceAccount:{account}"
    filters = [f"--event-filters={each['attribute']}={each['value']}" for each in trigger["eventFilters"]]
    return [
        ["gcloud", "projects", "add-iam-policy-binding", runner.project, f"--member=serviceAccount:{agent}",
         "--condition=None", "--role=roles/pubsub.publisher"],
        ["gcloud", "projects", "add-iam-policy-binding", runner.project, member, "--condition=None",
         "--role=roles/eventarc.eventReceiver"],
        ["gcloud", "run", "services", "add-iam-policy-binding", run["service"], project, f"--region={run['region']}",
         member, "--role=roles/run.invoker"],
        ["gcloud", "storage", "buckets", "add-iam-policy-binding", f"gs://{bucket}", project, member,
         "--role=roles/storage.objectUser"],
        ["gcloud", "eventarc", "triggers", "create", trigger["name"].rpartition("/")[2], project,
         f"--location={location}", f"--destination-run-service={run['service']}",
         f"--destination-run-region={run['region']}", f"--destination-run-path={run['path']}", *filters,
         f"--service-account={account}"],
    ]  # fmt: skip


def watcher(runner: Runner) -> list[Json]:
    """Render what watches in the config cluster, in the order of applying: namespace, account, rights, Deployment."""
    namespace, account, deployment = _documents("project", "watch")
    account["metadata"]["annotations"]["iam.gke.io/gcp-service-account"] = runner.service_account
    _fill_container(deployment["spec"]["template"]["spec"]["containers"][0], runner)
    return [namespace, account, *rights("config-cluster", runner.service_account), deployment]


def rights(where: str, service_account: str) -> list[Json]:
    """Render the ClusterRole of `config-cluster` or `member` and its binding to the service account."""
    documents = _documents("rbac", where)
    for document in documents:
        for subject in document.get("subjects", ()):
            subject["name"] = service_account
    return documents


def permissions() -> tuple[str, ...]:
    """Give the permissions of the custom IAM role: one for each method that the reconciler calls."""
    return tuple(role_definition()["includedPermissions"])


def role_definition(name: str = "google-cloud-role") -> Json:
    """Give a custom IAM role by its file: title, description, stage, includedPermissions."""
    (role,) = _documents("rbac", name)
    return role


def _substituted(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(name, text)
        return value
    if isinstance(value, list):
        return [_substituted(each, values) for each in value]
    return {key: _substituted(each, values) for key, each in value.items()} if isinstance(value, dict) else value


def growth_permissions() -> tuple[str, ...]:
    """Give those that clusters on demand take besides, in a role of their own that only who wants them grants."""
    (role,) = _documents("rbac", "google-cloud-role-growth")
    return tuple(role["includedPermissions"])


def _fill_container(container: Json, runner: Runner) -> None:
    container["image"] = runner.image
    values = {"GPUHUNTER_PROJECT": runner.project, "GPUHUNTER_CONFIG_CLUSTER": runner.config_cluster}
    container["env"] = [{**each, "value": values.get(each["name"], each["value"])} for each in container["env"]]
