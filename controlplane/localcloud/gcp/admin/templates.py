"""What a Cloud Run job runs: the template as it is checked and filled in when a job is made.

Source: https://cloud.google.com/run/docs/reference/rest/v2/TaskTemplate; limits: https://cloud.google.com/run/quotas.
"""

import re
from collections.abc import Mapping
from typing import Any

from controlplane.localcloud.gcp.admin.calls import Document
from controlplane.localcloud.gcp.errors import GoogleError, invalid

_LONGEST_SECONDS = 7 * 24 * 3600
_MOST_TASKS = 10000
_MOST_RETRIES = 10
_RESERVED = (
    "CLOUD_RUN_JOB",
    "CLOUD_RUN_EXECUTION",
    "CLOUD_RUN_TASK_INDEX",
    "CLOUD_RUN_TASK_ATTEMPT",
    "CLOUD_RUN_TASK_COUNT",
)
_DEFAULT_LIMITS = {"cpu": "1000m", "memory": "512Mi"}


def checked(template: Mapping[str, Any], account: str) -> Document:
    """Give the whole template of a job; `account` is who it runs as when it does not say."""
    task: Mapping[str, Any] = template.get("template") or {}
    containers = list(task.get("containers") or [])
    if len(containers) != 1:
        raise invalid(
            "Violation in CreateJobRequest.job.template.template.containers: exactly one container is needed."
        )
    count = _whole(template.get("taskCount", 1), "template.task_count", 1, _MOST_TASKS)
    return {
        **template,
        "taskCount": count,
        "parallelism": _whole(template.get("parallelism", 0), "template.parallelism", 0, count) or count,
        "template": {
            **task,
            "containers": [_container(containers[0])],
            "maxRetries": _whole(task.get("maxRetries", 3), "template.template.max_retries", 0, _MOST_RETRIES),
            "timeout": _timeout(str(task.get("timeout") or "600s")),
            "serviceAccount": task.get("serviceAccount") or account,
            "executionEnvironment": task.get("executionEnvironment") or "EXECUTION_ENVIRONMENT_GEN2",
        },
    }


def _container(container: Mapping[str, Any]) -> Document:
    if not container.get("image"):
        raise invalid("Violation in CreateJobRequest.job.template.template.containers[0].image: must be set.")
    for each in container.get("env") or ():
        if "valueSource" in each:
            raise GoogleError("UNIMPLEMENTED", "The local cloud has no Secret Manager; give the variable a value.")
        if each.get("name") in _RESERVED:
            raise invalid(f"The following reserved env names were provided: {each['name']}.")
    resources = container.get("resources") or {}
    limits = {**_DEFAULT_LIMITS, **(resources.get("limits") or {})}
    return {**container, "resources": {**resources, "limits": limits}}


def _timeout(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?s", text) or not 0 < float(text[:-1]) <= _LONGEST_SECONDS:
        raise invalid(f"Violation in job.template.template.timeout: {text} is not between 1s and {_LONGEST_SECONDS}s.")
    return text


def _whole(value: object, name: str, least: int, most: int) -> int:
    if not str(value).isdigit() or not least <= int(str(value)) <= most:
        raise invalid(f"Violation in job.{name}: {value} is not between {least} and {most}.")
    return int(str(value))
