"""What a client counts: answers, failures, who answered, and how long it took."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

KEPT_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests so far: how many were answered, how many failed, by which place, and how long they took (seconds).

    `again` of the answered ones were sent more than once, since the replica that had them went away.
    """

    ok: int
    failed: int
    regions: dict[str, int]
    p50: float
    p95: float
    p99: float
    longest: float
    errors: tuple[str, ...] = ()
    again: int = 0

    def as_dict(self) -> dict[str, object]:
        """Give the tally as plain data, latencies in milliseconds."""
        latency = {"p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.longest}
        return {
            "ok": self.ok,
            "failed": self.failed,
            "again": self.again,
            "latency_ms": {name: round(seconds * 1000, 1) for name, seconds in latency.items()},
            "regions": self.regions,
            "errors": list(self.errors),
        }


def tally_of(
    latencies: Sequence[float], places: Counter[str], failed: int, errors: Sequence[str], again: int = 0
) -> Tally:
    """Sum up what was recorded; it copies, so that recording may go on."""
    ordered = sorted(latencies)
    return Tally(
        ok=len(ordered),
        failed=failed,
        regions=dict(sorted(places.items())),
        p50=percentile(ordered, 0.50),
        p95=percentile(ordered, 0.95),
        p99=percentile(ordered, 0.99),
        longest=ordered[-1] if ordered else 0.0,
        errors=tuple(errors),
        again=again,
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the value below which `share` of the ordered values lie (nearest rank); 0 for none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
