"""The scored world: what a request gets and when that is known, what is lost, what it costs, to the second."""

import pytest

from controlplane.simulate.market import Answered, Kind, Market, Preempted, Ready, Scoring
from controlplane.simulate.score import score
from controlplane.simulate.trace import Trace, Zone

START = Scoring(left_out=0.0)


def market_of(*capacities: list[int], interval: float = 100.0, scoring: Scoring = START) -> Market:
    zones = tuple(Zone(f"z{i}", f"r{i}", 1.0 + i, tuple(column), "gpu") for i, column in enumerate(capacities))
    return Market(Trace("t", "gpu", interval, 4.0, zones), scoring)


def test_spot_is_answered_after_a_minute_and_ready_after_three() -> None:
    """Both count from the request; nobody knows the answer before."""
    market = market_of([1] * 10)
    lease = market.request(0)
    assert market.advance(59.9) == []
    assert lease.accepted is None
    assert market.advance(60.0) == [Answered(lease, accepted=True, at=60.0)]
    assert not lease.is_ready(179.9)
    assert market.advance(500.0) == [Ready(lease, at=180.0)]
    assert lease.is_ready(market.now)
    assert (lease.kind, lease.zone) == (Kind.SPOT, 0)


def test_more_than_the_capacity_are_refused_in_the_order_of_requests() -> None:
    """What was granted is held at once, so a request of the same instant finds the zone full."""
    market = market_of([2] * 10)
    leases = [market.request(0) for _ in range(3)]
    market.advance(60.0)
    assert [lease.accepted for lease in leases] == [True, True, False]
    assert leases[2].why_ended == "refused"
    assert list(market.leases.values()) == leases[:2]


def test_a_place_given_back_can_be_had_by_the_next() -> None:
    """A release frees capacity at once, and so does a request that is withdrawn."""
    market = market_of([1] * 10)
    first = market.request(0)
    market.release(first)
    second = market.request(0)
    market.advance(60.0)
    assert second.accepted is True
    assert first.why_ended == "released"


def test_the_outcome_is_that_of_the_instant_of_the_request() -> None:
    """Capacity that comes before the answer does not turn a refusal round."""
    market = market_of([0, 5, 5], interval=30.0)
    refused = market.request(0)
    market.advance(30.0)
    granted = market.request(0)
    market.advance(90.0)
    assert (refused.accepted, granted.accepted) == (False, True)


def test_the_newest_is_preempted_when_capacity_drops() -> None:
    """It is lost when the trace says, between two steps as well."""
    market = market_of([3, 3, 1], interval=145.0)
    leases = [market.request(0)]
    market.advance(30.0)
    leases += [market.request(0), market.request(0)]
    events = market.advance(300.0)
    assert [event for event in events if isinstance(event, Preempted)] == [
        Preempted(leases[2], 290.0),
        Preempted(leases[1], 290.0),
    ]
    assert leases[0].is_ready(300.0)
    assert [lease.why_ended for lease in leases] == ["", "preempted", "preempted"]


def test_what_is_lost_before_the_answer_was_never_had() -> None:
    """The answer is then no; it costs nothing and is no preemption."""
    market = market_of([1, 0, 0], interval=30.0)
    lease = market.request(0)
    assert market.advance(90.0) == [Answered(lease, accepted=False, at=60.0)]
    assert market.ledger.leases == []
    assert market.ledger.preempted == []
    assert market.ledger.refusals == [(60.0, 0)]


def test_on_demand_always_succeeds() -> None:
    """It is accepted at once and ready after the cold start, and is no attempt on spot."""
    market = market_of([0])
    leases = [market.request(None) for _ in range(50)]
    assert all(lease.accepted for lease in leases)
    assert [event for event in market.advance(180.0) if isinstance(event, Ready)] == [
        Ready(lease, 180.0) for lease in leases
    ]
    assert market.ledger.attempts == []


def test_at_one_instant_capacity_goes_before_a_replica_gets_ready() -> None:
    """A replica that is lost in the very moment in which it would be ready was never ready."""
    market = market_of([1, 0], interval=180.0)
    market.request(0)
    kinds = [type(event) for event in market.advance(400.0)]
    assert kinds == [Answered, Preempted]
    assert market.ledger.readiness == [(0.0, 0)]


@pytest.mark.parametrize("step", [7.0, 30.0, 60.0, 333.0], ids=lambda step: f"every-{step:g}s")
def test_the_world_does_not_depend_on_how_time_is_cut(step: float) -> None:
    """One leap and many small steps lead to the same account."""

    def account(cuts: list[float]) -> list[object]:
        market = market_of([2, 1, 0, 2, 0, 1], [1, 0, 1, 1, 0, 0], interval=195.0)
        for zone in (0, 0, 1, None):
            market.request(zone)
        for cut in cuts:
            market.advance(cut)
        ledger = market.ledger
        spans = [(lease.id, lease.requested_at, lease.ended_at) for lease in ledger.leases]
        return [ledger.readiness, ledger.preempted, ledger.refusals, spans]

    steps = [step * number for number in range(1, int(1170 / step) + 1)]
    assert account([*steps, 1170.0]) == account([1170.0])


