"""`bootstrap`: from an empty project to scheduled passes, and back to an empty project."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from controlplane.cli.connect import Settings, settings_of
from controlplane.cli.logs import set_up_logs
from controlplane.cli.output import Output, OutputOption, console, emit, note, table

if TYPE_CHECKING:
    from controlplane.bootstrap.plan import Step
    from controlplane.bootstrap.project import Bootstrap, Survey
    from controlplane.model.fleet import FleetSpec

TO_DO = 2
_STYLES = {
    "present": "green", "absent": "yellow", "differs": "yellow", "under way": "yellow", "failed": "bold red",
    "taken": "bold red", "unknown": "bold red",
}  # fmt: skip


class Mode(StrEnum):
    """What is done."""

    PLAN = "plan"
    APPLY = "apply"
    DESTROY = "destroy"


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(bootstrap)


def bootstrap(
    context: typer.Context,
    fleet: Annotated[
        Path | None, typer.Option("--fleet", "-f", help="The Fleet: what there is to be; as before the command.")
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show what there is, what would be made, what it costs.")
    ] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Make what is missing; can be repeated and resumed.")] = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Take down what was made, and nothing else.")] = False,
    script: Annotated[
        bool,
        typer.Option("--script", help="Print it as gcloud commands instead; with --destroy, those that take down."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    with_services: Annotated[
        bool, typer.Option("--with-services", help="With --destroy: take down GPUServices that are still there first.")
    ] = False,
    image_tag: Annotated[
        str, typer.Option(help="Tag of a reconciler's image that is in the repository; none means: build this code.")
    ] = "",
    project_prices: Annotated[
        Path | None, typer.Option(help="Table of prices (YAML) of clusters, jobs and addresses; none: built in.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a project ready to hunt in: APIs, accounts, clusters, fleet, address, image, scheduled job. Plans only.

    --plan leaves with 0 when nothing is to be done, with 2 when something is. --apply looks at each part and makes
    what is missing; after a failure or an interruption, run it again.
    """
    mode = _mode(plan=plan, apply=apply, destroy=destroy)
    settings = settings_of(context)
    set_up_logs(settings)
    asked = _Asked(settings, fleet, image_tag, project_prices, output)
    if script:
        typer.echo(asked.script(undo=mode is Mode.DESTROY), nl=False)
    elif mode is Mode.PLAN:
        _plan(asked)
    elif mode is Mode.APPLY:
        _apply(asked, yes=yes)
    else:
        _destroy(asked, yes=yes, with_services=with_services)


class _Asked:
    """What the options say, and what follows from them."""

    def __init__(
        self, settings: Settings, fleet: Path | None, image_tag: str, prices: Path | None, output: Output
    ) -> None:
        from controlplane.api import Problem, SpecError
        from controlplane.api.project_prices import DEFAULT_TABLE, load_project_prices

        fleet = fleet or settings.fleet
        if fleet is None:
            raise SpecError([Problem("--fleet", "is missing", "name the file of the Fleet, or set GPUHUNTER_FLEET")])
        self.settings, self.output, self.tag = replace(settings, fleet=fleet), output, image_tag
        self.spec, self.object = _read_fleet(fleet)
        self.prices = load_project_prices(prices or DEFAULT_TABLE)
        self.file = fleet

    def open(self) -> "Bootstrap":
        """Build what works on the project."""
        from controlplane.bootstrap.assembly import bootstrap as assembled
        from controlplane.bootstrap.run import Patience
        from controlplane.clock import SystemClock
        from controlplane.wiring import project_of

        project = project_of(_target(self.settings, self.spec))
        say: Callable[[str, str], None] = lambda part, what: note(f"{part}: {what}")  # noqa: E731
        return assembled(
            project, self.spec, self.object, clock=SystemClock(), say=say, patience=Patience(), tag=self.tag
        )

    def script(self, *, undo: bool) -> str:
        """Give the gcloud script; nothing is asked of the cloud for it but the project's number."""
        from controlplane.bootstrap.script import script

        return script(self.open().parts(), title=f"project {self.spec.project}", undo=undo)

    def gpus(self) -> list[tuple[str, str, str, float]]:
        """Give what GPUs cost an hour in the regions of the fleet."""
        from controlplane.api.prices import DEFAULT_TABLE, load_prices
        from controlplane.bootstrap.costs import gpu_rows

        regions = (*self.spec.regions, *(self.spec.on_demand.regions if self.spec.on_demand else ()))
        return list(gpu_rows(load_prices(self.settings.prices or DEFAULT_TABLE), regions))


