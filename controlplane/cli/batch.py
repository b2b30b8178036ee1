"""`batch`: pictures from a parameters file, rendered wherever GPUs can be had: submit, watch, take from an inbox."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.batch_known import named, tell_of_settings
from controlplane.cli.batch_reckoning import reckoned, show_reckoned
from controlplane.cli.connect import Settings, settings_of, target_of
from controlplane.cli.logs import set_up_logs
from controlplane.cli.output import Output, OutputOption, console, emit, note, table
from controlplane.cli.waiting import parts, see_through, tell_of_the_old

if TYPE_CHECKING:
    from controlplane.api import Problem
    from controlplane.gateways.parameters import Parameters

app = typer.Typer(
    no_args_is_help=True,
    help="Render the pictures of a parameters file wherever GPUs can be had: submit, watch, or take from an inbox.",
)
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the GPUBatch.")]
LOCAL_IMAGE = "gpu-hunter/sd-webui:1"
SPEED = 2.4e6
EXIT_FAILED = 2


@app.command()
def submit(
    context: typer.Context,
    parameters: Annotated[str, typer.Argument(help="The parameters file: a path, gs:// or s3://.")],
    out: Annotated[
        str | None, typer.Option("--out", help="Folder of the results: gs://, s3:// or, locally, a path. \\[pictures]")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Image of the Stable Diffusion Web UI; the local cloud has its own.")
    ] = None,
    accelerator: Annotated[
        list[str] | None,
        typer.Option(help="GPU type, preferred first; repeat for more. \\[nvidia-l4, nvidia-tesla-t4]"),
    ] = None,
    capacity: Annotated[list[str] | None, typer.Option(help="spot, on-demand or flex-start; repeat for more.")] = None,
    region: Annotated[list[str] | None, typer.Option(help="Only these regions; repeat for more.")] = None,
    parallelism: Annotated[int, typer.Option(min=1, help="Workers at once, over all regions.")] = 2,
    shard_size: Annotated[int, typer.Option(min=1, help="Pictures that a worker renders in one go.")] = 20,
    max_cost: Annotated[float | None, typer.Option(min=0.01, help="USD in all; ended before more is spent.")] = None,
    deadline: Annotated[str | None, typer.Option(help="Ended when it takes longer than this, such as 6h.")] = None,
    namespace: Namespace = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and reckon; write nothing.")] = False,
    speed: Annotated[
        float, typer.Option(min=1, help="Pixel steps a second of one GPU, for the reckoning of a dry run.")
    ] = SPEED,
    wait: Annotated[bool, typer.Option("--wait", help="Make passes until it is rendered; 2 if it fails.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Render a parameters file: copy it beside the results, create its GPUBatch, and with --wait see it through.

    The same file again is the same batch, and renders only what is missing. Pictures, manifest and contact sheet are
    in OUT/NAME, where NAME is the file's or its `name:`.
    """
    from controlplane.engine.intake import name_of
    from controlplane.wiring import build

    settings = settings_of(context)
    if settings.local and parameters.startswith("gs://"):
        target_of(settings)  # whose bucket it is in
    read, file = _read(parameters)
    where = _address(out, settings)
    small = {"resources": {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "10Gi"}} if settings.local else {}
    spec: dict[str, Any] = {
        "parameters": f"{where}/parameters/",
        "output": where,
        "shardSize": shard_size,
        "parallelism": parallelism,
        "accelerators": [{"type": kind} for kind in accelerator or ("nvidia-l4", "nvidia-tesla-t4")],
        **({"capacityTypes": capacity} if capacity else {}),
        **({"regions": {"allowed": region}} if region else {}),
        **({"maxCost": max_cost} if max_cost is not None else {}),
        **({"deadline": deadline} if deadline is not None else {}),
        "worker": {"image": _image(image, settings), **small},
    }
    template = _checked(namespace, spec)
    if dry_run:
        data = reckoned(read, spec, settings, speed)
        emit(data, output, lambda: show_reckoned(data))
        return
    set_up_logs(settings)
    working = build(target_of(settings))
    tell_of_settings(working, namespace, name_of(read, where), spec)
    name, new = working.submit(template, read, file)
    if not new:
        tell_of_the_old(working, namespace, name)
    if not wait:
        row = {"namespace": namespace, "name": name, "pictures": read.pictures, "new": new,
               "output": f"{where}/{read.name}"}  # fmt: skip
        comes = "`reconcile` renders them into" if new else "the same file again, into"
        emit(row, output, lambda: console.print(f"GPUBatch {namespace}/{name}: {read.pictures:,} pictures; "
                                                f"{comes} {row['output']}", soft_wrap=True))  # fmt: skip
        return
    status = see_through(working, namespace, name)
    result = {"namespace": namespace, "name": name, **_brief(status), "output": f"{where}/{read.name}"}
    emit(result, output, lambda: _show_end(result))
    raise typer.Exit(0 if status["phase"] == "Succeeded" else EXIT_FAILED)


