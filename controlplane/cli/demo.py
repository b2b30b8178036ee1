"""`demo`: the five acts, shown to a person or given as data."""

import contextlib
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from controlplane.cli.connect import local_dir, settings_of
from controlplane.cli.output import Output, OutputOption, console, emit, fail_line, note, notes, table

SCENARIO = "demo-scenario.yaml"
SHOWN = 4  # pictures of each place in the terminal


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(demo)


def demo(
    context: typer.Context,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the local cloud running afterwards, to look around.")
    ] = False,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="PNG to show what was drawn where. Default: beside the local cloud's folder."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Play the five acts: one address, expansion, wiring, failure, recovery, under load all the time.

    The app is the Stable Diffusion web UI with its small model, and what it draws meanwhile is shown at the end. It
    uses a local cloud of its own and touches no other.
    """
    from controlplane.demo.play import Play
    from controlplane.demo.stage import DemoError
    from controlplane.localcloud import control
    from controlplane.wiring import build, configure_logs

    configure_logs(machine=False, verbose=settings_of(context).verbose)
    signal.signal(signal.SIGTERM, _interrupt)
    where = _folder_of(local_dir(settings_of(context)))
    control.reset(where)
    try:
        stage = _set_the_stage(where, build, verbose=output is Output.TABLE)
        with notes.status("") as status:
            stage.say = _teller(status)
            performance = Play(stage, stage.clock, _curtain(output, status)).perform()
    except DemoError as error:
        fail_line(str(error))
        control.down(where)
        note(f"What the local cloud wrote is in {where}.")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        _clear(where)
        note("Interrupted; the demonstration's local cloud is stopped and removed.")
        raise
    except BaseException:
        control.down(where)
        raise
    if not keep:
        _clear(where)
    sheet = _sheet(pictures or where.with_name(f"{where.name}-pictures.png"), performance)
    emit({**performance.as_dict(), "sheet": sheet}, output, lambda: _summary(performance, sheet))
    if keep:
        note(f"The local cloud goes on: {_again(where)} status")
    raise typer.Exit(0 if performance.succeeded else 1)


def _folder_of(usual: Path) -> Path:
    """Give the folder of the demonstration's own local cloud, beside that of the usual one."""
    usual = usual.absolute()
    return usual.with_name(f"{usual.name}-demo") if usual.name else usual / "gpu-hunter-demo"


def _clear(where: Path) -> None:
    """Remove what the demonstration made. A folder that holds anything else stays, with what is in it."""
    from controlplane.localcloud import control

    control.reset(where)
    for name in ("daemon.lock", SCENARIO):
        (where / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        where.rmdir()


def _sheet(file: Path, performance: Any) -> str:
    from controlplane.demo.gallery import save_sheet
    from controlplane.demo.stage import DemoError

    try:
        return str(save_sheet(file, performance.drawn))
    except DemoError as error:  # five acts are not worth less for it
        fail_line(str(error))
        return ""


def _interrupt(_number: int, _frame: object) -> None:
    """Take SIGTERM as Ctrl-C, so that the local cloud is stopped on the way out."""
    raise KeyboardInterrupt


def _again(where: Path) -> str:
    return f"python -m controlplane --state-dir {where}"


def _set_the_stage(where: Path, build: Any, *, verbose: bool) -> Any:
    from controlplane.clock import SystemClock
    from controlplane.demo.play import SERVICE
    from controlplane.demo.scenario import demo_scenario
    from controlplane.demo.stage import Stage, local_target
    from controlplane.localcloud import control
    from controlplane.wiring import read_services

    status = control.up(where, demo_scenario(where / SCENARIO), progress=note)
    if verbose:
        rows = [[c.name, c.location, c.role, c.endpoint] for c in status.clusters]
        table(("CLUSTER", "LOCATION", "ROLE", "API"), rows, title="The local cloud")
    target = local_target(where)
    clock = SystemClock()
    app = build(target, clock=clock)
    app.apply(read_services(SERVICE, prices=target.prices_file))
    return Stage(where, app, clock, note)


def _teller(status: Any) -> Any:
    def tell(text: str) -> None:
        status.update(text[:60])
        notes.print(Padding(Text(text, style="dim"), (0, 0, 0, 4)))

    return tell


def _curtain(output: Output, status: Any) -> Any:
    from controlplane.demo.acts import ACTS

    def curtain(act: Any, played: Any, counts: Any) -> None:
        status.stop()  # it turns on stderr, and what follows goes to stdout: they would overwrite each other
        draw(act, played, counts)
        if played is None:
            status.update(act.title)
            status.start()

    def draw(act: Any, played: Any, counts: Any) -> None:
        number = ACTS.index(act) + 1
        if output is not Output.TABLE:
            note(f"act {number}: {act.name}" + (f" done in {played.seconds:.1f} s" if played else ""))
        elif played is None:
            console.rule(f"[bold]Act {number}: {act.title}", align="left")
        else:
            for line in played.shown.lines:
                if act.name == "wiring":  # manifests: their lines stay whole, to be copied
                    console.print(Text(f"  {line}"), soft_wrap=True)
                else:
                    console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
            style = "red" if counts.failed else "dim"
            console.print(
                f"  [green]done[/green] in {played.seconds:.1f} s  [{style}]so far: {counts.pages.ok} pages read, "
                f"{counts.pictures.ok} pictures drawn, {counts.failed} failed[/{style}]"
            )

    return curtain


def _summary(performance: Any, sheet: str) -> None:
    from controlplane.demo.gallery import in_characters

    console.rule("[bold]Summary", align="left")
    rows = [[n + 1, p.act.title, f"{p.seconds:.1f} s"] for n, p in enumerate(performance.acts)]
    table(("ACT", "WHAT", "TOOK"), rows)
    if console.color_system in {"truecolor", "256"}:
        for place, drawn in performance.drawn.items():
            console.print(Panel.fit(in_characters(drawn[:SHOWN]), title=f"drawn in {place}", title_align="left"))
    counts = performance.counts
    _counted("pages read", counts.pages)
    _counted("pictures drawn", counts.pictures)
    if counts.pictures.again:
        console.print(f"  {counts.pictures.again:6d} asked for again, since their replica went away meanwhile")
    if sheet:
        console.print(Text(f"\nWhat was drawn where: {sheet}"), soft_wrap=True)
    console.print(f"{performance.actions} actions in {performance.seconds:.0f} s")


def _counted(what: str, tally: Any) -> None:
    latency = ", ".join(f"{name} {value:g} ms" for name, value in tally.as_dict()["latency_ms"].items())
    style = "green" if tally.failed == 0 else "red"
    console.print(f"\n[{style}]{tally.ok} {what}, {tally.failed} failed[/{style}]; {latency}", soft_wrap=True)
    for who, count in tally.regions.items():
        console.print(f"  {count:6d} by {who}")
    for error in tally.errors:
        console.print(f"  [red]{error}[/red]")
