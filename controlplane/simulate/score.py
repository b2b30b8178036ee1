"""What a replay was worth: one definition, so that figures can be compared with other policies' and with papers'.

The first `left_out` seconds, in which everything starts from nothing, do not count for availability, cost and outages.
What is counted in pieces (attempts, failures, preemptions, moves) counts from the very start: that is how the published
figures were counted, as replaying them showed.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby, pairwise
from operator import itemgetter

from controlplane.simulate.ledger import Lease, Ledger
from controlplane.simulate.market import Scoring
from controlplane.simulate.trace import Trace

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Result:
    """The score of one policy on one trace.

    `availability`: share of time with at least the wanted replicas ready (0 to 1). `cost`: money spent over that of the
    wanted replicas held on demand throughout. `attempts`: spot requests; `failed_attempts`: those that were refused;
    `preemptions`: accepted replicas that were taken away. `moves`: ready replicas given back while a newer one that was
    ready too had taken their place (each newer one counts once). `longest_outage_minutes`: the longest time on end with
    fewer ready than wanted.
    """

    policy: str
    availability: float
    cost: float
    attempts: int
    failed_attempts: int
    preemptions: int
    moves: int
    longest_outage_minutes: float

    def as_dict(self) -> dict[str, float | int]:
        """Give the figures without the policy's name, as programs read them."""
        figures = asdict(self)
        del figures["policy"]
        return figures


def score(policy: str, ledger: Ledger, trace: Trace, replicas: int, scoring: Scoring) -> Result:
    """Score what a policy did. The trace is longer than the time left out (`replay` sees to that)."""
    start, end = scoring.left_out, trace.duration
    short = _short(ledger.readiness, replicas, start, end)
    spent = sum(_price(lease, trace) * _overlap(lease, start, end) for lease in ledger.leases)
    return Result(
        policy=policy,
        availability=1 - sum(short) / (end - start),
        cost=spent / (replicas * trace.on_demand_price * (end - start)),
        attempts=len(ledger.attempts),
        failed_attempts=len(ledger.refusals),
        preemptions=len(ledger.preempted),
        moves=len(ledger.moves),
        longest_outage_minutes=max(short, default=0.0) / 60,
    )


def _price(lease: Lease, trace: Trace) -> float:
    return trace.on_demand_price if lease.zone is None else trace.zones[lease.zone].spot_price


def _overlap(lease: Lease, start: float, end: float) -> float:
    ended = end if lease.ended_at is None else min(lease.ended_at, end)
    return max(0.0, ended - max(lease.requested_at, start))


def _short(readiness: list[tuple[float, int]], replicas: int, start: float, end: float) -> list[float]:
    """Give the lengths of the times on end with too few ready, in seconds."""
    spans = pairwise([*readiness, (end, 0)])
    lengths = ((count < replicas, min(until, end) - max(at, start)) for (at, count), (until, _) in spans)
    return on_end((too_few, length) for too_few, length in lengths if length > 0)


def on_end(spans: Iterable[tuple[bool, float]]) -> list[float]:
    """Give how long each time on end is in which something holds, from (whether it does, for how long), in order."""
    return [sum(length for _, length in run) for holds, run in groupby(spans, key=itemgetter(0)) if holds]
