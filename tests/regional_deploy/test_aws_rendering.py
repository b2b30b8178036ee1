"""What is printed for AWS: every value in its place, rights no wider than need be, secrets by their addresses only."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from botocore.validate import ParamValidator

from regional_deploy.aws import bundle, render
from regional_deploy.aws.__main__ import run
from regional_deploy.aws.settings import Settings
from regional_deploy.aws.steps import making, removing, stopping

ROOT = Path(__file__).parents[2]
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:hub-AbCdEf"
VALUES = {
    "account": "111122223333",
    "region": "eu-central-1",
    "bucket": "my-art",
    "image": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/sd-webui@sha256:abc",
    "subnets": ("subnet-0a", "subnet-0b"),
    "security_groups": ("sg-0a",),
    "name": "painter",
    "inbox": "drop/here",
    "output": "results",
    "model": "s3://models/sdxl",
    "secrets": {"HF_TOKEN": f"{SECRET}:token::"},
}
SETTINGS = Settings(**VALUES)
OPTIONS = [
    *("--account", "111122223333", "--region", "eu-central-1", "--bucket", "my-art", "--image", "repo/sd-webui:1"),
    *("--subnet", "subnet-0a", "--security-group", "sg-0a"),
]
CALLS = [*making(SETTINGS), *stopping(SETTINGS), *removing(SETTINGS)]


@pytest.mark.parametrize("step", CALLS, ids=lambda step: step.operation)
def test_every_call_is_one_that_the_api_knows(step):
    """Operation, keys, types and what may not be missing, by the published description of AWS's API."""
    client = boto3.client(step.service, region_name="eu-central-1", aws_access_key_id="k", aws_secret_access_key="s")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[step.operation])
    assert ParamValidator().validate(step.values, model.input_shape).generate_report() == ""


def test_nothing_of_the_documents_is_left_open():
    """No placeholder, no other name, account, region or bucket."""
    said = json.dumps([step.values for step in CALLS])
    assert re.findall(r"\b[A-Z]{5,}\b(?<!MANAGED)(?<!ENABLED)(?<!DISABLED)(?<!RETRY)(?<!MEMORY)", said) == []
    assert "gpu-hunter" not in said.replace('"gpu-hunter": "batch"', "")
    assert "us-east-1" not in said
    assert set(re.findall(r"\b[0-9]{12}\b", said)) == {"111122223333"}
    assert set(re.findall(r"s3:::([a-z-]+)", said)) == {"my-art", "models"}


def test_a_secret_stands_nowhere_but_in_secrets_manager():
    """The job definition has its address, and who starts containers may read that one; nobody else may."""
    container = render.job_definition(SETTINGS)["containerProperties"]
    assert container["secrets"] == [{"name": "HF_TOKEN", "valueFrom": f"{SECRET}:token::"}]
    assert "HF_TOKEN" not in json.dumps(container["environment"])
    may = {
        role["RoleName"]: statement["Resource"]
        for role in render.roles(SETTINGS)
        for statement in role["Policy"]["Statement"]
        if "secretsmanager:GetSecretValue" in statement["Action"]
    }
    assert may == {"painter-starter": [SECRET]}


def test_rights_are_no_wider_than_need_be():
    """The worker reads copies and writes results; only the function takes files away, and never copies."""
    rights = {role["RoleName"]: role["Policy"]["Statement"] for role in render.roles(SETTINGS)}
    may = {
        (name, action, resource)
        for name, statements in rights.items()
        for each in statements
        if each["Effect"] == "Allow"
        for action in ([each["Action"]] if isinstance(each["Action"], str) else each["Action"])
        for resource in ([each["Resource"]] if isinstance(each["Resource"], str) else each["Resource"])
    }
    assert {each for each in may if each[2] == "*"} == {("painter-function", "batch:ListJobs", "*")}
    assert not any("*" in action for _, action, _ in may)
    written = {(name, resource) for name, action, resource in may if action in ("s3:PutObject", "s3:DeleteObject")}
    assert written == {
        ("painter-function", "arn:aws:s3:::my-art/drop/here/*"),
        ("painter-worker", "arn:aws:s3:::my-art/results/*"),
    }
    assert not {action for name, action, _ in may if name == "painter-worker"} & {"s3:DeleteObject", "batch:SubmitJob"}


def test_without_secrets_and_models_there_are_no_rights_to_them():
    """A statement about nothing is left out, since IAM takes none."""
    plain = Settings(**{**VALUES, "secrets": {}, "model": ""})
    said = json.dumps(render.roles(plain))
    assert "secretsmanager" not in said
    assert "models" not in said
    assert all(step.operation != "put_role_policy" or json.loads(step.values["PolicyDocument"])["Statement"]
               for step in making(plain))  # fmt: skip


