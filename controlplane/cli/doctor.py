"""`doctor`: what a hunt needs, what is amiss, and the command that mends it."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from controlplane.cli.connect import Settings, google_target, local_dir, local_with, settings_of
from controlplane.cli.logs import set_up_logs
from controlplane.cli.output import Output, OutputOption, console, emit, table

if TYPE_CHECKING:
    from controlplane.model.offering import ClusterRef
    from controlplane.wiring import Target

AMISS = 2
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option("--filename", "-f", help="GPUServices to check for; those in the config cluster if not given."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that each check may take.")] = 15.0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check credentials, APIs, permissions, quotas, fleet, address, names, kinds, rights, clock. Writes nothing.

    Each finding says what breaks because of it and the command that mends it. Leaves with 0 when nothing has to be
    mended, warnings allowed, with 2 when something has.
    """
    from controlplane.wiring import doctor_of, read_services, specs_of

    settings = settings_of(context)
    set_up_logs(settings)
    if file is not None:
        read_services(file, prices=settings.prices)  # a wrong file is refused before anything is asked
    target, kubectl = _target(settings)
    given = None if file is None else specs_of(read_services(file, prices=target.prices_file))
    findings = [finding.as_dict() for finding in doctor_of(target, seconds=timeout, kubectl=kubectl).examine(given)]
    emit({"findings": findings, "states": _count(findings)}, output, lambda: _show(findings))
    raise typer.Exit(AMISS if any(finding["state"] == "fail" for finding in findings) else 0)


def _target(settings: Settings) -> "tuple[Target, Callable[[ClusterRef], str] | None]":
    """Give the cloud to look at, and how kubectl reaches its clusters where gcloud need not be asked for that.

    The local cloud is not started for it: a check changes nothing.
    """
    if not settings.local:
        return google_target(settings), None
    from controlplane.demo.stage import local_target

    where = local_dir(settings)
    target = local_with(settings, local_target(where))
    config = shlex.quote(str(where / "kubeconfig"))
    return target, lambda ref: f"kubectl --kubeconfig {config} --context {shlex.quote(ref.name)}"


def _count(findings: list[dict[str, Any]]) -> dict[str, int]:
    return {state: sum(finding["state"] == state for finding in findings) for state in _STYLES}


def _show(findings: list[dict[str, Any]]) -> None:
    rows = [[Text(f["state"], style=_STYLES[f["state"]]), f["check"], f["subject"], f["what"]] for f in findings]
    table(("STATE", "CHECK", "OF", "FINDING"), rows)
    for finding in findings:
        if finding["state"] != "ok":
            console.print()
            subject = f" {finding['subject']}" if finding["subject"] else ""
            console.print(Text(f"{finding['check']}{subject}", style=_STYLES[finding["state"]]))
            console.print(Text(f"  breaks: {finding['breaks']}"))
            if finding["mend"]:
                console.print(Text(f"  mend:   {finding['mend']}"), soft_wrap=True)
    count = _count(findings)
    console.print(f"\n{count['ok']} ok, {count['warn']} to know, {count['fail']} to mend")
