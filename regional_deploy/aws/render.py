"""Fills the documents that AWS is given, as data structures: what they say stands in `documents/`, readable as it is.

Every name and ARN follows from the settings, so all of it can be rendered, read and checked before it is made.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from regional_deploy.aws.settings import Settings

Json = dict[str, Any]
CODE = "function/{name}.zip"


@cache
def _text(name: str) -> str:
    return resources.files("regional_deploy.aws").joinpath("documents", f"{name}.yaml").read_text("utf-8")


def _documents(name: str) -> list[Json]:
    return [document for document in yaml.safe_load_all(_text(name)) if document is not None]


def _document(name: str, key: str = "") -> Json:
    (document,) = _documents(name)
    return dict(document[key] if key else document)


def roles(settings: Settings) -> list[Json]:
    """Render the roles. `Policy` and `ManagedPolicies` are attached by calls of their own."""
    resources_of = _resources(settings)
    rendered = _documents("roles")
    for role in rendered:
        policy = role["Policy"]
        for statement in policy["Statement"]:
            statement["Resource"] = resources_of[role["RoleName"], statement["Sid"]]
        policy["Statement"] = [statement for statement in policy["Statement"] if statement["Resource"]]
        role["RoleName"] = f"{settings.name}-{role['RoleName']}"
    return rendered


def _resources(settings: Settings) -> Mapping[tuple[str, str], Any]:
    """Give what each statement of each role is about; an empty list leaves the statement out."""
    bucket, inbox = f"arn:aws:s3:::{settings.bucket}", settings.inbox
    scheme, _, model = settings.model.partition("://")
    models = model.partition("/")[0] if scheme == "s3" else ""
    queue = settings.arn("batch", f"job-queue/{settings.name}")
    definition = settings.arn("batch", f"job-definition/{settings.name}")
    return {
        ("function", "Inbox"): settings.objects(f"{inbox}/*"),
        ("function", "KeepCopies"): settings.objects(f"{inbox}/batches/*"),
        ("function", "List"): bucket,
        ("function", "Submit"): [queue, definition, f"{definition}:*"],
        ("function", "Look"): "*",
        ("function", "Messages"): events_arn(settings),
        ("worker", "Copies"): settings.objects(f"{inbox}/batches/*"),
        ("worker", "Pictures"): settings.objects(f"{settings.output}/*"),
        ("worker", "List"): bucket,
        ("worker", "Model"): [f"arn:aws:s3:::{models}", f"arn:aws:s3:::{models}/*"] if models else [],
        # An ARN may end in which key of a secret is meant; the right is one to the secret.
        ("starter", "Secrets"): sorted({":".join(arn.split(":")[:7]) for arn in settings.secrets.values()}),
    }


def role_arn(settings: Settings, role: str) -> str:
    """Give the ARN of one of the roles."""
    return settings.arn("iam", f"role/{settings.name}-{role}")


def events_arn(settings: Settings) -> str:
    """Give the ARN of the queue of events."""
    return settings.arn("sqs", f"{settings.name}-events")


def rule_arn(settings: Settings) -> str:
    """Give the ARN of the timetable's rule."""
    return settings.arn("events", f"rule/{settings.name}")


def compute_environment(settings: Settings) -> Json:
    """Render where workers run."""
    document = _document("compute-environment")
    document["computeEnvironmentName"] = settings.name
    there = document["computeResources"]
    there["maxvCpus"], there["instanceTypes"] = settings.max_vcpus, list(settings.instance_types)
    there["subnets"], there["securityGroupIds"] = list(settings.subnets), list(settings.security_groups)
    there["instanceRole"] = settings.arn("iam", f"instance-profile/{settings.name}-instance")
    if settings.on_demand:
        there["type"], there["allocationStrategy"] = "EC2", "BEST_FIT_PROGRESSIVE"
    return document


def job_queue(settings: Settings) -> Json:
    """Render the queue of jobs."""
    document = _document("job-queue")
    document["jobQueueName"] = settings.name
    document["computeEnvironmentOrder"][0]["computeEnvironment"] = settings.name
    return document


