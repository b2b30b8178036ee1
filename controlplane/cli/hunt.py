"""`apply`, `delete`, `reconcile`, `plan`: what changes the world, and what would."""

from pathlib import Path
from typing import Annotated, Any

import typer

from controlplane.cli.connect import settings_of, target_of
from controlplane.cli.output import Output, OutputOption, console, emit, note, table

Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the GPUService.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command()(apply)
    app.command()(delete)
    app.command()(reconcile)
    app.command()(plan)


def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--filename", "-f", help="YAML file with one or more GPUServices.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Check GPUServices and store them in the config cluster. Nothing is written unless all of the file is right."""
    from controlplane.wiring import build, read_services

    settings = settings_of(context)
    read_services(file, prices=settings.prices)  # a wrong file is refused before anything is started
    target = target_of(settings)
    services = read_services(file, prices=target.prices_file)
    applied = build(target).apply(services)
    emit(
        applied,
        output,
        lambda: [console.print(f"{a['kind']} {a['namespace']}/{a['name']} {a['change']}") for a in applied],
    )


def delete(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the GPUService.")],
    namespace: Namespace = "default",
) -> None:
    """Mark a GPUService for deletion; the next passes take it down in the right order."""
    from controlplane.wiring import build

    build(target_of(settings_of(context), start=False)).delete(namespace, name)
    console.print(f"{namespace}/{name}: deletion requested; `reconcile` takes it down")


def reconcile(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Pass after pass until interrupted.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between passes with --watch.")] = 5.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop after deciding; write nothing at all.")] = False,
    deadline: Annotated[float, typer.Option(min=1, help="Seconds a pass may take.")] = 60.0,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make one pass: observe, decide, act, report. With --watch, many."""
    from controlplane.wiring import build, configure_logs

    settings = settings_of(context)
    configure_logs(machine=output is Output.JSON, verbose=settings.verbose)
    app = build(target_of(settings), deadline=deadline)
    if watch and not dry_run:
        note(f"a pass every {interval:g} s; stop with Ctrl-C")
        raise typer.Exit(app.watch(interval, lambda report: _print_line(report, output)))
    report = app.run_pass(dry_run=dry_run)
    emit(pass_data(report), output, lambda: _show_pass(report, dry_run=dry_run))
    raise typer.Exit(report.exit_code)


def plan(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show what the next pass does, and write nothing at all. The same as `reconcile --dry-run`."""
    from controlplane.wiring import build

    report = build(target_of(settings_of(context), start=False)).run_pass(dry_run=True)
    emit(pass_data(report), output, lambda: _show_pass(report, dry_run=True))
    raise typer.Exit(report.exit_code)


def pass_data(report: Any) -> dict[str, Any]:
    """Give a pass as plain data."""
    return {
        "runId": report.run_id,
        "exitCode": report.exit_code,
        "seconds": round(report.seconds, 3),
        "services": [_service_data(service) for service in report.services],
        "notes": list(report.notes),
    }


def _service_data(service: Any) -> dict[str, Any]:
    from dataclasses import asdict

    decision = service.decision
    return {
        "name": service.spec.name,
        "namespace": service.spec.namespace,
        "counts": asdict(decision.counts),
        "plan": [{"action": type(action).__name__, "text": str(action)} for action in decision.plan],
        "outcomes": [{"action": str(o.action), "outcome": o.outcome, "message": o.message} for o in service.outcomes],
        "suppressed": [{"action": str(s.action), "guard": s.guard, "why": s.why} for s in decision.suppressed],
        "conditions": [asdict(condition) for condition in decision.conditions],
    }


def _show_pass(report: Any, *, dry_run: bool) -> None:
    for line in report.notes:
        console.print(line)
    for service in report.services:
        decision, counts = service.decision, service.decision.counts
        console.rule(f"[bold]{service.spec.name}[/bold]", align="left")
        console.print(
            f"serving {counts.serving}/{counts.wanted}  warming {counts.warming}  hunting {counts.hunting}  "
            f"draining {counts.draining}  {counts.hourly_cost:.2f} $/h"
        )
        if dry_run:
            console.print("\n".join(f"  would {action}" for action in decision.plan) or "  nothing to do")
        elif service.outcomes:
            table(("OUTCOME", "ACTION", "MESSAGE"), [[o.outcome, o.action, o.message] for o in service.outcomes])
        else:
            console.print("  nothing to do")
        for held in decision.suppressed:
            console.print(f"  held back by {held.guard}: {held.action} ({held.why})")


def _print_line(report: Any, output: Output) -> None:
    if output is not Output.TABLE:
        import json

        typer.echo(json.dumps(pass_data(report), default=str))
        return
    for line in report.notes:
        console.print(line)
    for service in report.services:
        counts = service.decision.counts
        done = "; ".join(f"{o.action} [{o.outcome}]" for o in service.outcomes) or "nothing to do"
        console.print(f"{report.run_id} {service.spec.name} {counts.serving}/{counts.wanted} "
                      f"{counts.hourly_cost:.2f} $/h {report.seconds:.2f} s: {done}", soft_wrap=True)  # fmt: skip
