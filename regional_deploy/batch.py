"""Fills the manifest of a batch's Job in one placement, as data structures, as `render.py` does for a service."""

from typing import Any

from controlplane.model import naming
from controlplane.model.batch import BatchSpec, StartJob, runs
from controlplane.model.offering import Offering
from regional_deploy.render import fill_pod, load

Json = dict[str, Any]


def job_name(batch: str, offering: Offering) -> str:
    """Give the name of a placement's Job, the one of a Deployment there; at most 63 characters."""
    return naming.deployment_name(batch, offering.accelerator, offering.capacity)


def job(batch: BatchSpec, start: StartJob, *, fence: int) -> Json:
    """Render the Job that an action starts."""
    manifest, offering = load("job"), start.offering
    labels = naming.job_labels(batch.name, offering)
    order = runs(start.shards)
    manifest["metadata"] = {
        "name": job_name(batch.name, offering),
        "namespace": batch.namespace,
        "labels": labels,
        "annotations": {
            naming.ANNOTATION_SHARDS: order,
            naming.ANNOTATION_FENCE: str(fence),
            naming.ANNOTATION_OWNER_UID: batch.uid,
        },
    }
    body = manifest["spec"]
    body["completions"], body["parallelism"] = len(start.shards), start.workers
    body["backoffLimitPerIndex"] = batch.retries
    body["template"]["metadata"]["labels"] = dict(labels)
    _fill_worker(body["template"]["spec"], batch, start, order)
    return manifest


def _fill_worker(pod: Json, batch: BatchSpec, start: StartJob, order: str) -> None:
    worker, offering = pod["containers"][0], start.offering
    fill_pod(pod, batch.pod, offering)
    if batch.service_account:
        pod["serviceAccountName"] = batch.service_account
    if batch.pod.command:
        worker["command"] = list(batch.pod.command)
    worker["args"] = [
        "render",
        batch.parameters,
        "--out",
        batch.output,
        "--shard-size",
        str(batch.shard_size),
        "--shards",
        order,
        "--shard-index",
        "$(JOB_COMPLETION_INDEX)",  # Kubernetes adds the variable and puts its value here
    ]
    values = {
        "GPU_HUNTER_BATCH": batch.name,
        "GPU_HUNTER_REGION": offering.region,
        "GPU_HUNTER_ACCELERATOR": offering.accelerator.type,
        "GPU_HUNTER_CAPACITY": offering.capacity.value,
    }
    own = {str(variable["name"]) for variable in batch.pod.env}
    told = [v | {"value": values[v["name"]]} if v["name"] in values else v for v in worker["env"]]
    secrets = [
        {"name": item.name, "valueFrom": {"secretKeyRef": {"name": item.secret, "key": item.key}}}
        for item in batch.secrets
    ]
    worker["env"] = [*(v for v in told if v["name"] not in own), *map(dict, batch.pod.env), *secrets]
