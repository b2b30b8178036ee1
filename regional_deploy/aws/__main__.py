"""`python -m regional_deploy.aws`: the commands that make the pipeline in an account, and those that take it down.

Nothing here speaks to AWS: it writes files and prints commands, so that whoever applies them has read them.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from regional_deploy.aws import bundle, render, steps
from regional_deploy.aws.settings import INSTANCE_TYPES, Settings
from regional_deploy.aws.steps import Step

EXIT_USAGE = 64
_FOLDER = Path("aws")


def show(
    *,
    account: Annotated[str, typer.Option(help="Number of the account.", envvar="AWS_ACCOUNT_ID")],
    bucket: Annotated[str, typer.Option(help="The bucket for files and pictures.")],
    image: Annotated[str, typer.Option(help="The web UI's image, with tag or digest.")],
    subnet: Annotated[list[str], typer.Option(help="Subnet of the instances; may be given again.")],
    security_group: Annotated[list[str], typer.Option(help="Security group of the instances; may be given again.")],
    region: Annotated[str, typer.Option(help="Region.", envvar="AWS_REGION")] = "us-east-1",
    name: Annotated[str, typer.Option(help="What everything is called that is made.")] = "gpu-hunter",
    inbox: Annotated[str, typer.Option(help="Folder of the bucket for parameters files.")] = "inbox",
    pictures: Annotated[str, typer.Option(help="Folder of the bucket for results.")] = "pictures",
    instance_type: Annotated[
        list[str] | None, typer.Option(help="Instance type with a GPU; may be given again.")
    ] = None,
    max_vcpus: Annotated[int, typer.Option(help="Bounds the instances at once: 4 for each GPU.")] = 16,
    on_demand: Annotated[bool, typer.Option("--on-demand", help="Instead of Spot.")] = False,
    model: Annotated[str, typer.Option(help="Address of the model; the small one in the image if not given.")] = "",
    secret: Annotated[list[str] | None, typer.Option(help="VARIABLE=ARN of a secret in Secrets Manager.")] = None,
    shard_size: Annotated[int, typer.Option(help="Pictures that one worker renders.")] = 50,
    out: Annotated[Path | None, typer.Option(help="Write the files there; without it nothing is written.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Print what takes it down instead.")] = False,
) -> None:
    """Print the commands that make the pipeline on AWS; with --out also write the files that they name."""
    pairs = [each.partition("=")[::2] for each in secret or ()]
    settings = Settings(
        account=account,
        region=region,
        bucket=bucket,
        image=image,
        subnets=tuple(subnet),
        security_groups=tuple(security_group),
        name=name,
        inbox=inbox.strip("/"),
        output=pictures.strip("/"),
        instance_types=tuple(instance_type or INSTANCE_TYPES),
        max_vcpus=max_vcpus,
        on_demand=on_demand,
        model=model,
        secrets=dict(pairs),
        shard_size=shard_size,
    )
    if remove:
        typer.echo("\n".join(_removing(settings)))
        return
    folder = out or _FOLDER
    if out is not None:
        _write(settings, out)
    typer.echo("\n".join(_making(settings, folder)))
    if out is None:
        typer.echo("Nothing was written; --out aws writes the files that these commands name.", err=True)


def _making(settings: Settings, folder: Path) -> list[str]:
    code, archive = folder / "function", (folder / "function.zip").absolute()
    key = f"s3://{settings.bucket}/{render.CODE.format(name=settings.name)}"
    return [
        "set -e",
        shlex.join(["aws", "s3", "mb", f"s3://{settings.bucket}", "--region", settings.region]),
        shlex.join(bundle.install_words(code)),
        f"(cd {shlex.quote(str(code))} && zip -qr {shlex.quote(str(archive))} .)",
        shlex.join(["aws", "s3", "cp", str(archive), key, "--region", settings.region]),
        *_commands(settings, steps.making(settings), folder),
    ]


def _commands(settings: Settings, calls: list[Step], folder: Path) -> list[str]:
    waits = _waits(settings)
    lines = []
    for number, call in enumerate(calls, 1):
        lines += [call.command(number, folder, settings.region), *waits.get(call.operation, ())]
    return lines


def _waits(settings: Settings) -> dict[str, list[str]]:
    """Give what to wait for after some calls, since AWS answers before it is done."""
    at = ["--region", settings.region]
    environment = ["describe-compute-environments", *at, "--compute-environments", settings.name]
    status = shlex.join(["aws", "batch", *environment, "--query", "computeEnvironments[0].status", "--output", "text"])
    function = shlex.join(["aws", "lambda", "wait", "function-active-v2", *at, "--function-name", settings.name])
    return {
        "add_role_to_instance_profile": ["sleep 15  # until the roles are known everywhere"],
        "create_compute_environment": [f'until [ "$({status})" = VALID ]; do sleep 5; done'],
        "create_function": [function],
    }


def _removing(settings: Settings) -> list[str]:
    at = ["--region", settings.region]
    mapping = shlex.join(["aws", "lambda", "list-event-source-mappings", *at, "--function-name", settings.name])
    mapping += " --query 'EventSourceMappings[0].UUID'"
    queues = [f"{settings.name}-{kind}" for kind in ("events", "dead-letters")]
    urls = [shlex.join(["aws", "sqs", "get-queue-url", *at, "--queue-name", queue]) for queue in queues]
    region = shlex.join(at)
    return [
        "# The bucket with all files and pictures stays, and so do log groups.",
        f'aws lambda delete-event-source-mapping {region} --uuid "$({mapping} --output text)"',
        *_commands(settings, steps.stopping(settings), _FOLDER),
        *(f'aws sqs delete-queue {region} --queue-url "$({url} --output text)"' for url in urls),
        shlex.join(["aws", "batch", "deregister-job-definition", *at, "--job-definition", f"{settings.name}:1"]),
        "# Once `aws batch describe-job-queues` and `describe-compute-environments` say DISABLED and VALID:",
        *_commands(settings, steps.removing(settings), _FOLDER),
    ]


def _write(settings: Settings, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, call in enumerate(steps.making(settings), 1):
        if not call.is_short:
            text = json.dumps(call.values, indent=1) + "\n"
            (folder / call.file(number)).write_text(text, encoding="utf-8")
    bundle.write(folder / "function")


def run(arguments: list[str]) -> int:
    """Run the command and give its exit code; what a person can mend is one line on stderr."""
    app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.command()(show)
    command = typer.main.get_command(app)
    try:
        command.main(args=arguments, prog_name="python -m regional_deploy.aws", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except TyperException as error:
        typer.echo(f"error: {error.format_message()}", err=True)
        return EXIT_USAGE
    except ValueError as error:
        typer.echo(f"error: --{error}", err=True)
        return EXIT_USAGE
    except OSError as error:
        typer.echo(f"error: {error.filename}: {error.strerror}; give another --out", err=True)
        return EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
