"""`status` and `explain`: what stands, and why each offering is or is not used."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from controlplane.cli.connect import settings_of, target_of
from controlplane.cli.fleet import left_out, show_stored
from controlplane.cli.growth import growth_data, show_growth
from controlplane.cli.logs import set_up_logs
from controlplane.cli.output import PHASE_STYLES, Output, OutputOption, console, emit, table
from controlplane.cli.paper import Fitted

Name = Annotated[str | None, typer.Argument(help="Name of one GPUService; none means all.")]
WIDE = 100
"""Columns of a terminal from which on chance and hazard are columns of their own."""
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Only this namespace.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command()(status)
    app.command()(explain)


def status(
    context: typer.Context, name: Name = None, namespace: Namespace = None, output: OutputOption = Output.TABLE
) -> None:
    """Show what the last pass left: replicas, placements, conditions, address. Reads the config cluster only."""
    from controlplane.wiring import build

    app = build(target_of(settings_of(context)))
    services = app.services(namespace, name)
    if name and not services:
        raise _no_such(name, namespace)
    stored = app.stored_fleet() if name is None else None
    emit([_brief(service) for service in services], output, lambda: _show_all(services, stored))


def explain(
    context: typer.Context, name: Name = None, namespace: Namespace = None, output: OutputOption = Output.TABLE
) -> None:
    """Say for every offering whether it is used and why, its chance, hazard and price, and when it is tried next.

    The chance is that of getting it now, the hazard the losses to be expected in each hour it is held. Writes nothing.
    """
    from controlplane.wiring import build

    set_up_logs(settings_of(context))
    report = build(target_of(settings_of(context))).run_pass(dry_run=True)
    all_of_them: list[Any] = [*report.services, *report.batches]
    found = [s for s in all_of_them if s.decision is not None and _matches(s.spec, name, namespace)]
    if name and not found:
        raise _no_such(name, namespace)
    outside = left_out(report.fleet)
    emit(
        [
            {**_explained(service), "clustersLeftOut": outside, "clustersOnDemand": growth_data(report)}
            for service in found
        ],
        output,
        lambda: _show_verdicts(found, outside, report),
    )


def _no_such(name: str, namespace: str | None) -> Exception:
    from controlplane.api import Problem, SpecError

    where = f"{namespace}/{name}" if namespace else name
    return SpecError([Problem(where, "there is no such GPUService or GPUBatch", "see `status` and `batch list`")])


def _matches(spec: Any, wanted: str | None, within: str | None) -> bool:
    return wanted in (None, spec.name) and within in (None, spec.namespace)


def _brief(service: Mapping[str, Any]) -> dict[str, Any]:
    metadata = service.get("metadata", {})
    shown = {key: value for key, value in service.get("status", {}).items() if key != "memory"}
    return {
        "name": metadata.get("name"),
        "namespace": metadata.get("namespace"),
        "paused": bool(service.get("spec", {}).get("paused")),
        "deleting": "deletionTimestamp" in metadata,
        "url": _url(service.get("spec", {}).get("ingress") or {}, shown.get("address")),
        "status": shown,
    }


def _url(ingress: Mapping[str, Any], address: str | None) -> str | None:
    """Give what to open; with HTTPS that is the host, where one is named, since no certificate fits an address."""
    if not address:
        return None
    secured = ingress.get("https") is not None
    return f"https://{ingress.get('host') or address}/" if secured else f"http://{address}/"


def _show_all(services: list[dict[str, Any]], fleet: Mapping[str, Any] | None = None) -> None:
    if not services:
        console.print("no GPUService; write one and `apply -f` it")
    for service in services:
        _show(_brief(service))
    if fleet is not None:
        show_stored(fleet.get("status") or {})


def _show(service: Mapping[str, Any]) -> None:
    status = service["status"]
    console.rule(f"[bold]{service['name']}[/bold]", align="left")
    if service["deleting"]:
        console.print("[yellow]being deleted[/yellow]: the next passes take it down")
    elif service["paused"]:
        console.print("[yellow]paused[/yellow] by spec.paused: passes change nothing; this is what the last one saw")
    console.print(f"ready [bold]{status.get('ready', '-')}[/bold]   {status.get('hourlyCost', '-')} $/h   "
                  f"{service['url'] or 'no address yet'}")  # fmt: skip
    placements = status.get("placements", [])
    if placements:
        rows = [
            [_phase(p), p["region"], p["accelerator"], p["count"], p["capacity"], _bounds(p), p["since"]]
            for p in placements
        ]
        table(("PHASE", "REGION", "GPU", "COUNT", "CAPACITY", "REPLICAS", "SINCE"), rows)
    conditions = status.get("conditions", [])
    if conditions:
        rows = [[c["type"], _styled(c["status"]), c["reason"], c["message"]] for c in conditions]
        table(("CONDITION", "STATUS", "REASON", "MESSAGE"), rows)


def _bounds(placement: Mapping[str, Any]) -> str:
    """Give the replicas that a placement is meant to hold, and how far its load may take it."""
    most = placement.get("maxReplicas")
    return f"{placement['replicas']} to {most}" if most else str(placement["replicas"])


def _explained(service: Any) -> dict[str, Any]:
    return {
        "kind": _kind(service),
        "name": service.spec.name,
        "namespace": service.spec.namespace,
        "histogram": dict(service.decision.histogram),
        "offerings": [verdict_row(verdict) for verdict in service.decision.verdicts],
    }


def _kind(report: Any) -> str:
    return "GPUBatch" if hasattr(report, "looked") else "GPUService"


def verdict_row(verdict: Any) -> dict[str, Any]:
    """Give a verdict as plain data."""
    offering = verdict.offering
    return {
        "standing": verdict.standing.value,
        "region": offering.region,
        "cluster": offering.cluster.link,
        "accelerator": offering.accelerator.type,
        "count": offering.accelerator.count,
        "capacity": offering.capacity.value,
        "chance": verdict.chance,
        "hazard": verdict.hazard,
        "price": verdict.price,
        "score": verdict.score,
        "reasons": list(verdict.reasons),
        "message": verdict.message,
        "learnt": verdict.learnt,
        "nextTry": verdict.next_try.isoformat() if verdict.next_try else None,
    }


def _show_verdicts(services: list[Any], outside: Sequence[Mapping[str, str]] = (), report: Any = None) -> None:
    if not services:
        console.print("no GPUService and no GPUBatch that hunts; write one and `apply -f` it")
    wide = console.width >= WIDE
    columns = ("CHANCE", "LOSSES/H", "$/GPU-H", "NEXT TRY") if wide else ("$/GPU-H", "NEXT TRY")
    for service in services:
        batch = " (GPUBatch)" if _kind(service) == "GPUBatch" else ""
        console.rule(f"[bold]{service.spec.name}[/bold]{batch}", align="left")
        for condition in service.decision.conditions if batch and not service.decision.verdicts else ():
            console.print(f"{condition.type} {condition.status}: {condition.message}", soft_wrap=True, markup=False)
        grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in ("STANDING", "OFFERING AND WHY"):
            grid.add_column(column, overflow="fold")
        for column in columns:
            grid.add_column(column, no_wrap=True, justify="right")
        for verdict in service.decision.verdicts:
            grid.add_row(*_verdict_cells(verdict, wide=wide))
        console.print(Fitted(grid))
    if outside:
        console.rule("[bold]clusters left out[/bold]", align="left")
        table(("CLUSTER", "WHY"), [[each["cluster"], each["why"]] for each in outside])
    if report is None:
        return
    show_growth(report)
    for warning in report.warnings:
        console.print(f"[yellow]fleet[/yellow] {warning}", soft_wrap=True)


def _verdict_cells(verdict: Any, *, wide: bool) -> tuple[Any, ...]:
    """Give a row in which the why stands under its offering, so that both are whole on 80 columns.

    Chance and hazard are columns where there is room for them, and part of the why where there is not.
    """
    from rich.text import Text

    row = verdict_row(verdict)
    odds = (_percent(verdict.chance), _number(verdict.hazard))
    lines = [f"{row['reasons'][0]}: {row['message']}"]
    if not wide and (told := _odds(*odds)):
        lines.append(told)
    if verdict.learnt:
        lines.append(verdict.learnt)
    offering = Text(f"{row['region']} {verdict.offering.accelerator} {row['capacity']}")
    for line in lines:
        offering.append(f"\n{line}", style="dim")
    again = verdict.next_try.strftime("%H:%M:%S") if verdict.next_try else ""
    price = "" if verdict.price is None else f"{verdict.price:.4g}"
    return (_styled(row["standing"]), offering, *(odds if wide else ()), price, again)


def _odds(chance: str, hazard: str) -> str:
    return ", ".join(part for part in (chance and f"chance {chance}", hazard and f"{hazard} losses/h") if part)


def _percent(share: float | None) -> str:
    """Give a share in whole percent; what is neither never nor always does not look like it."""
    if share is None:
        return ""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{share:.0%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _phase(placement: Mapping[str, Any]) -> Any:
    """Give the phase; a cluster that does not answer shows what it was before, so that nobody takes it for now."""
    if "unknownSince" in placement:
        return _styled("Unknown", f" (was {placement['phase']})")
    return _styled(placement["phase"])


def _styled(word: str, more: str = "") -> Any:
    from rich.text import Text

    return Text(word + more, style=PHASE_STYLES.get(word, ""))