@app.command("list")
def list_batches(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show all batches and inboxes: phase, pictures, workers, regions, cost."""
    from controlplane.wiring import build

    found = build(target_of(settings_of(context))).batches()
    rows = [_row(each) for each in found]
    emit(rows, output, lambda: _show_list(rows))


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="NAME of the GPUBatch, or NAMESPACE/NAME.")],
    namespace: Namespace = "default",
    output: OutputOption = Output.TABLE,
) -> None:
    """Show one batch: how far it is, where it renders, what it has cost, and what it waits for."""
    from controlplane.wiring import build

    found = named(build(target_of(settings_of(context))), namespace, name)
    row = {**_row(found), "conditions": (found.get("status") or {}).get("conditions", [])}
    emit(row, output, lambda: _show_one(row))


@app.command()
def cancel(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="NAME of the GPUBatch, or NAMESPACE/NAME.")],
    namespace: Namespace = "default",
) -> None:
    """Take a batch down; the pictures that are rendered stay. The next passes delete its Jobs."""
    from controlplane.wiring import build

    working = build(target_of(settings_of(context)))
    metadata = named(working, namespace, name)["metadata"]
    working.delete_batch(metadata["namespace"], metadata["name"])
    told = f"{metadata['namespace']}/{metadata['name']}: deletion requested; `reconcile` takes it down"
    console.print(told, soft_wrap=True)


@app.command()
def take(
    context: typer.Context,
    uri: Annotated[str, typer.Argument(help="Address of a file in an inbox, such as gs://art/inbox/cats.yaml.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Take one file out of its inbox at once, as an event about it does; twice is once."""
    from controlplane.wiring import build

    names = build(target_of(settings_of(context))).take(uri)
    told = ", ".join(names) or "nothing: no inbox, taken before, or refused"
    emit({"file": uri, "batches": list(names)}, output, lambda: console.print(f"{uri}: {told}"))


@app.command()
def serve(
    context: typer.Context,
    port: Annotated[int, typer.Option(envvar="PORT", min=0, max=65535, help="Port to listen on.")] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Listen for events about uploads (Eventarc, Pub/Sub) and take each file at once. For a Cloud Run service.

    An event that is lost costs a delay only: every pass looks into the inboxes.
    """
    from controlplane.engine.events import EventServer
    from controlplane.wiring import build

    settings = settings_of(context)
    set_up_logs(settings)
    working = build(target_of(settings))
    with EventServer(host, port, working.take) as server:
        note(f"listening for uploads on http://{host}:{server.port}; stop with Ctrl-C")
        server.run()


def _read(uri: str) -> tuple["Parameters", str]:
    """Read and check the file. Raises SpecError with every problem in it."""
    from controlplane.api import SpecError
    from controlplane.gateways.parameters import ParametersReader

    reader = ParametersReader()
    path = uri if "://" in uri else Path(uri).resolve().as_uri()
    folder, _, name = path.rpartition("/")
    if "://" not in uri:
        name = Path(uri).name
    found = reader.read(reader.tray(folder), name)
    if isinstance(found, str):
        raise SpecError([_problem(line) for line in found.splitlines()])
    return found, name


def _problem(line: str) -> "Problem":
    from controlplane.api import Problem

    place, _, told = line.partition(": ")
    return Problem(place, *parts(told))


def _address(out: str | None, settings: Settings) -> str:
    from controlplane.api import Problem, SpecError

    if out is not None and "://" in out:
        return out.rstrip("/")
    if not settings.local:
        raise SpecError([Problem("--out", "is no bucket", "name one such as gs://my-bucket/pictures")])
    return Path(out or "pictures").resolve().as_uri()


def _image(image: str | None, settings: Settings) -> str:
    from controlplane.api import Problem, SpecError

    if image is None and not settings.local:
        raise SpecError([Problem("--image", "is missing", "name the image of the web UI that your clusters can pull")])
    return image or LOCAL_IMAGE


def _checked(namespace: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Give the GPUBatch that stands for the folder of copies; every mistake in the options is told by its field."""
    from controlplane.api import parse_batch
    from controlplane.api.checking import API_VERSION

    metadata = {"name": "submitted", "namespace": namespace}
    template = {"apiVersion": API_VERSION, "kind": "GPUBatch", "metadata": metadata, "spec": dict(spec)}
    parse_batch({**template, "spec": {**spec, "parameters": f"{spec['parameters']}file.yaml"}})
    return template


def _brief(status: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("phase", "done", "failed", "workers", "regions", "accelerators", "cost")
    return {key: status[key] for key in kept if key in status}


def _row(batch: Mapping[str, Any]) -> dict[str, Any]:
    metadata, status = batch["metadata"], batch.get("status") or {}
    spec = batch.get("spec") or {}
    row = {
        "namespace": metadata.get("namespace"),
        "name": metadata.get("name"),
        "phase": status.get("phase", "Pending"),
    }
    if str(spec.get("parameters", "")).endswith("/"):
        return {
            **row,
            "inbox": spec["parameters"],
            "taken": status.get("taken", 0),
            "rejected": status.get("rejected", []),
        }
    return {**row, **_brief(status), "output": spec.get("output", "")}


def _show_end(result: Mapping[str, Any]) -> None:
    console.print(
        f"{result['namespace']}/{result['name']}: {result['phase']}, {result.get('done', '?')} pictures, "
        f"{result.get('failed', 0)} failed, {result.get('cost', '0')} $, in {result.get('regions') or 'no region'}",
        soft_wrap=True,
    )
    console.print(f"{result['output']}", soft_wrap=True)


def _show_list(rows: list[dict[str, Any]]) -> None:
    if not rows:
        console.print("no GPUBatch; `batch submit` makes one")
        return
    table(
        ("NAME", "PHASE", "DONE", "FAILED", "WORKERS", "REGIONS", "$"),
        [
            [f"{r['namespace']}/{r['name']}", r["phase"], r.get("done") or r.get("taken", ""), r.get("failed", ""),
             r.get("workers", ""), r.get("regions") or r.get("inbox", ""), r.get("cost", "")]
            for r in rows
        ],
    )  # fmt: skip


def _show_one(row: Mapping[str, Any]) -> None:
    _show_list([dict(row)])
    conditions = [[c["type"], c["status"], c["reason"], c["message"]] for c in row["conditions"]]
    if conditions:
        table(("CONDITION", "STATUS", "REASON", "MESSAGE"), conditions)
