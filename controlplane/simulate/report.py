"""Results as programs read them: per trace and, over several traces, together."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.model.service import ServiceSpec
from controlplane.simulate.market import Scoring
from controlplane.simulate.score import Result
from controlplane.simulate.trace import Trace

Figures = dict[str, float | int]
_MEANS, _LARGEST = ("availability", "cost"), ("longest_outage_minutes",)


def of_trace(file: str, trace: Trace, spec: ServiceSpec, results: Sequence[Result]) -> dict[str, Any]:
    """Give what was replayed on one trace and what came out, by policy."""
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


def together(reports: Sequence[Mapping[str, Any]]) -> dict[str, Figures]:
    """Give the policies' figures over all traces: the mean of shares, the longest outage, the sum of what is counted.

    Only policies that were replayed on every trace are in it: means over different traces cannot be compared.
    """
    rows: list[Mapping[str, Figures]] = [report["policies"] for report in reports]
    names = [name for name in rows[0] if all(name in row for row in rows)]
    return {name: _merged([row[name] for row in rows]) for name in names}


def _merged(figures: Sequence[Figures]) -> Figures:
    merged: Figures = {}
    for key in figures[0]:
        values = [one[key] for one in figures]
        if key in _MEANS:
            merged[key] = sum(values) / len(values)
        else:
            merged[key] = max(values) if key in _LARGEST else sum(values)
    return merged
