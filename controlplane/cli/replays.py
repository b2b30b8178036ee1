"""How the results of replays are shown to people: a table a trace, one over all, one over loops, and the trade-off."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlplane.cli.output import console, note, notes, table

if TYPE_CHECKING:
    from controlplane.simulate.plot import Point

Figures = Mapping[str, float]
COUNTED = ("attempts", "failed_attempts", "preemptions", "moves")


@contextmanager
def progress(total: int) -> Iterator[Callable[[float], None]]:
    """Show how far the replays are, on a terminal only."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("replaying"), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)


def show(data: Mapping[str, Any]) -> None:
    """Print everything that was replayed. Of many traces that were made, only what they come to together."""
    traces = data["traces"]
    if len(traces) == 1 or traces[0]["file"] is not None:
        for report in traces:
            console.print(f"{report['trace']}: {_about(report)}", soft_wrap=True)
            _figures(report["policies"])
    else:
        console.print(f"{traces[0]['trace']} to {traces[-1]['trace']}: {_about(traces[0])}", soft_wrap=True)
    if len(traces) > 1:
        console.print(f"Over {len(traces)} traces: means, the worst trace of each; sums; the longest outage")
        _over_traces(data["policies"], data["worst"])
    if "loops" in data:
        console.print("Asked less often: what is lost and paid more, in points, against the first")
        _over_loops(data["loops"])
    delays = data["settings"]
    note(
        f"asked every {delays['loop_seconds']:g} s; an answer takes {delays['answer_seconds']:g} s, "
        f"a replica {delays['ready_seconds']:g} s; the first {delays['left_out_seconds'] / 60:g} min do not count; "
        "cost: 100 % is all on demand"
    )


def draw(data: Mapping[str, Any], path: Path) -> None:
    """Draw the trade-off that was replayed: ours as a curve, the others as points."""
    from controlplane.simulate.plot import draw_tradeoff

    first, count = data["traces"][0], len(data["traces"])
    what = first["trace"] if count == 1 else f"mean of {count} traces"
    draw_tradeoff(points_of(data), path, f"{first['replicas']} replicas, {len(first['zones'])} zones: {what}")
    note(f"drawn: {path}")


def points_of(data: Mapping[str, Any]) -> list["Point"]:
    """Give what the picture of a trade-off shows: ours at each worth, on one curve, and all else by its name."""
    from controlplane.simulate.entrants import told
    from controlplane.simulate.plot import Point

    points = []
    for one in data["tradeoff"]:
        times, cost = one["on_demand_prices"], one["missing_replica_cost"]
        joined = one["policy"] == "hunter" and (times is not None or cost is not None)
        label = one["label"].replace("_", " ")
        if joined and "$" not in label and times is not None:
            word = told(times)
            label = word if word == f"{times:g}x" else f"{word} ({times:g}x)"
        points.append(Point(label, one["availability"], one["cost"], "hunter" if joined else ""))
    return points


def _about(report: Mapping[str, Any]) -> str:
    valued = report["missing_replica_cost"]
    policy = f"{valued:g} USD per missing replica and hour" if valued else report["preset"] or "no preset"
    kinds = f"{', '.join(report['accelerators'])}, {report['days']:.1f} days, {len(report['zones'])} zones"
    return f"{kinds}, {report['replicas']} replicas, {' and '.join(report['capacity_types'])}, {policy}"


def _figures(policies: Mapping[str, Figures]) -> None:
    columns = ("POLICY", "AVAIL %", "COST %", "COST/HEDGE", "ATTEMPTS", "FAILED", "LOST", "MOVES", "OUT MIN")
    rows = [
        (
            name,
            _availability(figures["availability"]),
            _cost(figures["cost"]),
            _against_hedge(figures, policies),
            *(f"{figures[key]:,}" for key in COUNTED),
            f"{figures['longest_outage_minutes']:,.0f}",
        )
        for name, figures in policies.items()
    ]
    _table(columns, rows)


def _over_traces(policies: Mapping[str, Figures], worst: Mapping[str, Any]) -> None:
    columns = ("POLICY", "AVAIL %", "WORST", "COST %", "DEAREST", "/HEDGE", "ATTEMPTS", "FAILED", "OUT MIN")
    rows = [
        (
            name,
            _availability(figures["availability"]),
            _availability(worst[name]["availability"]),
            _cost(figures["cost"]),
            _cost(worst[name]["cost"]),
            _against_hedge(figures, policies),
            *(f"{figures[key]:,}" for key in COUNTED[:2]),
            f"{figures['longest_outage_minutes']:,.0f}",
        )
        for name, figures in policies.items()
    ]
    _table(columns, rows)


def _over_loops(loops: Sequence[Mapping[str, Any]]) -> None:
    columns = ("POLICY", "LOOP S", "AVAIL %", "LOST", "COST %", "MORE", "FAILED", "OUT MIN")
    rows = []
    for name in loops[0]["policies"]:
        for loop in loops:
            figures, against = loop["policies"][name], loop["against_the_first"][name]
            rows.append(
                (
                    name,
                    f"{loop['loop_seconds']:g}",
                    _availability(figures["availability"]),
                    f"{100 * against['availability_lost']:.2f}",
                    _cost(figures["cost"]),
                    f"{100 * against['cost_added']:.1f}",
                    f"{figures['failed_attempts']:,}",
                    f"{figures['longest_outage_minutes']:,.0f}",
                )
            )
    _table(columns, rows)


def _availability(share: float) -> str:
    return f"{100 * share:.2f}"


def _cost(share: float) -> str:
    return f"{100 * share:.1f}"


def _against_hedge(figures: Figures, policies: Mapping[str, Figures]) -> str:
    from controlplane.simulate.registry import SPOTHEDGE

    hedge = policies.get(SPOTHEDGE, {}).get("cost")
    return f"{figures['cost'] / hedge:.2f}" if hedge else "-"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column is words and whose others are numbers."""
    widths = [max(len(column), *(len(row[place]) for row in rows)) for place, column in enumerate(columns)]
    numbers = list(zip(columns, widths, strict=True))[1:]
    heads = [columns[0], *(head.rjust(width) for head, width in numbers)]
    table(heads, [[row[0], *map(str.rjust, row[1:], widths[1:])] for row in rows], gap=1)
    console.print()
