"""What a pass says of itself in the log: one line, and one more for each thing that needs attention."""

import structlog

from controlplane.engine.outcome import BatchReport, PassReport, ServiceReport


def summarise(report: PassReport) -> None:
    """Log how a pass ended, and what needs attention."""
    log = structlog.get_logger("reconcile")
    tally: dict[str, int] = {}
    parts = [*(part.results for part in report.services), *(part.results for part in report.batches)]
    for results in parts:
        for result in results:
            name = f"{type(result.action).__name__}:{result.outcome.value}"
            tally[name] = tally.get(name, 0) + 1
    log.info(
        "pass done",
        exit_code=int(report.exit_code),
        seconds=round(report.seconds, 3),
        dry_run=report.dry_run,
        services={service.key: service.problem or _standing(service) for service in report.services},
        **({"batches": {b.key: b.problem or _rendered(b) for b in report.batches}} if report.batches else {}),
        actions=tally,
        unknown=dict(report.unknown),
        calls=dict(report.calls),
        google_calls=report.google_calls,
        fence=report.fence,
        detail=report.message,
    )
    for warning in report.warnings:
        log.info("fleet needs attention", detail=warning, attention=True)
    if report.strays:
        log.info("workloads of ours that nothing stands for", workloads=report.strays, attention=True)


def _rendered(batch: BatchReport) -> str:
    if batch.looked is not None:
        return f"inbox, {batch.looked.known + len(batch.looked.made)} taken, {len(batch.looked.rejected)} refused"
    if batch.spec is None or batch.decision is None:
        return ""
    memory, counts = batch.decision.memory, batch.decision.counts
    return (
        f"{memory.phase.value}, {len(memory.done)}/{batch.spec.shards} shards, "
        f"{counts.serving}/{counts.wanted} workers in {','.join(counts.regions) or 'no region'}"
    )


def _standing(service: ServiceReport) -> str:
    if service.decision is None:
        return ""
    counts = service.decision.counts
    refused = ", ".join(f"{number} {reason}" for reason, number in service.decision.histogram.items())
    return f"{counts.serving}/{counts.wanted} serving in {','.join(counts.regions) or 'no region'}" + (
        f"; refused: {refused}" if refused else ""
    )
