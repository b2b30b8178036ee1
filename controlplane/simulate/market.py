"""The scored world: what a request gets, when that is known, what is lost when capacity goes.

Time does not pass in steps here but from one event to the next (a capacity change, an answer, a replica that becomes
ready), so a policy that is asked every 30 s and one that is asked every 300 s live in the same world, to the second.
A step in which nothing happens costs two comparisons.

How a spot request is answered, where the published definition leaves room: the outcome is decided at the request, one
request after the other, and what was granted is held from then on although nobody knows before the answer comes. If the
capacity goes before that, the answer is no. Decided so, the published figures come out to the last refused attempt
(12,857 on `aws-v100-4node-3zones-11d`); decided at the answer they do not (12,703). Those figures were made on a grid
of 30 s steps. Here capacity changes when the trace says, which costs SpotHedge 0.03 points of availability where
intervals are no multiple of the step, and nothing elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from controlplane.simulate.ledger import Ending, Kind, Lease, Ledger, Move
from controlplane.simulate.trace import Trace

__all__ = ["Answered", "Event", "Kind", "Lease", "Market", "Preempted", "Ready", "Scoring"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """The delays of the world and what is scored, in seconds. The defaults are those all published figures here use.

    `answer_after` and `ready_after` count from the request; `step` is how often the policy is asked; the first
    `left_out` seconds do not count.
    """

    answer_after: float = 60.0
    ready_after: float = 180.0
    step: float = 30.0
    left_out: float = 900.0


@dataclass(frozen=True, slots=True)
class Answered:
    """The outcome of a spot request is known."""

    lease: Lease
    accepted: bool
    at: float


@dataclass(frozen=True, slots=True)
class Preempted:
    """A replica whose request had been accepted was taken away."""

    lease: Lease
    at: float


@dataclass(frozen=True, slots=True)
class Ready:
    """A replica serves from now on."""

    lease: Lease
    at: float


Event = Answered | Preempted | Ready

_ANSWER, _READY = 0, 1  # at the same instant capacity changes first, then answers are given, then replicas are ready


class Market:
    """Spot capacity of a trace's zones, and on-demand without limit. One policy trades in it."""

    def __init__(self, trace: Trace, scoring: Scoring) -> None:
        self.trace, self.scoring = trace, scoring
        self.now = 0.0
        self.leases: dict[int, Lease] = {}
        self.recent: Sequence[Event] = ()
        self.ledger = Ledger()
        self._capacity = [zone.capacity[0] for zone in trace.zones]
        self._changes = [*trace.changes(), (inf, 0, 0)]
        self._upcoming = 0
        self._due: list[tuple[float, int, int]] = []
        self._granted: list[list[Lease]] = [[] for _ in trace.zones]
        self._last_id = 0
        self._serving: set[int] = set()
        self._took_over: set[int] = set()

    def request(self, zone: int | None) -> Lease:
        """Ask for one replica: spot in the zone of this index, or on-demand for None.

        On-demand is accepted at once. Spot is granted if fewer are held in the zone than its capacity, and that is
        known `answer_after` seconds later.
        """
        self._last_id += 1
        now, number = self.now, self._last_id
        ready_at = now + max(self.scoring.ready_after, self.scoring.answer_after)
        if zone is None:
            lease = Lease(number, None, Kind.ON_DEMAND, now, ready_at, accepted=True)
            self.ledger.leases.append(lease)
            heappush(self._due, (ready_at, _READY, number))
        else:
            lease = Lease(number, zone, Kind.SPOT, now, ready_at)
            self.ledger.attempts.append(now)
            held = self._granted[zone]
            if len(held) < self._capacity[zone]:
                held.append(lease)
            heappush(self._due, (now + self.scoring.answer_after, _ANSWER, number))
        self.leases[number] = lease
        return lease

    def release(self, lease: Lease) -> None:
        """Give a replica back, or withdraw a request that was not answered yet. Of one that ended nothing is left."""
        if lease.id not in self.leases:
            return
        if lease.id in self._serving:
            self._keep_move(lease)
        if lease.accepted is None and lease.zone is not None and lease in self._granted[lease.zone]:
            self.ledger.leases.append(lease)  # what was granted is paid for, known or not
        self._end(lease, "released")

    def note(self, text: str) -> None:
        """Keep what a policy says of this instant, for the picture."""
        self.ledger.notes.append((self.now, text))

    def advance(self, to: float) -> list[Event]:
        """Let time pass up to and including this instant; give what happened, in order. `recent` keeps it."""
        events: list[Event] = []
        changes, due = self._changes, self._due
        while True:
            change = changes[self._upcoming]
            if change[0] <= to and (not due or change[0] <= due[0][0]):
                self.now = change[0]
                self._upcoming += 1
                self._change(change[1], change[2], events)
            elif due and due[0][0] <= to:
                self.now, what, number = heappop(due)
                lease = self.leases.get(number)
                if lease is not None:
                    (self._answer if what == _ANSWER else self._serve)(lease, events)
            else:
                break
        self.now = max(to, self.now)
        self.recent = events
        return events

    def _change(self, zone: int, capacity: int, events: list[Event]) -> None:
        self._capacity[zone] = capacity
        held = self._granted[zone]
        while len(held) > capacity:
            lease = held[-1]  # the newest goes first
            if lease.accepted is None:
                held.pop()  # nobody knew of it yet: its answer will be no
                continue
            self._end(lease, "preempted")
            self.ledger.preempted.append(self.now)
            events.append(Preempted(lease, self.now))

    def _answer(self, lease: Lease, events: list[Event]) -> None:
        zone = lease.zone
        assert zone is not None  # noqa: S101 - only spot is answered
        lease.accepted = lease in self._granted[zone]
        if lease.accepted:
            self.ledger.leases.append(lease)
            heappush(self._due, (lease.ready_at, _READY, lease.id))
        else:
            self.ledger.refusals.append((self.now, zone))
            self._end(lease, "refused")
        events.append(Answered(lease, lease.accepted, self.now))

    def _serve(self, lease: Lease, events: list[Event]) -> None:
        self._serving.add(lease.id)
        self.ledger.ready_is_now(self.now, len(self._serving))
        events.append(Ready(lease, self.now))

    def _end(self, lease: Lease, why: Ending) -> None:
        if lease.id in self._serving:
            self._serving.remove(lease.id)
            self.ledger.ready_is_now(self.now, len(self._serving))
        if lease.zone is not None and lease in self._granted[lease.zone]:
            self._granted[lease.zone].remove(lease)
        lease.ended_at, lease.why_ended = self.now, why
        del self.leases[lease.id]
        self._took_over.discard(lease.id)

    def _keep_move(self, old: Lease) -> None:
        for new in self.leases.values():
            if new.requested_at > old.requested_at and new.id in self._serving and new.id not in self._took_over:
                self._took_over.add(new.id)
                self.ledger.moves.append(Move(self.now, old, new))
                return
