"""What a replay leaves behind: enough for a score and for a picture, and no more.

A trace of 27 days has 78,000 steps but only a few thousand things that happen; those are kept, one entry each.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

Ending = Literal["", "released", "preempted", "refused"]


class Kind(StrEnum):
    """What is paid for: preemptible capacity of a zone, or capacity on demand, which never runs out."""

    SPOT = "spot"
    ON_DEMAND = "on-demand"


@dataclass(slots=True, eq=False)
class Lease:
    """One replica, from its request to its end. `zone` is the index of the zone, None for on-demand.

    `accepted` is None as long as the answer is not known. `ready_at` is when it serves (or would have served, if it
    ended before that). Times are seconds since the start of the trace.
    """

    id: int
    zone: int | None
    kind: Kind
    requested_at: float
    ready_at: float
    accepted: bool | None = None
    ended_at: float | None = None
    why_ended: Ending = ""

    def is_ready(self, now: float) -> bool:
        """Say whether it serves at this instant."""
        return self.ended_at is None and self.accepted is True and self.ready_at <= now


@dataclass(frozen=True, slots=True)
class Move:
    """A ready replica was given back while a newer one, ready too, had taken its place."""

    at: float
    old: Lease
    new: Lease


@dataclass(slots=True)
class Ledger:
    """The account of a replay.

    `leases`: all that were billed, in order of request; `readiness`: (time, replicas ready from then on), at each
    change; `attempts`, `preempted`: the times of spot requests and of preemptions; `refusals`: (time of the answer,
    zone index); `moves`; `notes`: (time, text) of what a policy had to say.
    """

    leases: list[Lease] = field(default_factory=list)
    readiness: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])
    attempts: list[float] = field(default_factory=list)
    refusals: list[tuple[float, int]] = field(default_factory=list)
    preempted: list[float] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)

    def ready_is_now(self, at: float, count: int) -> None:
        """Keep how many are ready from this instant on."""
        if self.readiness[-1][0] == at:
            self.readiness[-1] = (at, count)
        else:
            self.readiness.append((at, count))
