"""Clusters on demand, shown: what is done about them, and why one was made in a region or not."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.cli.output import console, table


def growth_data(report: Any) -> dict[str, Any] | None:
    """Give what a pass decided about clusters on demand as plain data; None where the Fleet asks for none."""
    growth = report.growth
    if growth is None:
        return None
    from controlplane.api.growth import verdicts_to_status

    return {
        "plan": [{"action": type(action).__name__, "text": str(action)} for action in growth.decision.actions],
        "results": [
            {"action": str(action), "done": brought.done, "message": brought.message}
            for action, brought in growth.results
        ],
        "regions": verdicts_to_status(growth.decision.verdicts),
        "services": {need.service: f"is {need.missing} replica(s) short" for need in growth.needs} | dict(growth.unmet),
        "problem": growth.problem,
    }


def show_growth(report: Any) -> None:
    """Show it below the services: what is done, or would be, then each region with its reason."""
    data = growth_data(report)
    if data is None:
        return
    console.rule("[bold]clusters on demand[/bold]", align="left")
    if data["problem"]:
        console.print(f"[red]{data['problem']}[/red]", soft_wrap=True)
    if report.dry_run:
        console.print(
            "\n".join(f"  would {each['text']}" for each in data["plan"]) or "  nothing to do", soft_wrap=True
        )
    elif data["results"]:
        rows = [["Done" if each["done"] else "Failed", each["action"], each["message"]] for each in data["results"]]
        table(("OUTCOME", "ACTION", "MESSAGE"), rows)
    show_regions(data["regions"])
    for service, why in data["services"].items():
        console.print(f"{service}: {why}", soft_wrap=True)


def show_regions(regions: Sequence[Mapping[str, Any]]) -> None:
    """Show why a cluster was made in each region or not, and how the one that is there stands."""
    rows = [
        [
            each.get("region", ""),
            each.get("stage", "-"),
            f"{each.get('reason', '')}: {each.get('message', '')}",
            each.get("nextTry", ""),
        ]
        for each in regions
    ]
    if rows:
        table(("REGION", "STAGE", "WHY", "NEXT TRY"), rows)
