"""The pipeline on AWS, rehearsed: the calls that a person is told to make, and jobs of AWS Batch as real processes."""

import io
import json
import os
import subprocess
import sys
import threading
import zipfile

import boto3
import pytest
from botocore.exceptions import ClientError

from regional_deploy.aws import bundle
from regional_deploy.aws.handler import handle
from regional_deploy.aws.settings import Settings
from regional_deploy.aws.steps import making, removing, stopping

pytest.importorskip("moto.server", reason="moto conflicts with other locked packages")

REGION, ACCOUNT = "us-east-1", "123456789012"
FILE = "name: shapes\ndefaults: {steps: 2, size: 64x64}\nimages:\n- {prompt: a red circle, count: 3, seed: 7}\n"
# The test itself is what stands between queue and function, where moto would take the messages away; and to know
# Amazon's own policies takes moto seconds.
NOT_MADE = ("create_event_source_mapping", "attach_role_policy", "detach_role_policy")
# AWS Batch has a role of its own for this; moto wants to be given one.
SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/gpu-hunter-instance"


class Machines:
    """The instances of AWS Batch: each try of a job is a process, run as the job definition says."""

    def __init__(self, environ):
        self._environ, self.threads, self.tries = environ, [], []
        self.taken_away = set()  # jobs whose first try ends as on an instance that is taken away

    def start(self, job, *, is_parent):
        """Take the place of moto's own way to finish a job at once."""
        job.backend._jobs[job.job_id] = job
        if not is_parent:
            thread = threading.Thread(target=self._run, args=(job,))
            self.threads.append(thread)
            thread.start()

    def _run(self, job):
        container, retry = job.job_definition.container_properties, job.job_definition.retry_strategy
        index = job.array_properties.get("index")
        environ = self._environ | {each["name"]: each["value"] for each in container["environment"]}
        environ |= {} if index is None else {"AWS_BATCH_JOB_ARRAY_INDEX": str(index)}
        command = [sys.executable, "-m", "webui_image", *job._add_parameters_to_command(container["command"])]
        rules = {each["onExitCode"]: each["action"] for each in retry["evaluateOnExit"] if "onExitCode" in each}
        job._start_attempt()
        for number in range(retry["attempts"]):
            lost = number == 0 and index in self.taken_away
            words = [sys.executable, "-c", "raise SystemExit(75)"] if lost else command
            done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
            self.tries.append((index, done.returncode, done.stderr[-2000:]))
            if done.returncode == 0 or rules.get(str(done.returncode)) == "EXIT":
                break
        job.exit_code = done.returncode
        job._mark_stopped(success=done.returncode == 0)

    def wait(self):
        for thread in self.threads:
            thread.join(250)
        assert not any(thread.is_alive() for thread in self.threads)


class Account:
    """An account of AWS with the whole pipeline in it."""

    def __init__(self, endpoint, machines):
        self.endpoint, self.machines = endpoint, machines
        ec2 = self.client("ec2")
        self.settings = Settings(
            account=ACCOUNT,
            region=REGION,
            bucket="art",
            image="123456789012.dkr.ecr.us-east-1.amazonaws.com/sd-webui:1.0.0",
            subnets=(ec2.describe_subnets()["Subnets"][0]["SubnetId"],),
            security_groups=(ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],),
            shard_size=2,
        )

    def client(self, service):
        return boto3.client(service, endpoint_url=self.endpoint)

    def make(self, folder):
        s3 = self.client("s3")
        s3.create_bucket(Bucket="art")
        bundle.write(folder)
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as opened:
            for path in sorted(folder.rglob("*.py")):
                opened.write(path, path.relative_to(folder))
        s3.put_object(Bucket="art", Key="function/gpu-hunter.zip", Body=archive.getvalue())
        self.call_all(making(self.settings))

    def call_all(self, steps):
        for step in steps:
            if step.operation not in NOT_MADE:
                self._call(step)

    def _call(self, step):
        more = {"serviceRole": SERVICE_ROLE} if step.operation == "create_compute_environment" else {}
        return getattr(self.client(step.service), step.operation)(**step.values, **more)

    def put(self, name, text):
        self.client("s3").put_object(Bucket="art", Key=name, Body=text.encode())

    def names(self, below=""):
        listed = self.client("s3").list_objects_v2(Bucket="art", Prefix=below).get("Contents", [])
        return sorted(each["Key"].removeprefix(below) for each in listed)

    def read(self, name):
        return self.client("s3").get_object(Bucket="art", Key=name)["Body"].read()

    def deliver(self, *, again=False):
        """Give the function what is in the queue, newest first; `again`: as if it had never been deleted."""
        sqs = self.client("sqs")
        queue = sqs.get_queue_url(QueueName="gpu-hunter-events")["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        records = [
            {"messageId": each["MessageId"], "eventSource": "aws:sqs", "body": each["Body"]}
            for each in reversed(messages)
        ]
        for _ in range(2 if again else 1):
            assert handle({"Records": records}, None) == {"batchItemFailures": []}
        for each in messages:
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=each["ReceiptHandle"])
        return [each["Body"] for each in messages]

    def deliver_all(self):
        """Give it what comes, and what is told of what it writes itself."""
        while self.deliver():
            pass

    def jobs(self):
        (queue,) = {
            step.values["jobQueueName"] for step in making(self.settings) if step.operation == "create_job_queue"
        }
        found = self.client("batch").list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": ["*"]}])
        return [each for each in found["jobSummaryList"] if ":" not in each["jobId"]]


