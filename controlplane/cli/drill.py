"""`fail` and `recover`: what goes wrong in the world, done to the local cloud on purpose."""

from typing import Annotated, Any

import typer

from controlplane.cli.connect import local_dir, settings_of
from controlplane.cli.output import Output, OutputOption, console, emit

fail_app = typer.Typer(
    no_args_is_help=True, help="Break something in the local cloud: stock, Spot nodes, a region, an API."
)
recover_app = typer.Typer(no_args_is_help=True, help="Mend what `fail` broke.")

Region = Annotated[str, typer.Argument(help="Region, such as us-central1.")]
Accelerator = Annotated[
    str | None, typer.Option("--accelerator", "-a", help="GPU type, such as nvidia-l4; none means all.")
]
Capacity = Annotated[
    str | None, typer.Option("--capacity", "-c", help="on-demand, spot or flex-start; none means all.")
]


def _call(context: typer.Context, command: str, output: Output, said: str, **arguments: Any) -> None:
    from controlplane.localcloud import control

    given = {name: value for name, value in arguments.items() if value is not None}
    answer = control.call(local_dir(settings_of(context)), command, **given)
    emit(answer, output, lambda: console.print(said))


def _what(region: str, accelerator: str | None, capacity: str | None) -> str:
    return " ".join(part for part in (region, accelerator, capacity) if part)


@fail_app.command("stock-out")
def stock_out(
    context: typer.Context,
    region: Region,
    accelerator: Accelerator = None,
    capacity: Capacity = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """No more GPUs there: what runs keeps running, what is new is refused with `GCE out of resources`."""
    said = f"{_what(region, accelerator, capacity)}: out of stock"
    _call(context, "stock-out", output, said, region=region, accelerator=accelerator, capacity=capacity)


@fail_app.command()
def preempt(
    context: typer.Context,
    region: Region,
    accelerator: Accelerator = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many nodes; none means all.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take Spot nodes back, with the notice that Spot gets."""
    said = f"{_what(region, accelerator, 'spot')}: preempted"
    _call(context, "preempt", output, said, region=region, accelerator=accelerator, count=count)


@fail_app.command("region-down")
def region_down(context: typer.Context, region: Region, output: OutputOption = Output.TABLE) -> None:
    """The whole region is gone at once: API server, nodes and Pods, without notice."""
    _call(context, "region-down", output, f"{region}: down", region=region)


@fail_app.command()
def quota(
    context: typer.Context,
    region: Region,
    metric: Annotated[str, typer.Argument(help="Quota metric, such as PREEMPTIBLE_NVIDIA_L4_GPUS.")],
    limit: Annotated[float, typer.Argument(min=0, help="The new limit in GPUs.")] = 0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Change a region's quota; below what is used, new nodes are refused with `GCE quota exceeded`."""
    _call(context, "set-quota", output, f"{region}: {metric} is {limit:g}", region=region, metric=metric, limit=limit)


@fail_app.command()
def api(
    context: typer.Context,
    endpoint: Annotated[str, typer.Argument(help="Cluster name, `gcp` for the Google Cloud APIs, or `*` for all.")],
    kind: Annotated[
        str,
        typer.Argument(
            help="latency, 403, 429, 500, 503, hang, cut, lost-answer, stale-read, partial-list or expired-credential; "
            "of gcp also cluster-quota (no new cluster is granted) and cluster-error (its creation fails)."
        ),
    ],
    seconds: Annotated[float | None, typer.Option(help="Length of a latency.")] = None,
    times: Annotated[int | None, typer.Option(min=1, help="How often; none means until `recover api`.")] = None,
    path: Annotated[str | None, typer.Option(help="Only requests, or new clusters LOCATION/NAME, that match.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Only these HTTP methods.")] = None,
    probability: Annotated[float, typer.Option(min=0, max=1, help="Share of the requests it hits.")] = 1.0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make an API slow, wrong or silent."""
    fault = {"endpoint": endpoint, "kind": kind, "seconds": seconds, "times": times, "path": path, "methods": method}
    _call(context, "fault-add", output, f"{endpoint}: {kind}", **fault, probability=probability)


@fail_app.command()
def clock(
    context: typer.Context,
    seconds: Annotated[float, typer.Argument(help="By how much the clusters' clocks are ahead; negative is behind.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Shift the clocks of all clusters; `--` goes before a negative number."""
    _call(context, "clock-offset", output, f"the clusters' clocks are off by {seconds:g} s", seconds=seconds)


@recover_app.command("clock")
def recover_clock(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Set the clusters' clocks right."""
    _call(context, "clock-offset", output, "the clusters' clocks are right", seconds=0)


@recover_app.command()
def stock(
    context: typer.Context,
    region: Region,
    accelerator: Accelerator = None,
    capacity: Capacity = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Give a region its GPUs back."""
    said = f"{_what(region, accelerator, capacity)}: stock is back"
    _call(context, "restock", output, said, region=region, accelerator=accelerator, capacity=capacity)


@recover_app.command("region-up")
def region_up(context: typer.Context, region: Region, output: OutputOption = Output.TABLE) -> None:
    """Bring a region back, with the objects its API server had."""
    _call(context, "region-up", output, f"{region}: up", region=region)


@recover_app.command("api")
def recover_api(
    context: typer.Context,
    endpoint: Annotated[str | None, typer.Argument(help="Cluster name, `gcp`, or nothing for all.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Remove every fault that `fail api` put in."""
    _call(context, "fault-clear", output, f"{endpoint or 'all APIs'}: no faults", endpoint=endpoint)