def test_recent_is_what_happened_since_the_last_call() -> None:
    """A policy reads it; what was before is not told twice."""
    market = market_of([1] * 10)
    lease = market.request(0)
    market.advance(60.0)
    assert list(market.recent) == [Answered(lease, accepted=True, at=60.0)]
    market.advance(90.0)
    assert list(market.recent) == []


def test_releasing_twice_is_releasing_once() -> None:
    """A lease that ended stays as it ended."""
    market = market_of([1, 0])
    lease = market.request(0)
    market.advance(100.0)
    market.release(lease)
    assert (lease.why_ended, lease.ended_at) == ("preempted", 100.0)


@pytest.mark.parametrize(
    ("old_first", "moves"), [pytest.param(True, 1, id="older-goes"), pytest.param(False, 0, id="newer-goes")]
)
def test_a_move_is_an_older_replica_given_back_for_a_newer_one(old_first: bool, moves: int) -> None:
    """Both are ready at that moment; giving back a newer surplus is no move."""
    market = market_of([1] * 10, [1] * 10)
    old = market.request(0)
    market.advance(30.0)
    new = market.request(1)
    market.advance(300.0)
    market.release(old if old_first else new)
    assert len(market.ledger.moves) == moves


def test_one_newer_replica_takes_one_place() -> None:
    """Two given back after one newer got ready are one move."""
    market = market_of([3] * 10)
    leases = [market.request(0) for _ in range(2)]
    market.advance(30.0)
    newer = market.request(0)
    market.advance(300.0)
    for lease in leases:
        market.release(lease)
    (move,) = market.ledger.moves
    assert (move.old, move.new, move.at) == (leases[0], newer, 300.0)


def test_spot_is_paid_from_the_request_and_only_if_it_was_got() -> None:
    """Two of two zones at 1 and 2 USD, one refused; on-demand at 4 would be 2 x 4."""
    market = market_of([1] * 36, [1] * 36)
    market.request(0)
    market.request(1)
    market.request(1)
    market.advance(market.trace.duration)
    result = score("p", market.ledger, market.trace, 2, START)
    assert result.cost == pytest.approx((1 + 2) / (2 * 4))
    assert (result.attempts, result.failed_attempts, result.preemptions) == (3, 1, 0)


def test_a_request_withdrawn_before_its_answer_is_paid_if_it_was_granted() -> None:
    """Nothing can be had for nothing by asking and taking it back in time."""
    market = market_of([1] * 36)
    lease = market.request(0)
    market.advance(36.0)
    market.release(lease)
    market.advance(market.trace.duration)
    assert score("p", market.ledger, market.trace, 1, START).cost == pytest.approx(0.01 / 4)


def test_availability_is_the_share_of_time_with_enough_ready() -> None:
    """Ready at 180 s, lost at 700 s of 1000; the first 200 s do not count, nor does what was paid in them."""
    market = market_of([1, 1, 1, 1, 1, 1, 1, 0, 0, 0])
    market.request(0)
    market.advance(1000.0)
    result = score("p", market.ledger, market.trace, 1, Scoring(left_out=200.0))
    assert result.availability == pytest.approx(500 / 800)
    assert result.cost == pytest.approx((500 * 1.0) / (800 * 4.0))
    assert result.longest_outage_minutes == pytest.approx(5.0)
    assert result.preemptions == 1


def test_the_longest_outage_is_one_on_end() -> None:
    """Changes in how many are missing do not cut it in two; a moment with enough does."""
    market = market_of([2, 0, 0, 2, 2, 2, 2, 1, 1, 0, 0, 0], scoring=Scoring(60.0, 60.0, 30.0, 0.0))
    for at in (0.0, 300.0):
        market.advance(at)
        market.request(0)
        market.request(0)
    market.advance(1200.0)
    result = score("p", market.ledger, market.trace, 2, market.scoring)
    assert result.longest_outage_minutes == pytest.approx(500 / 60)
    assert result.availability == pytest.approx((40 + 340) / 1200)


def test_pieces_count_from_the_start() -> None:
    """What happens in the time left out is in none of the shares, but in the counts."""
    market = market_of([0] * 10)
    market.request(0)
    market.advance(1000.0)
    result = score("p", market.ledger, market.trace, 1, Scoring(left_out=500.0))
    assert (result.attempts, result.failed_attempts) == (1, 1)
    assert set(result.as_dict()) == {
        "availability", "cost", "attempts", "failed_attempts", "preemptions", "moves", "longest_outage_minutes",
    }  # fmt: skip
