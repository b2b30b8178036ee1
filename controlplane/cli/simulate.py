"""`simulate`: the hunt replayed on recorded or made-up capacity, beside the policies it is measured against."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.output import Output, OutputOption, console, emit, note, notes, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controlplane.model.service import ServiceSpec
    from controlplane.simulate.market import Scoring
    from controlplane.simulate.service import Wish
    from controlplane.simulate.trace import Trace

MAKING, MAKES = "Making a trace", {"seed", "pattern", "zones", "regions", "days", "most"}
COLUMNS = ("POLICY", "AVAIL %", "COST %", "COST/HEDGE", "ATTEMPTS", "FAILED", "LOST", "MOVES", "OUT MIN")


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
        float | None, typer.Option(help="USD for each hour in which a wanted replica does not serve.")
    ] = None,
    capacity_types: Annotated[
        str | None, typer.Option(help="Kinds of capacity, with a comma.", show_default="spot,on-demand")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Replay every policy that is known.")] = False,
    policy: Annotated[
        list[str] | None, typer.Option(help="Replay this policy (repeat it).", show_default="hunter, spothedge")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Use only zones whose name matches, such as 'us-*'.")] = None,
    loop: Annotated[float, typer.Option(help="Seconds from one decision to the next.")] = 30.0,
    answer: Annotated[float, typer.Option(help="Seconds until it is known what a request got.")] = 60.0,
    ready: Annotated[float, typer.Option(help="Seconds from the request until a replica serves.")] = 180.0,
    plot: Annotated[Path | None, typer.Option(help="Draw what was held where over time, into this PNG.")] = None,
    synthesize: Annotated[
        Path | None, typer.Option(help="Write a made-up trace of the recorded shape here.", rich_help_panel=MAKING)
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same trace.", rich_help_panel=MAKING)] = 1,
    pattern: Annotated[
        PatternName, typer.Option(help="Whose capacity it is like.", rich_help_panel=MAKING)
    ] = PatternName.GOOGLE,
    zones: Annotated[int, typer.Option(help="How many zones.", rich_help_panel=MAKING)] = 9,
    regions: Annotated[int, typer.Option(help="How many regions they lie in.", rich_help_panel=MAKING)] = 3,
    days: Annotated[float, typer.Option(help="How long it is.", rich_help_panel=MAKING)] = 27.0,
    most: Annotated[
        int | None, typer.Option(help="Most replicas a zone can hold; none for no bound.", rich_help_panel=MAKING)
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Replay capacity over time through the decision that runs in production, and through policies known from papers.

    Availability is the share of time with all replicas ready. Cost is the share of what all of them on demand
    throughout would have cost. `--synthesize` makes a trace; recorded ones have the same form.
    """
    from controlplane.simulate import asked
    from controlplane.simulate.service import Wish

    files = [*(trace or ()), *(more or ())]
    given = [name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]
    if synthesize is not None:
        if set(given) - {"synthesize", "output", *MAKES}:
            raise asked.wrong("--synthesize", "makes a trace and replays none", "call it first, then with --trace")
        _synthesize(synthesize, output, seed=seed, pattern=pattern, zones=zones, regions=regions, days=days, most=most)
        return
    if not files:
        raise asked.wrong("--trace", "is missing", "name a trace, or make one: --synthesize trace.json")
    for name in (one for one in given if one in MAKES):
        note(f"--{name} has no part in a replay, only in --synthesize")
    scoring = asked.scoring_of(loop, answer, ready)
    types = None if capacity_types is None else asked.capacity_types_of(capacity_types)
    wish = Wish(replicas, types, asked.policy_of(preset, missing_replica_cost), service)
    names = asked.names_of(policy or ())
    if plot is not None:
        _check_plot(plot, files, names)
    _replay(files, wish, scoring, only, names, compare=compare, plot=plot, output=output)


def _replay(
    files: Sequence[Path],
    wish: "Wish",
    scoring: "Scoring",
    only: str | None,
    names: list[str],
    *,
    compare: bool,
    plot: Path | None,
    output: Output,
) -> None:
    from controlplane.api.problems import SpecError
    from controlplane.simulate.optimum import missing
    from controlplane.simulate.registry import HUNTER, OMNISCIENT, chosen
    from controlplane.simulate.report import of_trace, settings_of, together
    from controlplane.simulate.runs import Job, run_all

    lack = missing()
    if lack is not None and OMNISCIENT in names:
        raise SpecError([lack])
    if lack is not None and compare:
        note(f"left out: {lack}")
    drawn = [] if plot is None else names or [HUNTER]
    plans: list[tuple[Path, list[Job]]] = []
    for file in files:
        trace, spec = _prepared(file, wish, scoring, only)
        policies = chosen(names, spec, compare=compare)
        if OMNISCIENT not in names and OMNISCIENT in policies and lack is not None:
            policies.remove(OMNISCIENT)
        plans.append((file, [Job(one, spec, trace, scoring, keep_history=one in drawn) for one in policies]))
    with _progress(sum(len(jobs) for _, jobs in plans)) as done:
        ran = iter(run_all([job for _, jobs in plans for job in jobs], done))
    reports, histories = [], []
    for file, jobs in plans:
        outcomes = [next(ran) for _ in jobs]
        reports.append(of_trace(str(file), jobs[0].trace, jobs[0].spec, [result for result, _ in outcomes]))
        histories += [history for _, history in outcomes if history is not None]
    data = {"settings": settings_of(scoring), "traces": reports, "policies": together(reports)}
    emit(data, output, lambda: _show(data))
    if plot is not None:
        from controlplane.simulate.plot import draw

        draw(histories, plot)
        note(f"drawn: {plot}")


