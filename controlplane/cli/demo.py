"""`demo`: the five acts, shown to a person or given as data."""

import shutil
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from controlplane.cli.connect import local_dir, settings_of
from controlplane.cli.output import Output, OutputOption, console, emit, fail_line, note, notes, table


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(demo)


def demo(
    context: typer.Context,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the local cloud running afterwards, to look around.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Play the five acts: one address, expansion, wiring, failure, recovery, under load all the time.

    It uses a local cloud of its own and touches no other.
    """
    from controlplane.demo.play import Play
    from controlplane.demo.stage import DemoError
    from controlplane.localcloud import control
    from controlplane.wiring import build, configure_logs

    configure_logs(machine=False, verbose=settings_of(context).verbose)
    signal.signal(signal.SIGTERM, _interrupt)
    where = local_dir(settings_of(context)).with_name("gpu-hunter-demo")
    control.reset(where)
    try:
        stage = _set_the_stage(where, build, verbose=output is Output.TABLE)
        with notes.status("") as status:
            performance = Play(stage, stage.clock, _teller(status), _curtain(output)).perform()
    except DemoError as error:
        fail_line(str(error))
        control.down(where)
        note(f"What the local cloud wrote is in {where}.")
        raise typer.Exit(1) from error
    except BaseException:
        control.down(where)
        raise
    if not keep:
        control.reset(where)
        shutil.rmtree(where, ignore_errors=True)
    emit(performance.as_dict(), output, lambda: _summary(performance))
    if keep:
        note(f"The local cloud goes on: {_again(where)} status")
    raise typer.Exit(0 if performance.succeeded else 1)


def _interrupt(_number: int, _frame: object) -> None:
    """Take SIGTERM as Ctrl-C, so that the local cloud is stopped on the way out."""
    raise KeyboardInterrupt


def _again(where: Path) -> str:
    return f"python -m controlplane --state-dir {where}"


def _set_the_stage(where: Path, build: Any, *, verbose: bool) -> Any:
    from controlplane.clock import SystemClock
    from controlplane.demo.play import SERVICE
    from controlplane.demo.scenario import demo_scenario
    from controlplane.demo.stage import Stage
    from controlplane.localcloud import control
    from controlplane.wiring import Target, read_services

    status = control.up(where, demo_scenario(where), progress=note)
    if verbose:
        rows = [[c.name, c.location, c.role, c.endpoint] for c in status.clusters]
        table(("CLUSTER", "LOCATION", "ROLE", "API"), rows, title="The local cloud")
    found = control.connection(where)
    target = Target(
        found.project, found.config_cluster, found.endpoints, found.ca_file, found.credentials_file, found.prices_file
    )
    clock = SystemClock()
    app = build(target, clock=clock)
    app.apply(read_services(SERVICE, prices=target.prices_file))
    return Stage(where, app, clock, note)


def _teller(status: Any) -> Any:
    def tell(text: str) -> None:
        status.update(text)
        note(f"    {text}")

    return tell


def _curtain(output: Output) -> Any:
    from controlplane.demo.acts import ACTS

    def curtain(act: Any, played: Any, tally: Any) -> None:
        number = ACTS.index(act) + 1
        if output is not Output.TABLE:
            note(f"act {number}: {act.name}" + (f" done in {played.seconds:.1f} s" if played else ""))
        elif played is None:
            console.rule(f"[bold]Act {number}: {act.title}", align="left")
        else:
            for line in played.shown.lines:
                console.print(f"  {line}", soft_wrap=True)
            style = "red" if tally.failed else "dim"
            console.print(
                f"  [green]done[/green] in {played.seconds:.1f} s  "
                f"[{style}]requests so far: {tally.ok} answered, {tally.failed} failed[/{style}]"
            )

    return curtain


def _summary(performance: Any) -> None:
    console.rule("[bold]Summary", align="left")
    rows = [[n + 1, p.act.title, f"{p.seconds:.1f} s"] for n, p in enumerate(performance.acts)]
    table(("ACT", "WHAT", "TOOK"), rows)
    tally = performance.requests
    latency = tally.as_dict()["latency_ms"]
    style = "green" if tally.failed == 0 else "red"
    console.print(f"\n[{style}]{tally.ok} requests answered, {tally.failed} failed[/{style}]; milliseconds: {latency}")
    for who, count in tally.regions.items():
        console.print(f"  {count:6d} answered by {who}")
    for error in tally.errors:
        console.print(f"  [red]{error}[/red]")
    console.print(f"{performance.actions} actions in {performance.seconds:.0f} s")