def test_spot_unless_it_is_asked_for_otherwise():
    """The kind of capacity, and how Batch chooses among it."""
    there = render.compute_environment(SETTINGS)["computeResources"]
    assert (there["type"], there["allocationStrategy"], there["minvCpus"]) == (
        "SPOT",
        "SPOT_PRICE_CAPACITY_OPTIMIZED",
        0,
    )
    paid = Settings(**VALUES, on_demand=True)
    there = render.compute_environment(paid)["computeResources"]
    assert (there["type"], there["allocationStrategy"]) == ("EC2", "BEST_FIT_PROGRESSIVE")
    told = {each["name"]: each["value"] for each in render.job_definition(paid)["containerProperties"]["environment"]}
    assert told["GPU_HUNTER_CAPACITY"] == "on-demand"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        pytest.param({"account": "12"}, 'account: "12" is no account; give its twelve digits', id="account"),
        pytest.param({"image": "sd-webui"}, "names no version; add", id="image"),
        pytest.param({"subnets": ()}, "is no list of subnets; give", id="no subnet"),
        pytest.param({"output": "drop"}, "lie in one another; give folders side by side", id="inbox in the output"),
        pytest.param({"output": "drop/here/too"}, "lie in one another", id="output in the inbox"),
        pytest.param({"max_vcpus": 2}, "fits no instance; give 4", id="too small"),
        pytest.param({"secrets": {"HF_TOKEN": "hf_12345"}}, "is no ARN of Secrets Manager; put", id="a secret itself"),
    ],
)
def test_a_wrong_value_is_refused(wrong, said):
    """Which option, what is wrong, what to do; and never a secret."""
    with pytest.raises(ValueError, match=re.escape(said)) as told:
        Settings(**{**VALUES, **wrong})
    assert "hf_12345" not in str(told.value)


def test_the_commands_name_files_that_are_written(tmp_path, capsys):
    """Every call is one command, short values in it and long ones in its file; without --out nothing is written."""
    assert run([*OPTIONS, "--out", str(tmp_path / "aws")]) == 0
    printed = capsys.readouterr().out
    files = re.findall(r"file://(\S+)", printed)
    assert all(isinstance(json.loads(Path(file).read_text()), dict) for file in files)
    assert len(files) == len(list((tmp_path / "aws").glob("*.json")))
    assert printed.count("--cli-input-json") == len(making(SETTINGS)) - 1  # its model is in no bucket
    checked = subprocess.run(["bash", "-n"], input=printed, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    before = sorted(tmp_path.rglob("*"))
    assert run([*OPTIONS, "--remove"]) == run(OPTIONS) == 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "error: Missing option '--account'", id="nothing"),
        pytest.param([*OPTIONS, "--bucket", "A"], 'error: --bucket: "A" is no bucket; give its name', id="bucket"),
        pytest.param([*OPTIONS, "--secret", "HF_TOKEN"], "give VARIABLE=ARN", id="secret"),
        pytest.param([*OPTIONS, "--out", "/dev/null/aws"], "give another --out", id="folder"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, capsys, monkeypatch):
    """On stderr, with what to do, and exit code 64."""
    monkeypatch.delenv("AWS_ACCOUNT_ID", raising=False)
    assert run(arguments) == 64
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert said in told.err


def test_the_bundle_has_all_that_the_function_imports(tmp_path):
    """Alone in a folder it reads a file and asks for a job; nothing heavy is loaded."""
    bundle.write(tmp_path / "code")
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "cats.txt").write_text("a cat\n")
    program = """
import sys
from regional_deploy.aws.handler import Wired, answer, handle
from regional_deploy.aws.jobs import Target
from webui_image.batch.places import LocalPlace
class Jobs:
    find = staticmethod(lambda queue, name: "")
    submit = staticmethod(lambda job: print(job["jobName"]) or "job")
inbox = LocalPlace(__import__("pathlib").Path(sys.argv[1]))
answer({"source": "aws.events"}, Wired("s3://art/inbox", inbox, Jobs, Target("q", "d", "s3://art/out", 1)))
ours = ("controlplane", "regional_deploy", "webui_image")
print([name for name, m in sys.modules.items() if name.split(".")[0] in ours and sys.argv[2] not in (m.__file__ or "")])
print({"torch", "numpy", "fastapi", "pydantic", "kubernetes"} & {name.split(".")[0] for name in sys.modules})
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "inbox"), str(tmp_path / "code")],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "code")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    name, elsewhere, heavy = done.stdout.splitlines() or [done.stderr] * 3
    assert name.startswith("cats-")
    assert (elsewhere, heavy) == ("[]", "set()")


def test_the_bundle_has_the_versions_that_the_tests_ran_with():
    """A package stands in the same version in the function and on developers' machines."""
    lines = (ROOT / "requirements-dev.lock").read_text().splitlines()
    ours = {line.split(" ")[0] for line in lines if line[:1].isalnum()}
    assert set(bundle.PACKAGES) - ours == set()