def job_definition(settings: Settings) -> Json:
    """Render the worker."""
    document = _document("job-definition")
    document["jobDefinitionName"] = settings.name
    document["parameters"]["shard_size"] = str(settings.shard_size)
    container = document["containerProperties"]
    container["image"] = settings.image
    container["jobRoleArn"], container["executionRoleArn"] = role_arn(settings, "worker"), role_arn(settings, "starter")
    values = {
        "GPU_HUNTER_REGION": settings.region,
        "GPU_HUNTER_CAPACITY": "on-demand" if settings.on_demand else "spot",
    }
    told = [{**each, "value": values[each["name"]]} for each in container["environment"]]
    model = [{"name": "MODEL_URI", "value": settings.model}] if settings.model else []
    hub = [{"name": "HF_HUB_OFFLINE", "value": "0"}] if settings.model.startswith("hf://") else []
    container["environment"] = [*told, *model, *hub]
    container["secrets"] = [{"name": name, "valueFrom": arn} for name, arn in sorted(settings.secrets.items())]
    return document


def dead_letters(settings: Settings) -> Json:
    """Render the queue for what failed too often."""
    return {**_document("events", "dead_letters"), "QueueName": f"{settings.name}-dead-letters"}


def events(settings: Settings) -> Json:
    """Render the queue of events; its policies are texts, as SQS takes them."""
    document = _document("events", "queue")
    document["QueueName"] = f"{settings.name}-events"
    attributes = document["Attributes"]
    redrive, policy = attributes["RedrivePolicy"], attributes["Policy"]
    redrive["deadLetterTargetArn"] = settings.arn("sqs", f"{settings.name}-dead-letters")
    (statement,) = policy["Statement"]
    statement["Resource"] = events_arn(settings)
    statement["Condition"]["ArnEquals"]["aws:SourceArn"] = f"arn:aws:s3:::{settings.bucket}"
    statement["Condition"]["StringEquals"]["aws:SourceAccount"] = settings.account
    attributes["RedrivePolicy"], attributes["Policy"] = json.dumps(redrive), json.dumps(policy)
    return document


def notification(settings: Settings) -> Json:
    """Render what the bucket tells of; it takes the place of every other notification of the bucket."""
    document = _document("events", "notification")
    document["Bucket"] = settings.bucket
    (queue,) = document["NotificationConfiguration"]["QueueConfigurations"]
    queue["Id"], queue["QueueArn"] = settings.name, events_arn(settings)
    queue["Filter"]["Key"]["FilterRules"][0]["Value"] = f"{settings.inbox}/"
    return document


def timetable(settings: Settings) -> Json:
    """Render the rule that has the inbox looked at now and then."""
    return {**_document("events", "timetable"), "Name": settings.name}


def function(settings: Settings) -> Json:
    """Render the function."""
    document = _document("function", "function")
    document["FunctionName"], document["Role"] = settings.name, role_arn(settings, "function")
    document["Code"] = {"S3Bucket": settings.bucket, "S3Key": CODE.format(name=settings.name)}
    document["Environment"]["Variables"] = {
        "GPU_HUNTER_INBOX": settings.inbox_uri,
        "GPU_HUNTER_OUTPUT": settings.output_uri,
        "GPU_HUNTER_JOB_QUEUE": settings.name,
        "GPU_HUNTER_JOB_DEFINITION": settings.name,
        "GPU_HUNTER_SHARD_SIZE": str(settings.shard_size),
    }
    return document


def concurrency(settings: Settings) -> Json:
    """Render that the function runs once at a time."""
    return {**_document("function", "concurrency"), "FunctionName": settings.name}


def source(settings: Settings) -> Json:
    """Render that the function is given the queue's messages."""
    return {
        **_document("function", "source"),
        "FunctionName": settings.name,
        "EventSourceArn": events_arn(settings),
    }


def permission(settings: Settings) -> Json:
    """Render that the timetable may call the function."""
    return {**_document("function", "permission"), "FunctionName": settings.name, "SourceArn": rule_arn(settings)}
