"""`runner`: what runs the reconciler itself, printed for gcloud and kubectl; and a pass of the job at once."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.connect import Settings, settings_of
from controlplane.cli.output import Output, OutputOption, console, emit, note

if TYPE_CHECKING:
    from regional_deploy.runner import Runner

app = typer.Typer(
    no_args_is_help=True,
    help="Print what runs the reconciler: a Cloud Run job with its trigger, or a Deployment; run the job now.",
)


class Role(StrEnum):
    """The two kinds of clusters, by the rights that the reconciler needs there."""

    CONFIG = "config-cluster"
    MEMBER = "member"


Image = Annotated[str, typer.Option(help="Image of the reconciler, with its tag or digest.")]
Region = Annotated[str | None, typer.Option(help="Region of the job; that of the config cluster when not given.")]
Account = Annotated[
    str | None,
    typer.Option(help="Email of the service account; gpu-hunter@PROJECT.iam.gserviceaccount.com if not given."),
]


@app.command()
def job(
    context: typer.Context,
    image: Image,
    region: Region = None,
    service_account: Account = None,
    output: OutputOption = Output.YAML,
) -> None:
    """Print the Cloud Run job, for `gcloud run jobs replace -`."""
    from regional_deploy.runner import cloud_run_job

    _print([cloud_run_job(_runner(context, image, region, service_account))], output)


@app.command()
def trigger(
    context: typer.Context,
    region: Region = None,
    service_account: Account = None,
    schedule: Annotated[str, typer.Option(help="Cron schedule in UTC.")] = "* * * * *",
    command: Annotated[bool, typer.Option("--command", help="Print the gcloud command instead.")] = False,
    output: OutputOption = Output.YAML,
) -> None:
    """Print the job of Cloud Scheduler that starts the Cloud Run job, or the gcloud command that makes it."""
    from regional_deploy import runner

    values = _runner(context, "unused:0", region, service_account, schedule)
    if command:
        typer.echo(shlex.join(runner.trigger_command(values)))
        return
    _print([runner.trigger(values)], output)


@app.command()
def inbox(
    context: typer.Context,
    image: Image,
    region: Region = None,
    service_account: Account = None,
    output: OutputOption = Output.YAML,
) -> None:
    """Print the Cloud Run service that takes uploads out of inboxes at once, for `gcloud run services replace -`."""
    from regional_deploy.runner import inbox_service

    _print([inbox_service(_runner(context, image, region, service_account))], output)


@app.command("inbox-trigger")
def inbox_trigger(
    context: typer.Context,
    bucket: Annotated[str, typer.Option(help="Bucket in which the inbox is.")],
    location: Annotated[
        str | None, typer.Option(help="Location of the bucket, such as us-west1 or us; the service's if not given.")
    ] = None,
    region: Region = None,
    service_account: Account = None,
    command: Annotated[bool, typer.Option("--command", help="Print the gcloud commands, grants first.")] = False,
    agent: Annotated[
        str, typer.Option(help="Agent of Cloud Storage in the project; `gcloud storage service-agent` prints it.")
    ] = "$(gcloud storage service-agent)",
    output: OutputOption = Output.YAML,
) -> None:
    """Print the trigger of Eventarc that calls that service for every upload, or the gcloud commands that make it."""
    from regional_deploy import runner

    values = _runner(context, "unused:0", region, service_account)
    where = location or values.region
    with _told():
        if not command:
            _print([runner.inbox_trigger(values, bucket, where)], output)
            return
        for words in runner.inbox_commands(values, bucket, where, "AGENT"):
            typer.echo(shlex.join(words).replace("serviceAccount:AGENT", f'"serviceAccount:{agent}"'))


@app.command()
def watch(
    context: typer.Context, image: Image, service_account: Account = None, output: OutputOption = Output.YAML
) -> None:
    """Print the Deployment that makes pass after pass, with all that it needs, for `kubectl apply -f -`."""
    from regional_deploy.runner import watcher

    _print(watcher(_runner(context, image, None, service_account)), output)


@app.command()
def rights(
    context: typer.Context,
    cluster: Annotated[Role, typer.Argument(help="Whose: those in the config cluster, or in a member.")],
    service_account: Account = None,
    output: OutputOption = Output.YAML,
) -> None:
    """Print the ClusterRole of the config cluster or of a member, bound to the account, for `kubectl apply -f -`."""
    from regional_deploy.runner import rights as rendered

    account = service_account or _usual_account(_named(settings_of(context)))
    _print(rendered(cluster.value, account), output)


@app.command()
def execute(context: typer.Context, region: Region = None, output: OutputOption = Output.TABLE) -> None:
    """Start the Cloud Run job now and wait for its end: a pass at once. Leaves with 0 if the pass did, else with 2."""
    from controlplane.bootstrap.execution import execute as executed
    from controlplane.bootstrap.names import NAME
    from controlplane.bootstrap.run import Patience
    from controlplane.cli.connect import target_of
    from controlplane.clock import SystemClock
    from controlplane.model.offering import region_of
    from controlplane.wiring import administration_of

    target, clock = target_of(settings_of(context)), SystemClock()
    where = region or region_of(target.config_cluster.partition("/")[0])
    job = f"projects/{target.project}/locations/{where}/jobs/{NAME}"
    done = executed(administration_of(target, clock), job, clock=clock, patience=Patience(longest=1.0), say=note)
    data = {"execution": done.name, "well": done.well, "message": done.message}
    emit(data, output, lambda: console.print(f"{'well' if done.well else 'failed'}: {done.message or done.name}"))
    raise typer.Exit(0 if done.well else 2)


def _usual_account(project: str) -> str:
    return f"gpu-hunter@{project}.iam.gserviceaccount.com"


def _named(settings: Settings) -> str:
    """Give the project; rights of an account in no project would be of use to nobody."""
    from controlplane.api import Problem, SpecError

    if settings.project is None:
        what = "is missing: the local cloud runs no Cloud Run jobs"
        raise SpecError([Problem("--project", what, "give it, or set GPUHUNTER_PROJECT")])
    return settings.project


def _runner(
    context: typer.Context, image: str, region: str | None, account: str | None, schedule: str = "* * * * *"
) -> "Runner":
    from controlplane.cli.connect import google_target
    from controlplane.model.offering import region_of
    from regional_deploy.runner import Runner

    settings = settings_of(context)
    _named(settings)
    target = google_target(settings)
    where = region or region_of(target.config_cluster.partition("/")[0])
    email = account or _usual_account(target.project)
    with _told():
        return Runner(target.project, target.config_cluster, image, where, email, schedule)
    raise AssertionError("unreachable")


@contextmanager
def _told() -> Iterator[None]:
    """Turn what does not fit into a problem of the option."""
    from controlplane.api import Problem, SpecError

    try:
        yield
    except ValueError as error:
        field, _, rest = str(error).partition(": ")
        what, _, remedy = rest.partition("; ")
        raise SpecError([Problem(f"--{field}", what, remedy)]) from error


def _print(documents: list[dict[str, Any]], output: Output) -> None:
    if output is Output.JSON:
        emit(documents[0] if len(documents) == 1 else documents, output, lambda: None)
        return
    import yaml

    typer.echo(yaml.safe_dump_all(documents, sort_keys=False, width=120), nl=False)
