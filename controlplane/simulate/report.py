"""Results as programs read them: per trace and, over several traces, together, with the worst beside the mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.model.service import ServiceSpec
from controlplane.simulate.entrants import Entrant
from controlplane.simulate.market import Scoring
from controlplane.simulate.score import Result
from controlplane.simulate.trace import Trace

Figures = dict[str, float | int]
Report = Mapping[str, Any]
_MEANS, _LARGEST = ("availability", "cost"), ("longest_outage_minutes",)


def of_trace(file: str | None, trace: Trace, spec: ServiceSpec, results: Sequence[Result]) -> dict[str, Any]:
    """Give what was replayed on one trace and what came out, by policy. `file`: None for a trace that was made."""
    return {
        "trace": trace.name,
        "file": file,
        "accelerators": list(dict.fromkeys(zone.accelerator for zone in trace.zones)),
        "days": round(trace.duration / 86_400, 3),
        "zones": [zone.name for zone in trace.zones],
        "replicas": spec.replicas,
        "capacity_types": [one.value for one in spec.capacity_types],
        "preset": spec.policy.preset.value if spec.policy.preset else None,
        "missing_replica_cost": spec.policy.missing_replica_cost,
        "policies": {result.policy: result.as_dict() for result in results},
    }


def settings_of(scoring: Scoring) -> dict[str, float]:
    """Give the delays of the world, in seconds."""
    return {
        "loop_seconds": scoring.step,
        "answer_seconds": scoring.answer_after,
        "ready_seconds": scoring.ready_after,
        "left_out_seconds": scoring.left_out,
    }


def together(reports: Sequence[Report]) -> dict[str, Figures]:
    """Give the policies' figures over all traces: the mean of shares, the longest outage, the sum of what is counted.

    Only policies that were replayed on every trace are in it: means over different traces cannot be compared.
    """
    rows: list[Mapping[str, Figures]] = [report["policies"] for report in reports]
    return {name: _merged([row[name] for row in rows]) for name in _common(reports)}


def worst(reports: Sequence[Report]) -> dict[str, dict[str, Any]]:
    """Give for each policy on which trace it was available least, and on which it cost most, and how much that is."""
    found: dict[str, dict[str, Any]] = {}
    for name in _common(reports):
        least = min(reports, key=lambda report: report["policies"][name]["availability"])
        dearest = max(reports, key=lambda report: report["policies"][name]["cost"])
        found[name] = {
            "availability": least["policies"][name]["availability"],
            "availability_trace": least["trace"],
            "cost": dearest["policies"][name]["cost"],
            "cost_trace": dearest["trace"],
        }
    return found


@dataclass(frozen=True, slots=True)
class Loop:
    """What came out when every policy was asked at this interval, on all traces."""

    scoring: Scoring
    reports: Sequence[Report]


def loops_of(loops: Sequence[Loop]) -> list[dict[str, Any]]:
    """Give what each loop came to, and what was lost (availability) and paid more (cost) than at the first."""
    first = together(loops[0].reports)
    found = []
    for loop in loops:
        policies = together(loop.reports)
        against = {
            name: {
                "availability_lost": first[name]["availability"] - figures["availability"],
                "cost_added": figures["cost"] - first[name]["cost"],
            }
            for name, figures in policies.items()
            if name in first
        }
        found.append({"loop_seconds": loop.scoring.step, "policies": policies, "against_the_first": against})
    return found


def tradeoff_of(
    entered: Sequence[tuple[Trace, Sequence[Entrant]]], policies: Mapping[str, Figures]
) -> list[dict[str, Any]]:
    """Give the points of a trade-off over all traces, in order; a worth that differs among the traces is None."""
    points: list[dict[str, Any]] = []
    for label, figures in policies.items():
        same = [(trace, one) for trace, entrants in entered for one in entrants if one.label == label]
        costs = {one.worth for _, one in same}
        times = {None if one.worth is None else round(one.worth / trace.on_demand_price, 6) for trace, one in same}
        own = {
            "missing_replica_cost": costs.pop() if len(costs) == 1 else None,
            "on_demand_prices": times.pop() if len(times) == 1 else None,
        }
        points.append({"label": label, "policy": same[0][1].policy, **own, **figures})
    return points


def _common(reports: Sequence[Report]) -> list[str]:
    rows = [report["policies"] for report in reports]
    return [name for name in rows[0] if all(name in row for row in rows)]


def _merged(figures: Sequence[Figures]) -> Figures:
    merged: Figures = {}
    for key in figures[0]:
        values = [one[key] for one in figures]
        if key in _MEANS:
            merged[key] = sum(values) / len(values)
        else:
            merged[key] = max(values) if key in _LARGEST else sum(values)
    return merged