def _plan(asked: _Asked) -> None:
    opened = asked.open()
    survey = opened.survey()
    data = _data(survey, asked, opened)
    emit(data, asked.output, lambda: _show(survey, data))
    raise typer.Exit(TO_DO if survey.changes or survey.missing else 0)


def _apply(asked: _Asked, *, yes: bool) -> None:
    opened = asked.open()
    survey = opened.survey()
    data = _data(survey, asked, opened)
    if survey.changes and asked.output is Output.TABLE and not yes:
        _show(survey, data)
    _stop_if_blocked(survey)
    if survey.changes:
        note(f"{len(survey.changes)} parts to make, in all about {data['monthly']:.2f} USD a month without GPUs")
    if survey.changes and not yes:
        _agreed(f"Make these in project {asked.spec.project}?")
    outcome = opened.apply()
    done = [{"part": part, "done": what} for part, what in outcome.done]
    emit({"project": asked.spec.project, "done": done}, asked.output, lambda: _show_done(done, "made", asked))


def _destroy(asked: _Asked, *, yes: bool, with_services: bool) -> None:
    opened = asked.open()
    survey = opened.survey(destroy=True)
    going = [step for step in survey.steps if step.verb.value == "remove"]
    if asked.output is Output.TABLE:
        _show_parts(survey)
    if going and not yes:
        _agreed(f"Take these {len(going)} down in project {asked.spec.project}, for good?")
    outcome = opened.destroy(take_services=_taker(asked) if with_services else None)
    done = [{"part": part, "done": what} for part, what in outcome.done]
    left = [_step(step) for step in survey.steps if step.seen.state.value == "taken"]
    data = {"project": asked.spec.project, "done": done, "left": left}
    emit(data, asked.output, lambda: _show_done(done, "taken down", asked, left))


def _taker(asked: _Asked) -> Callable[[], None]:
    """Give what deletes all GPUServices and makes passes until they are gone."""

    def take() -> None:
        from controlplane.bootstrap.services import take_services
        from controlplane.wiring import build

        app = build(_target(asked.settings, asked.spec))
        take_services(app, say=lambda what: note(f"GPUServices: {what}"))

    return take


def _stop_if_blocked(survey: "Survey") -> None:
    from controlplane.bootstrap.remedies import Halted

    for step in survey.blocked:
        raise Halted(step.part.name, step.seen.detail or step.seen.state.value, step.seen.remedy or "see the message")
    if survey.missing:
        remedy = "ask for a role that holds them, such as roles/owner; nothing was made"
        raise Halted("permissions", f"missing: {', '.join(survey.missing)}", remedy)


def _target(settings: Settings, spec: "FleetSpec") -> Any:
    """Give the cloud to talk to: the Fleet names project and config cluster, which need not be there yet."""
    from controlplane.cli.connect import target_of

    if not settings.local:
        return target_of(settings)
    from controlplane.api import Problem, SpecError

    target = target_of(replace(settings, fleet=None))
    if target.project != spec.project:
        what = f"is {spec.project}, and the local cloud's project is {target.project}"
        raise SpecError([Problem("spec.project", what, "correct the Fleet, or start another local cloud")])
    return replace(target, config_cluster=spec.config.link, fleet=spec)


def _read_fleet(file: Path) -> "tuple[FleetSpec, dict[str, Any]]":
    from controlplane.api.files import read_fleet
    from controlplane.api.loading import load_documents

    spec = read_fleet(file)
    return spec, next(dict(each.object) for each in load_documents(file) if each.object.get("kind") == "Fleet")


def _mode(*, plan: bool, apply: bool, destroy: bool) -> Mode:
    chosen = [mode for mode, given in ((Mode.PLAN, plan), (Mode.APPLY, apply), (Mode.DESTROY, destroy)) if given]
    if len(chosen) > 1:
        told = " and ".join(f"--{mode.value}" for mode in chosen)
        raise typer.BadParameter(f"{told} exclude each other; give one of them", param_hint="bootstrap")
    return chosen[0] if chosen else Mode.PLAN


# -- showing -----------------------------------------------------------------------------------------------------------


