"""`simulate`: the hunt replayed on recorded or made-up capacity, beside the policies it is measured against."""

from collections.abc import Sequence
from dataclasses import fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.output import Output, OutputOption, console, emit, note

if TYPE_CHECKING:
    from controlplane.simulate.calls import Call, Source
    from controlplane.simulate.making import Making

MAKING = "Making traces"


class PresetName(StrEnum):
    """What is valued, in a word."""

    FRUGAL = "frugal"
    BALANCED = "balanced"
    AVAILABLE = "available"


class PatternName(StrEnum):
    """Whose recorded capacity is imitated."""

    AWS = "aws"
    GOOGLE = "google"


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(simulate)


def simulate(
    context: typer.Context,
    more: Annotated[list[Path] | None, typer.Argument(help="More traces.", metavar="[FILE]...")] = None,
    trace: Annotated[
        list[Path] | None, typer.Option("--trace", "-t", help="Trace of capacity (JSON); several may follow.")
    ] = None,
    replicas: Annotated[int | None, typer.Option(min=1, max=1000, help="Replicas wanted.", show_default="4")] = None,
    service: Annotated[
        Path | None, typer.Option(help="Replay this GPUService (YAML) instead of one of no wishes.")
    ] = None,
    preset: Annotated[PresetName | None, typer.Option(help="What is valued.", show_default="balanced")] = None,
    missing_replica_cost: Annotated[
        str | None,
        typer.Option(help="USD for each hour in which a wanted replica does not serve; several with commas."),
    ] = None,
    capacity_types: Annotated[
        str | None, typer.Option(help="Kinds of capacity, with a comma.", show_default="spot,on-demand")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Replay every policy that is known.")] = False,
    policy: Annotated[
        list[str] | None, typer.Option(help="Replay this policy (repeat it).", show_default="hunter, spothedge")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Use only zones whose name matches, such as 'us-*'.")] = None,
    loop: Annotated[
        str, typer.Option(help="Seconds from one decision to the next; several with commas: 30,60,300.")
    ] = "30",
    answer: Annotated[float, typer.Option(help="Seconds until it is known what a request got.")] = 60.0,
    ready: Annotated[float, typer.Option(help="Seconds from the request until a replica serves.")] = 180.0,
    plot: Annotated[Path | None, typer.Option(help="Draw what was held where over time, into this PNG.")] = None,
    tradeoff: Annotated[
        Path | None,
        typer.Option(
            help="Replay ours at several costs of a missing replica beside the others; draw cost against availability "
            "into this PNG."
        ),
    ] = None,
    shape: Annotated[
        bool, typer.Option("--shape", help="Show what shape the traces have, side by side; replay nothing.")
    ] = False,
    synthesize: Annotated[
        Path | None,
        typer.Option(
            help="Write a made-up trace of the recorded shape here. Without it, and without --trace, what is made is "
            "replayed.",
            rich_help_panel=MAKING,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same trace.", rich_help_panel=MAKING)] = 1,
    seeds: Annotated[int, typer.Option(help="How many traces: of so many seeds on.", rich_help_panel=MAKING)] = 1,
    pattern: Annotated[
        PatternName, typer.Option(help="Whose capacity it is like.", rich_help_panel=MAKING)
    ] = PatternName.GOOGLE,
    zones: Annotated[int, typer.Option(help="How many zones.", rich_help_panel=MAKING)] = 9,
    regions: Annotated[
        str | None,
        typer.Option(
            help="How many regions they lie in, or their names with commas.",
            show_default="3, or those the service allows",
            rich_help_panel=MAKING,
        ),
    ] = None,
    days: Annotated[float, typer.Option(help="How long it is.", rich_help_panel=MAKING)] = 27.0,
    interval: Annotated[float, typer.Option(help="Seconds that a count of capacity holds.", rich_help_panel=MAKING)] = (
        300.0
    ),
    most: Annotated[
        int | None, typer.Option(help="Most replicas a zone can hold; none for no bound.", rich_help_panel=MAKING)
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option(help="GPU type it sells.", show_default="gpu, or the service's first", rich_help_panel=MAKING),
    ] = None,
    on_demand_price: Annotated[
        float | None,
        typer.Option(
            help="USD an hour for a replica on demand.",
            show_default="the price table's, else 10",
            rich_help_panel=MAKING,
        ),
    ] = None,
    price_ratio: Annotated[
        float, typer.Option(help="The dearest Spot price over the cheapest.", rich_help_panel=MAKING)
    ] = 4.5,
    output: OutputOption = Output.TABLE,
) -> None:
    """Replay capacity over time through the decision that runs in production, and through policies known from papers.

    Availability is the share of time with all replicas ready. Cost is the share of what all of them on demand
    throughout would have cost. Traces are recorded files, or made from seeds: `simulate --seeds 20 --days 7`.
    """
    from controlplane.simulate import asked
    from controlplane.simulate.calls import Call, check_pictures, sources_of
    from controlplane.simulate.making import Making
    from controlplane.simulate.service import Wish
    from controlplane.simulate.synthesis import Pattern

    files = [*(trace or ()), *(more or ())]
    given = [name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]
    making = Making(
        seed=seed,
        seeds=seeds,
        pattern=Pattern(pattern.value),
        zones=zones,
        regions=regions,
        days=days,
        most=most,
        interval=interval,
        price_ratio=price_ratio,
        on_demand_price=on_demand_price,
        accelerator=accelerator,
    )
    making_options = {one.name for one in fields(Making)}
    if synthesize is not None:
        if set(given) - {"synthesize", "output", "service", *making_options}:
            raise asked.wrong("--synthesize", "makes a trace and replays none", "call it first, then with --trace")
        _synthesize(synthesize, output, making, service)
        return
    makes = [one for one in given if one in making_options]
    if not files and not makes:
        remedy = "name a trace, have one made (--seed 1), or make one to keep (--synthesize trace.json)"
        raise asked.wrong("--trace", "is missing", remedy)
    for name in makes if files else ():
        note(f"--{name.replace('_', '-')} has no part in a replay of files")
    if shape:
        if set(given) - {"shape", "output", "service", "trace", "more", *making_options}:
            raise asked.wrong("--shape", "replays nothing", "leave out what is said of the replay")
        _shapes(sources_of(files, making, service), output)
        return
    worths = asked.worths_of(missing_replica_cost)
    wish = Wish(
        replicas=replicas,
        capacity_types=None if capacity_types is None else asked.capacity_types_of(capacity_types),
        policy=asked.policy_of(preset, worths[0] if len(worths) == 1 else None),
        file=service,
    )
    call = Call(
        wish=wish,
        scorings=asked.scorings_of(loop, answer, ready),
        only=only,
        names=asked.names_of(policy or ()),
        worths=worths,
        compare=compare or (tradeoff is not None and not policy),
        plot=plot,
        tradeoff=tradeoff,
    )
    check_pictures(call, len(files) or seeds)
    _replay(files, making, call, output)


def _replay(files: Sequence[Path], making: "Making", call: "Call", output: Output) -> None:
    from controlplane.cli import replays
    from controlplane.simulate.calls import plans_of, run, sources_of

    plans = plans_of(sources_of(files, making, call.wish.file), call, note)
    with replays.progress(len(call.scorings) * sum(len(plan.entrants) for plan in plans)) as done:
        data, histories = run(plans, call, done)
    emit(data, output, lambda: replays.show(data))
    if call.plot is not None:
        from controlplane.simulate.plot import draw

        draw(histories, call.plot)
        note(f"drawn: {call.plot}")
    if call.tradeoff is not None:
        replays.draw(data, call.tradeoff)


def _synthesize(path: Path, output: Output, making: "Making", service: Path | None) -> None:
    from controlplane.simulate import synthesis
    from controlplane.simulate.asked import wrong
    from controlplane.simulate.making import made
    from controlplane.simulate.reading import write_trace
    from controlplane.simulate.service import read_service

    if making.seeds != 1:
        raise wrong("--seeds", "one file holds one trace", "leave out --seeds, or --synthesize to replay them at once")
    (trace,) = made(making, None if service is None else read_service(service))
    write_trace(trace, path)
    shape = synthesis.shape_of(trace)
    data = {"trace": trace.name, "file": str(path), "seed": making.seed, "shape": shape.as_dict()}

    def show() -> None:
        console.print(f"{path}: {trace.name}, {len(trace.zones)} zones, {making.days:g} days", soft_wrap=True)
        console.print(synthesis.table({trace.name: shape}))

    emit(data, output, show)


def _shapes(sources: "Sequence[Source]", output: Output) -> None:
    from controlplane.simulate import synthesis

    shapes = [(trace.name, file, synthesis.shape_of(trace)) for file, trace in sources]
    data = {"shapes": [{"trace": name, "file": file, **shape.as_dict()} for name, file, shape in shapes]}
    emit(data, output, lambda: console.print(synthesis.table({name: one for name, _, one in shapes}), soft_wrap=True))
