"""Batches and inboxes in a pass, shown: how far each is, and what is done about it, or would be."""

from typing import Any

from controlplane.cli.output import console, table


def batches_data(report: Any) -> list[dict[str, Any]]:
    """Give the batches and inboxes of a pass as plain data."""
    return [_data(batch) for batch in report.batches]


def show_batches(report: Any) -> None:
    """Show them below the services."""
    for batch in report.batches:
        console.rule(f"[bold]{batch.key}[/bold] (GPUBatch)", align="left")
        if batch.problem:
            console.print(batch.problem, style="red", markup=False, soft_wrap=True)
        if batch.looked is not None:
            _show_looked(batch.looked)
        if batch.decision is not None:
            _show_batch(batch, dry_run=report.dry_run)


def batch_line(batch: Any, *, dry_run: bool = False) -> str:
    """Give what became of one batch or inbox in one pass, or would."""
    if batch.looked is not None:
        looked = batch.looked
        told = [f"{name} taken" for name in looked.made] + [f"{name} refused" for name in looked.rejected]
        told += [f"would take {name}" if dry_run else f"{name} waits" for name in looked.waiting]
        return f"inbox, {looked.known + len(looked.made)} taken: {'; '.join(told) or 'nothing to do'}"
    if batch.decision is None:
        return str(batch.problem) or "nothing to do"
    would = [f"would {action}" for action in batch.decision.plan]
    done = would if dry_run else [f"{r.action} [{r.outcome.value}]" for r in batch.results]
    return f"{_standing(batch)}: {'; '.join([*done, *held_back(batch.decision)]) or 'nothing to do'}"


def held_back(decision: Any) -> list[str]:
    """Give what guards took out of a plan, for people: a pass that waits for them is not one with nothing to do."""
    return [f"held back by {held.guard}: {held.action} ({held.why})" for held in decision.suppressed]


def _data(batch: Any) -> dict[str, Any]:
    from dataclasses import asdict

    data: dict[str, Any] = {"key": batch.key, "exitCode": int(batch.exit_code), "problem": batch.problem, "plan": []}
    if batch.looked is not None:
        data["inbox"] = asdict(batch.looked)
    decision = batch.decision
    if decision is None:
        return data
    memory = decision.memory
    return {
        **data,
        "phase": memory.phase.value,
        "shards": {"all": batch.spec.shards, "done": len(memory.done), "lost": len(memory.lost)},
        "spent": round(memory.spent, 4),
        "counts": asdict(decision.counts),
        "plan": [{"action": type(action).__name__, "text": str(action)} for action in decision.plan],
        "results": [{"action": str(r.action), "outcome": r.outcome.value, "message": r.message} for r in batch.results],
        "suppressed": [{"action": str(s.action), "guard": s.guard, "why": s.why} for s in decision.suppressed],
        "conditions": [asdict(condition) for condition in decision.conditions],
    }


def _standing(batch: Any) -> str:
    memory, counts = batch.decision.memory, batch.decision.counts
    return (
        f"{memory.phase.value} {len(memory.done)}/{batch.spec.shards} shards, "
        f"{counts.serving}/{counts.wanted} workers, {counts.hourly_cost:.2f} $/h"
    )


def _show_looked(looked: Any) -> None:
    console.print(f"inbox  taken {looked.known + len(looked.made)}  refused {len(looked.rejected)}")
    for word, names in (("took", looked.made), ("refused", looked.rejected), ("waits:", looked.waiting)):
        for name in names:
            console.print(f"  {word} {name}", markup=False, soft_wrap=True)


def _show_batch(batch: Any, *, dry_run: bool) -> None:
    decision = batch.decision
    console.print(_standing(batch), soft_wrap=True)
    if dry_run:
        console.print("\n".join(f"  would {a}" for a in decision.plan) or "  nothing to do", soft_wrap=True)
    elif batch.results:
        table(("OUTCOME", "ACTION", "MESSAGE"), [[r.outcome.value, r.action, r.message] for r in batch.results])
    else:
        console.print("  nothing to do")
    for held in held_back(decision):
        console.print(f"  {held}", soft_wrap=True)