def _data(survey: "Survey", asked: _Asked, opened: "Bootstrap") -> dict[str, Any]:
    from dataclasses import asdict

    from controlplane.bootstrap.costs import costs, monthly

    lines = costs(opened.parts(), asked.prices)
    return {
        "project": asked.spec.project,
        "parts": [_step(step) for step in survey.steps],
        "missingPermissions": None if survey.missing is None else list(survey.missing),
        "leftOver": [ref.link for ref in survey.left_over],
        "costs": [asdict(line) for line in lines],
        "monthly": round(monthly(lines), 2),
        "gpus": [{"type": t, "region": r, "capacity": c, "usdPerHour": usd} for t, r, c, usd in asked.gpus()],
    }


def _step(step: "Step") -> dict[str, Any]:
    return {
        "part": step.part.name, "state": step.seen.state.value, "detail": step.seen.detail, "remedy": step.seen.remedy,
        "do": step.verb.value, "kept": step.part.kept, "commands": [str(command) for command in step.part.commands],
    }  # fmt: skip


def _show(survey: "Survey", data: dict[str, Any]) -> None:
    _show_parts(survey)
    _show_costs(data)
    _show_notes(survey)


def _show_parts(survey: "Survey") -> None:
    rows = [
        [Text(s.seen.state.value, style=_STYLES.get(s.seen.state.value, "")), s.part.name, s.verb.value, _detail(s)]
        for s in survey.steps
    ]
    table(("STATE", "PART", "DO", "DETAIL"), rows)
    for step in survey.blocked:
        console.print(
            Text(f"{step.part.name}: {step.seen.detail}; {step.seen.remedy}", style="bold red"), soft_wrap=True
        )


def _detail(step: "Step") -> str:
    """Say what there is to say of a part; where one is left standing, why."""
    whose = "" if step.seen.ours else "made by others: stays"
    return step.seen.detail or whose or (step.part.kept if step.verb.value == "keep" else "")


def _show_costs(data: dict[str, Any]) -> None:
    console.print()
    rows = [
        [
            c["what"],
            f"{c['units']:,.1f}",
            f"{c['free']:,.1f}",
            f"{c['usd']:.2f}" if c["counted"] else f"({c['usd']:.2f})",
        ]
        for c in data["costs"]
    ]
    table(
        ("COST", "UNITS A MONTH", "FREE", "USD A MONTH"),
        [*rows, [Text("in all", style="bold"), "", "", f"{data['monthly']:.2f}"]],
    )
    if data["gpus"]:
        console.print()
        rows = [[g["type"], g["region"], g["capacity"], f"{g['usdPerHour']:.3f}"] for g in data["gpus"]]
        table(("GPU, WHILE A POD RUNS", "REGION", "CAPACITY", "USD AN HOUR"), rows)


def _show_notes(survey: "Survey") -> None:
    if survey.missing:
        console.print(f"[bold red]missing permissions[/bold red]: {', '.join(survey.missing)}", soft_wrap=True)
    if survey.missing is None:
        note("Which permissions are granted is not known until the Cloud Resource Manager API is enabled.")
    if survey.left_over:
        told = ", ".join(ref.link for ref in survey.left_over)
        note(f"Made by GPU Hunter and not in this Fleet: {told}. --destroy takes them too.")
    if not survey.changes:
        console.print("nothing to do: all is there")


def _show_done(done: list[dict[str, str]], what: str, asked: _Asked, left: list[dict[str, Any]] | None = None) -> None:
    if not done:
        console.print("nothing to do")
    else:
        console.print(f"{len(done)} parts {what} in project {asked.spec.project}")
    for each in left or ():
        console.print(f"left, not ours: {each['part']} ({each['detail']})", soft_wrap=True)
    if what == "made":
        fleet = shlex.quote(str(asked.file))
        note(f"See `gpuhunter bootstrap --plan --fleet {fleet}`; then `gpuhunter apply -f SERVICE.yaml`.")


def _agreed(question: str) -> None:
    """Ask, and end the command at a no. Raises SpecError where nobody can answer."""
    from controlplane.api import Problem, SpecError

    if not sys.stdin.isatty():
        raise SpecError([Problem("--yes", "is missing, and nobody is there to be asked", "give it to go on unasked")])
    typer.confirm(question, abort=True)
