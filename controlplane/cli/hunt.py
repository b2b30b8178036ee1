"""`apply`, `delete`, `reconcile`, `plan`: what changes the world, and what would."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from controlplane.cli.connect import settings_of, target_of
from controlplane.cli.growth import growth_data, show_growth
from controlplane.cli.logs import run_id, set_up_logs
from controlplane.cli.output import Output, OutputOption, console, emit, note, table
from controlplane.cli.rendering import batch_line, batches_data, held_back, show_batches

Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the GPUService.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command()(apply)
    app.command()(delete)
    app.command()(reconcile)
    app.command()(plan)
    app.command()(crd)


def apply(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--filename", "-f", help="YAML file with GPUServices, a Fleet, or both.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Check GPUServices and a Fleet, and store them in the config cluster. Nothing is written unless all is right."""
    from controlplane.api.files import read_objects
    from controlplane.wiring import build

    settings = settings_of(context)
    read_objects(file, prices=settings.prices)  # a wrong file is refused before anything is started
    target = target_of(settings)
    applied = build(target).apply(read_objects(file, prices=target.prices_file))
    emit(applied, output, lambda: _show_applied(applied))


def _show_applied(applied: list[dict[str, Any]]) -> None:
    for row in applied:
        place = f"{row['namespace']}/" if row["namespace"] else ""
        console.print(f"{row['kind']} {place}{row['name']} {row['change']}")


def delete(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the GPUService.")],
    namespace: Namespace = "default",
    output: OutputOption = Output.TABLE,
) -> None:
    """Mark a GPUService for deletion; the next passes take it down in the right order."""
    from controlplane.wiring import build

    build(target_of(settings_of(context))).delete(namespace, name)
    said = f"{namespace}/{name}: deletion requested; `reconcile` takes it down"
    emit({"namespace": namespace, "name": name, "change": "deleting"}, output, lambda: console.print(said))


def reconcile(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Pass after pass until interrupted.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between passes with --watch.")] = 5.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop after deciding; write nothing at all.")] = False,
    deadline: Annotated[float, typer.Option(min=1, help="Seconds a pass may take.")] = 60.0,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve Prometheus metrics here; with --watch. 0: any port.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address to serve metrics on.")] = "127.0.0.1",
    output: OutputOption = Output.TABLE,
) -> None:
    """Make one pass: observe, decide, act, report. With --watch, many; with --dry-run too, a fresh plan each time.

    In a Cloud Run job the log lines are the report: the result is not printed besides.
    """
    from controlplane.wiring import build

    if metrics_port is not None and not watch:
        raise typer.BadParameter("metrics are served between passes: use it with --watch", param_hint="--metrics-port")
    settings = settings_of(context)
    set_up_logs(settings, machine=output is Output.JSON)
    app = build(target_of(settings), deadline=deadline, run_id=run_id())
    if watch:
        if metrics_port is not None:
            note(f"metrics on http://{metrics_host}:{app.serve_metrics(metrics_host, metrics_port)}/metrics")
        note(f"a {'plan' if dry_run else 'pass'} every {interval:g} s; stop with Ctrl-C")
        show = (lambda _report: None) if settings.log_lines else lambda report: _print_line(report, output)
        raise typer.Exit(app.watch(interval, show, dry_run=dry_run))
    report = app.run_job(dry_run=dry_run)
    if not settings.log_lines:
        emit(pass_data(report), output, lambda: _show_pass(report))
    raise typer.Exit(int(report.exit_code))


def plan(context: typer.Context, output: OutputOption = Output.TABLE) -> None:
    """Show what the next pass does, and write nothing at all. The same as `reconcile --dry-run`."""
    from controlplane.wiring import build

    set_up_logs(settings_of(context))
    report = build(target_of(settings_of(context))).run_pass(dry_run=True)
    emit(pass_data(report), output, lambda: _show_pass(report))
    raise typer.Exit(int(report.exit_code))


def crd(output: OutputOption = Output.YAML) -> None:
    """Print the definitions of GPUService and Fleet, for `kubectl apply -f -`; `apply` installs them by itself."""
    from controlplane.api.crd import definitions

    if output is Output.JSON:
        emit({"apiVersion": "v1", "kind": "List", "items": definitions()}, output, lambda: None)
        return
    for definition in definitions():
        typer.echo("---")
        emit(definition, Output.YAML, lambda: None)