def _prepared(file: Path, wish: "Wish", scoring: "Scoring", only: str | None) -> "tuple[Trace, ServiceSpec]":
    """Read a trace and the service for it; what does not fit is told with the trace's file."""
    from controlplane.api.problems import SpecError
    from controlplane.simulate.reading import read_trace
    from controlplane.simulate.replay import check_length
    from controlplane.simulate.service import fitted, service_of
    from controlplane.simulate.service import only as filtered

    trace = read_trace(file)
    spec = service_of(wish, trace)
    try:
        check_length(trace, scoring)
        return fitted(trace if only is None else filtered(trace, only), spec), spec
    except SpecError as error:
        raise SpecError([replace(problem, source=str(file)) for problem in error.problems]) from error


def _synthesize(
    path: Path,
    output: Output,
    *,
    seed: int,
    pattern: PatternName,
    zones: int,
    regions: int,
    days: float,
    most: int | None,
) -> None:
    from controlplane.simulate import synthesis
    from controlplane.simulate.reading import write_trace

    kind = synthesis.Pattern(pattern.value)
    made = synthesis.synthesize(seed, kind, zones=zones, regions=regions, days=days, most=most)
    write_trace(made, path)
    shape = synthesis.shape_of(made)
    data = {"trace": made.name, "file": str(path), "seed": seed, "shape": shape.as_dict()}

    def show() -> None:
        console.print(f"{path}: {made.name}, {len(made.zones)} zones, {days:g} days")
        console.print(synthesis.table({made.name: shape}))

    emit(data, output, show)


def _check_plot(plot: Path, files: Sequence[Path], names: Sequence[str]) -> None:
    """Find what keeps a picture from being drawn before minutes go into the replay."""
    from controlplane.simulate.asked import wrong
    from controlplane.simulate.plot import check
    from controlplane.simulate.registry import OMNISCIENT

    if len(files) > 1:
        raise wrong("--plot", f"draws one trace, {len(files)} are given", "give one")
    if list(names) == [OMNISCIENT]:
        raise wrong("--plot", f"{OMNISCIENT} has a cost but no history to draw", "name another policy")
    check(plot)


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[float], None]]":
    """Show how far the replays are, on a terminal only."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("replaying"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield lambda done: progress.update(task, completed=done)


def _show(data: Mapping[str, Any]) -> None:
    delays = data["settings"]
    for report in data["traces"]:
        valued = report["missing_replica_cost"]
        policy = f"{valued:g} USD per missing replica and hour" if valued else report["preset"] or "no preset"
        console.print(f"{report['trace']}: {', '.join(report['accelerators'])}, {report['days']:.1f} days, ", end="")
        console.print(f"{len(report['zones'])} zones, {report['replicas']} replicas, ", end="")
        console.print(f"{' and '.join(report['capacity_types'])}, {policy}", soft_wrap=True)
        _figures(report["policies"])
    if len(data["traces"]) > 1:
        console.print(f"Over {len(data['traces'])} traces: means; sums of what is counted; the longest outage")
        _figures(data["policies"])
    note(
        f"asked every {delays['loop_seconds']:g} s; an answer takes {delays['answer_seconds']:g} s, "
        f"a replica {delays['ready_seconds']:g} s; the first {delays['left_out_seconds'] / 60:g} min do not count; "
        "cost: 100 % is all on demand"
    )


def _figures(policies: Mapping[str, Mapping[str, float]]) -> None:
    from controlplane.simulate.registry import SPOTHEDGE

    hedge = policies.get(SPOTHEDGE, {}).get("cost")
    rows = [
        (
            name,
            f"{100 * figures['availability']:.2f}",
            f"{100 * figures['cost']:.1f}",
            f"{figures['cost'] / hedge:.2f}" if hedge else "-",
            *(f"{figures[key]:,}" for key in ("attempts", "failed_attempts", "preemptions", "moves")),
            f"{figures['longest_outage_minutes']:,.0f}",
        )
        for name, figures in policies.items()
    ]
    widths = [max(len(column), *(len(row[place]) for row in rows)) for place, column in enumerate(COLUMNS)]
    numbers = list(zip(COLUMNS, widths, strict=True))[1:]
    heads = [COLUMNS[0], *(head.rjust(width) for head, width in numbers)]
    table(heads, [[row[0], *map(str.rjust, row[1:], widths[1:])] for row in rows], gap=1)
    console.print()
