"""`local`: the embedded cloud's life."""

from pathlib import Path
from typing import Annotated, Any

import typer

from controlplane.cli.connect import local_dir, settings_of
from controlplane.cli.output import Output, OutputOption, console, emit, note, table

app = typer.Typer(
    no_args_is_help=True,
    help="Start, stop and look at the local cloud: real Kubernetes and Google Cloud APIs, no account.",
)


@app.command()
def up(
    context: typer.Context,
    scenario: Annotated[
        Path | None,
        typer.Option(
            "--scenario",
            "-s",
            envvar="GPUHUNTER_SCENARIO",
            help="Scenario file, or one that comes along by its name: default, realistic, trace, empty-project.",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Start the local cloud, or say that it runs already."""
    from controlplane.localcloud import control

    where = local_dir(settings_of(context))
    status = control.up(where, scenario, progress=note)
    emit(_plain(status), output, lambda: _show(status))


@app.command()
def down(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Stop the local cloud. Its state stays for the next `up`."""
    from controlplane.localcloud import control

    where = local_dir(settings_of(context))
    was_running = control.status(where) is not None
    control.down(where)
    said = "stopped" if was_running else "was not running"
    emit({"running": False, "was_running": was_running}, output, lambda: console.print(said))


@app.command()
def status(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the clusters and where they answer; `local stock` shows the GPUs."""
    from controlplane.localcloud import control

    found = control.status(local_dir(settings_of(context)))
    if found is None:
        emit({"running": False}, output, lambda: console.print("not running; start it with `local up`"))
        raise typer.Exit(1)
    emit({"running": True, **_plain(found)}, output, lambda: _show(found))


@app.command()
def kubeconfig(
    context: typer.Context,
    path: Annotated[bool, typer.Option("--path", help="Print the file's path instead of its content.")] = False,
) -> None:
    """Print a kubeconfig with one context per cluster, each named after its cluster."""
    from controlplane.localcloud import control

    file = control.kubeconfig(local_dir(settings_of(context)))
    typer.echo(str(file) if path else file.read_text(encoding="utf-8").rstrip("\n"))


@app.command()
def gcloud(
    context: typer.Context,
    output: Annotated[Output | None, typer.Option("--output", "-o", help="json or yaml instead of shell.")] = None,
) -> None:
    """Print what leads gcloud and kubectl to the local cloud: eval "$(gpuhunter local gcloud)"."""
    import shlex

    from controlplane.localcloud import control
    from controlplane.localcloud.control.gcloud import IN_THE_WAY, gcloud_environment

    where = local_dir(settings_of(context))
    found = control.connection(where)
    variables = gcloud_environment(
        project=found.project,
        endpoints=found.endpoints,
        ca_file=found.ca_file,
        credentials_file=found.credentials_file,
        folder=where.resolve() / "gcloud",
    )
    lines = [f"unset {' '.join(IN_THE_WAY)}", *(f"export {key}={shlex.quote(v)}" for key, v in variables.items())]
    emit({"set": variables, "unset": list(IN_THE_WAY)}, output or Output.TABLE, lambda: typer.echo("\n".join(lines)))


@app.command()
def reset(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop the local cloud and forget everything in it, what is in its buckets included."""
    from controlplane.localcloud import control

    where = local_dir(settings_of(context))
    if not yes:
        typer.confirm(f"Forget everything of the local cloud in {where}?", abort=True)
    control.reset(where)
    emit({"running": False, "forgotten": str(where)}, output, lambda: console.print("forgotten"))


@app.command()
def notify(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="Address of the handler, such as that of `batch serve`.")],
    bucket: Annotated[str, typer.Option("--bucket", "-b", help="Bucket: a folder in the state folder's `buckets`.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Have a handler called, as Eventarc does, for every object that comes into a bucket from now on."""
    from controlplane.localcloud import control

    found = control.call(local_dir(settings_of(context)), "notify", url=url, bucket=bucket)
    columns = ("url", "bucket", "delivered", "failures", "last_error")
    rows = [[row[column] for column in columns] for row in found["notices"]]
    emit(found, output, lambda: table([column.upper().replace("_", " ") for column in columns], rows))


@app.command()
def stock(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show the GPUs: how many are free and in use, by zone, type and capacity type."""
    from controlplane.localcloud import control

    found = control.call(local_dir(settings_of(context)), "stock")
    rows = found.get("stock", [])
    columns = ("zone", "accelerator", "capacity", "free", "in_use")
    emit(found, output, lambda: table([c.upper() for c in columns], [[row.get(c) for c in columns] for row in rows]))


def _plain(status: Any) -> dict[str, Any]:
    from dataclasses import asdict, is_dataclass

    return asdict(status) if is_dataclass(status) and not isinstance(status, type) else dict(vars(status))


def _show(status: Any) -> None:
    plain = _plain(status)
    for key, value in plain.items():
        if value not in (None, "") and not isinstance(value, list | tuple | dict):
            console.print(f"[bold]{key.replace('_', ' ')}[/bold]  {value}")
    clusters = plain.get("clusters") or []
    if clusters and isinstance(clusters[0], dict):
        columns = ("name", "location", "role", "endpoint", "status", "nodes", "pods")
        rows = [[str(row[c]).removeprefix("https://") for c in columns] for row in clusters]
        table([c.upper() for c in columns], rows, gap=1)  # so that it fits on 80 columns
        for row in clusters:
            if row.get("message"):
                console.print(f"{row['location']}/{row['name']}: {row['message']}")
    for group in plain.get("leaked_groups") or ():
        left = f"{group['zone']}/{group['name']}, left by {group['cluster']}, which was deleted before it was unwired"
        console.print(f"[yellow]leaked network endpoint group[/yellow]  {left}")