def pass_data(report: Any) -> dict[str, Any]:
    """Give a pass as plain data."""
    return {
        "runId": report.run_id,
        "exitCode": int(report.exit_code),
        "seconds": round(report.seconds, 3),
        "dryRun": report.dry_run,
        "heldBy": report.held_by,
        "message": report.message,
        "unknown": dict(report.unknown),
        "calls": dict(report.calls),
        "googleCalls": report.google_calls,
        "strays": list(report.strays),
        "warnings": list(report.warnings),
        "services": [_service_data(service) for service in report.services],
        "batches": batches_data(report),
        "clustersOnDemand": growth_data(report),
    }


def _service_data(service: Any) -> dict[str, Any]:
    from dataclasses import asdict

    data = {"key": service.key, "exitCode": int(service.exit_code), "problem": service.problem, "plan": []}
    decision = service.decision
    if decision is None:
        return data
    return {
        **data,
        "counts": asdict(decision.counts),
        "plan": [{"action": type(action).__name__, "text": str(action)} for action in decision.plan],
        "results": [
            {"action": str(r.action), "outcome": r.outcome.value, "message": r.message} for r in service.results
        ],
        "suppressed": [{"action": str(s.action), "guard": s.guard, "why": s.why} for s in decision.suppressed],
        "conditions": [asdict(condition) for condition in decision.conditions],
    }


def _show_pass(report: Any) -> None:
    if report.message:
        console.print(report.message)
    for link, why in report.unknown.items():
        console.print(f"[yellow]unknown[/yellow] {link}: {why}")
    _show_attention(report)
    if not report.services and not report.batches and not report.held_by:
        console.print("no GPUService and no GPUBatch; write one and `apply -f` it")
    for service in report.services:
        console.rule(f"[bold]{service.key}[/bold]", align="left")
        if service.problem:
            console.print(f"[red]{service.problem}[/red]")
        if service.decision is not None:
            _show_service(service, dry_run=report.dry_run)
    show_batches(report)
    show_growth(report)


def _show_attention(report: Any) -> None:
    """Show what a person should know besides; the log tells it to programs alone."""
    for warning in report.warnings:
        console.print(f"[yellow]fleet[/yellow] {warning}", soft_wrap=True)
    for stray in report.strays:
        console.print(
            f"[yellow]left over[/yellow] {stray}, which is gone; delete it, or apply that again", soft_wrap=True
        )


def _show_service(service: Any, *, dry_run: bool) -> None:
    decision, counts = service.decision, service.decision.counts
    console.print(
        f"serving {counts.serving}/{counts.wanted}  warming {counts.warming}  hunting {counts.hunting}  "
        f"draining {counts.draining}  {counts.hourly_cost:.2f} $/h"
    )
    if dry_run:
        console.print("\n".join(f"  would {action}" for action in decision.plan) or "  nothing to do")
    elif service.results:
        table(("OUTCOME", "ACTION", "MESSAGE"), [[r.outcome.value, r.action, r.message] for r in service.results])
    else:
        console.print("  nothing to do")
    for held in held_back(decision):
        console.print(f"  {held}")


def _print_line(report: Any, output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps(pass_data(report), default=str))
        return
    if output is Output.YAML:
        typer.echo("---")
        emit(pass_data(report), output, lambda: None)
        return
    if report.message:
        console.print(report.message)
    _show_attention(report)
    for action, brought in report.growth.results if report.growth else ():
        console.print(
            f"{action} [{'Done' if brought.done else 'Failed'}] {brought.message}", soft_wrap=True, markup=False
        )
    for service in report.services:
        console.print(
            f"{report.run_id} {report.seconds:.2f} s {service.key} {one_line(service, dry_run=report.dry_run)}",
            soft_wrap=True,
        )
    for batch in report.batches:
        line = batch_line(batch, dry_run=report.dry_run)
        console.print(f"{report.run_id} {report.seconds:.2f} s {batch.key} {line}", soft_wrap=True, markup=False)


def one_line(service: Any, *, dry_run: bool = False) -> str:
    """Give what became of one service in one pass, or would."""
    if service.decision is None:
        return str(service.problem)
    counts = service.decision.counts
    told = [f"{r.action} [{r.outcome.value}]" for r in service.results]
    done = [f"would {action}" for action in service.decision.plan] if dry_run else told
    text = "; ".join([*done, *held_back(service.decision)]) or "nothing to do"
    return f"{counts.serving}/{counts.wanted} {counts.hourly_cost:.2f} $/h: {text}"
