"""What is to be called, in which order, to make all of it and to take it down: data first, command lines of it then.

A step is a call of AWS's API with its values, so that the rehearsal makes the very calls that a person is told to make.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from regional_deploy.aws import render
from regional_deploy.aws.render import Json
from regional_deploy.aws.settings import Settings

_SHORT = 160  # characters of values that stand in the command itself


@dataclass(frozen=True, slots=True)
class Step:
    """One call: the service and the operation under boto3's names, and the values it takes."""

    service: str
    operation: str
    values: Json

    @property
    def text(self) -> str:
        """The values as JSON."""
        return json.dumps(self.values)

    @property
    def is_short(self) -> bool:
        """Whether the values stand in the command itself."""
        return len(self.text) <= _SHORT

    def file(self, number: int) -> str:
        """Give the name of the file of its values."""
        return f"{number:02d}-{self.operation.replace('_', '-')}.json"

    def command(self, number: int, folder: PurePath, region: str) -> str:
        """Give the command line of AWS's own tool."""
        service = "s3api" if self.service == "s3" else self.service
        values = self.text if self.is_short else f"file://{folder / self.file(number)}"
        words = ["aws", service, self.operation.replace("_", "-"), "--region", region, "--cli-input-json", values]
        return shlex.join(words)


def making(settings: Settings) -> list[Step]:
    """Give the calls that make all of it, in their order."""
    return [*_roles(settings), *_batch(settings), *_function(settings)]


def _roles(settings: Settings) -> list[Step]:
    steps = []
    for role in render.roles(settings):
        name = role["RoleName"]
        trust = {"RoleName": name, "AssumeRolePolicyDocument": json.dumps(role["AssumeRolePolicyDocument"])}
        steps.append(Step("iam", "create_role", trust))
        steps += [
            Step("iam", "attach_role_policy", {"RoleName": name, "PolicyArn": arn}) for arn in role["ManagedPolicies"]
        ]
        if role["Policy"]["Statement"]:
            own = {"RoleName": name, "PolicyName": settings.name, "PolicyDocument": json.dumps(role["Policy"])}
            steps.append(Step("iam", "put_role_policy", own))
    profile = {"InstanceProfileName": f"{settings.name}-instance"}
    member = {**profile, "RoleName": f"{settings.name}-instance"}
    return [
        *steps,
        Step("iam", "create_instance_profile", profile),
        Step("iam", "add_role_to_instance_profile", member),
    ]


def _batch(settings: Settings) -> list[Step]:
    return [
        Step("batch", "create_compute_environment", render.compute_environment(settings)),
        Step("batch", "create_job_queue", render.job_queue(settings)),
        Step("batch", "register_job_definition", render.job_definition(settings)),
    ]


def _function(settings: Settings) -> list[Step]:
    arn = settings.arn("lambda", f"function:{settings.name}")
    return [
        Step("sqs", "create_queue", render.dead_letters(settings)),
        Step("sqs", "create_queue", render.events(settings)),
        Step("lambda", "create_function", render.function(settings)),
        Step("lambda", "put_function_concurrency", render.concurrency(settings)),
        Step("lambda", "create_event_source_mapping", render.source(settings)),
        Step("s3", "put_bucket_notification_configuration", render.notification(settings)),
        Step("events", "put_rule", render.timetable(settings)),
        Step("lambda", "add_permission", render.permission(settings)),
        Step("events", "put_targets", {"Rule": settings.name, "Targets": [{"Id": settings.name, "Arn": arn}]}),
    ]


def stopping(settings: Settings) -> list[Step]:
    """Give the calls after which nothing starts any more: uploads stay where they are, and running jobs go on."""
    nothing: dict[str, Any] = {"Bucket": settings.bucket, "NotificationConfiguration": {}}
    return [
        Step("s3", "put_bucket_notification_configuration", nothing),
        Step("events", "remove_targets", {"Rule": settings.name, "Ids": [settings.name]}),
        Step("events", "delete_rule", {"Name": settings.name}),
        Step("lambda", "delete_function", {"FunctionName": settings.name}),
        Step("batch", "update_job_queue", {"jobQueue": settings.name, "state": "DISABLED"}),
        Step("batch", "update_compute_environment", {"computeEnvironment": settings.name, "state": "DISABLED"}),
    ]


def removing(settings: Settings) -> list[Step]:
    """Give the calls that take away the rest, once Batch says that queue and compute environment are disabled.

    The queues of SQS and the function's place at its queue are removed by what only AWS knows; see `__main__.py`.
    """
    steps = [
        Step("batch", "delete_job_queue", {"jobQueue": settings.name}),
        Step("batch", "delete_compute_environment", {"computeEnvironment": settings.name}),
    ]
    profile = {"InstanceProfileName": f"{settings.name}-instance"}
    member = {**profile, "RoleName": f"{settings.name}-instance"}
    steps += [
        Step("iam", "remove_role_from_instance_profile", member),
        Step("iam", "delete_instance_profile", profile),
    ]
    for role in render.roles(settings):
        name = role["RoleName"]
        for arn in role["ManagedPolicies"]:
            steps.append(Step("iam", "detach_role_policy", {"RoleName": name, "PolicyArn": arn}))
        if role["Policy"]["Statement"]:
            steps.append(Step("iam", "delete_role_policy", {"RoleName": name, "PolicyName": settings.name}))
        steps.append(Step("iam", "delete_role", {"RoleName": name}))
    return steps