@pytest.fixture(scope="module")
def account(aws_server, tmp_path_factory):
    """Give an account to which every rendered call was made, in order."""
    from moto.batch_simple.models import BatchSimpleBackend
    from moto.core.config import default_user_config

    with pytest.MonkeyPatch.context() as patched:
        for service in ("batch", "lambda"):
            patched.setitem(default_user_config, service, {"use_docker": False})
        reach = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": aws_server,
        }
        for name, value in reach.items():
            patched.setenv(name, value)
        paths = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        machines = Machines(paths | reach | {"DEVICE": "cpu", "TORCH_THREADS": "1"})
        patched.setattr(
            BatchSimpleBackend,
            "_mark_job_as_finished",
            lambda _, include_start_attempt, job: machines.start(job, is_parent=not include_start_attempt),
        )
        made = Account(aws_server, machines)
        made.make(tmp_path_factory.mktemp("function"))
        function = made.client("lambda").get_function_configuration(FunctionName="gpu-hunter")
        for name, value in function["Environment"]["Variables"].items():
            patched.setenv(name, value)
        yield made


def test_an_upload_becomes_pictures(account):
    """Upload, notification, queue, function, array job, two workers: every picture, the manifest and the sheet, once.

    The events come twice and the last first, one of the workers loses its instance, and what the function writes into
    the inbox is told of as well.
    """
    account.machines.taken_away = {1}
    account.put("inbox/shapes.yaml", FILE)
    account.put("inbox/shapes again.yaml", FILE)
    told = account.deliver(again=True)
    assert sum("s3:TestEvent" not in body for body in told) == 2
    account.deliver_all()
    (job,) = account.jobs()
    assert job["jobName"].startswith("shapes-")
    account.machines.wait()
    tries = sorted((index, code) for index, code, _ in account.machines.tries)
    assert tries == [(0, 0), (1, 0), (1, 75)], account.machines.tries
    assert [name for name in account.names("pictures/shapes/") if "shards" not in name] == [
        "00000-7.png",
        "00001-8.png",
        "00002-9.png",
        "contact-sheet.png",
        "manifest.json",
    ]
    manifest = json.loads(account.read("pictures/shapes/manifest.json"))
    assert manifest["state"] == "complete"
    facts = [(each["index"], each["status"], each["region"], each["capacity"]) for each in manifest["pictures"]]
    assert facts == [(n, "done", REGION, "spot") for n in range(3)]
    (described,) = account.client("batch").describe_jobs(jobs=[job["jobId"]])["jobs"]
    assert (described["status"], described["arrayProperties"]["size"]) == ("SUCCEEDED", 2)
    assert len(account.names("inbox/taken/")) == 2


def test_a_wrong_file_is_rejected_and_starts_nothing(account):
    """It lies in `rejected/` with its report, and no longer in the inbox."""
    before = len(account.jobs())
    account.put("inbox/wrong.yaml", "images:\n- {promt: a cat}\n")
    account.deliver_all()
    assert account.names("inbox/rejected/") == ["wrong.yaml", "wrong.yaml.txt"]
    assert b"images[0].promt" in account.read("inbox/rejected/wrong.yaml.txt")
    assert "wrong.yaml" not in account.names("inbox/")
    assert len(account.jobs()) == before


def test_all_of_it_can_be_taken_down(account):
    """The calls that take it down are taken, in their order; pictures and files stay."""
    account.machines.wait()
    kept = account.names()
    account.call_all([*stopping(account.settings), *removing(account.settings)])
    account.put("inbox/late.yaml", FILE.replace("shapes", "late"))
    assert account.deliver() == []
    assert account.names() == sorted([*kept, "inbox/late.yaml"])
    assert account.client("batch").describe_compute_environments()["computeEnvironments"] == []
    assert account.client("iam").list_roles()["Roles"] == []
    with pytest.raises(ClientError, match="not found"):
        account.client("lambda").get_function_configuration(FunctionName="gpu-hunter")
