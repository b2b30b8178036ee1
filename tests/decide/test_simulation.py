"""Random worlds through random faults: every invariant after every pass, and the desired state when faults stop.

The toy world checks S1 to S8, S10, L5 and Q1 after each pass by itself; see `toyworld/invariants.py`.
"""

import itertools
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.api import status_of, worth_writing
from controlplane.model.offering import Capacity
from controlplane.model.service import Policy, Preset

BALANCED = Policy(Preset.BALANCED)
QUICK = settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _room(t) -> bool:
    """Tell whether the spec leaves room for as many replicas as it wants."""
    most = t.spec.spread.max_replicas_per_region
    permitted = sum(t.spec.regions.permits(c.region) for c in t.clusters)
    return t.spec.max_hourly_cost is None and (most is None or most * permitted >= t.spec.replicas)


def _spares_allowed(t) -> int:
    """Give how many replicas beyond those wanted may be held."""
    policy = t.spec.policy
    if not policy.valued:
        return 0
    return 4 if policy.max_spares is None else policy.max_spares


@QUICK
@given(seed=st.integers(0, 10**6))
def test_any_history_keeps_every_invariant_under_any_policy_too(toy, seed):
    """Where replicas are valued, with advice that lies, nothing breaks either, and all comes to rest.

    Dwelling and the bound of moves make the way to what is cheapest long, so it is given a day.
    """
    t = toy.wild(random.Random(seed), events=25, values=random.Random(seed + 1))
    if t.spec.deleting:
        assert (t.deployments, t.listed, t.finalizer) == ({}, None, False), t.story()
        return
    assert all(t.spec.regions.permits(o.region) for o in t.serving_offerings()) or not _room(t), t.story()
    assert t.serving() - t.spec.replicas >= 0 or not _room(t), t.story()
    t.run(200, toy.SETTLED)
    assert not any(d.plan for _, d in t.log[-12:]), t.story()
    assert t.serving() - t.spec.replicas <= _spares_allowed(t), t.story()
    assert replace(t.memory, passes=0) == replace(t.log[-6][1].memory, passes=0)


@QUICK
@given(seed=st.integers(0, 10**6))
def test_any_history_of_faults_keeps_every_invariant_and_ends_steady(toy, seed):
    """Whatever happens, no pass breaks an invariant, and afterwards the service is whole and nothing is written."""
    t = toy.wild(random.Random(seed), events=25)
    if t.spec.deleting:
        assert (t.deployments, t.listed, t.finalizer) == ({}, None, False), t.story()
        return
    assert not any(d.plan for _, d in t.log[-12:]), t.story()
    assert all(t.spec.regions.permits(o.region) for o in t.serving_offerings()) or not _room(t), t.story()
    assert t.serving() == t.spec.replicas or not _room(t), t.story()
    assert replace(t.memory, passes=0) == replace(t.log[-6][1].memory, passes=0)


@settings(QUICK, max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_any_history_keeps_every_invariant_while_placements_grow_and_shrink_by_load(toy, seed):
    """Whatever the load, what may run by it never passes the cap, what serves stays, and all comes to rest."""
    t = toy.wild(random.Random(seed), events=25, loads=random.Random(seed + 1))
    if t.spec.deleting:
        assert (t.deployments, t.listed, t.finalizer) == ({}, None, False), t.story()
        return
    assert not any(d.plan for _, d in t.log[-12:]), t.story()
    assert t.serving() >= t.spec.replicas or not _room(t), t.story()
    if t.spec.autoscaling is None:
        assert not any(d.scaler for d in t.deployments.values()), t.story()
        assert t.serving() == t.spec.replicas or not _room(t), t.story()
    most = t.spec.spread.max_replicas_per_region
    for region in {o.region for o in t.deployments}:
        there = [d for o, d in t.deployments.items() if o.region == region]
        grows = any(d.scaler and d.scaler.maximum > d.scaler.minimum for d in there)
        assert most is None or not grows or sum(d.worst for d in there) <= most, t.story()


def test_the_same_seed_gives_the_same_trace(toy):
    """Two runs of one seed decide the same, to the letter."""
    one, two = (toy.wild(random.Random(11), events=15) for _ in range(2))
    assert [(at, d) for at, d in one.log] == [(at, d) for at, d in two.log]


@pytest.mark.parametrize("lost", [0.2, 0.5, 0.8], ids=lambda p: f"{p:.0%}-of-actions-lost")
def test_lost_actions_only_delay(toy, lost):
    """When many actions never arrive, no invariant breaks and the service still comes up."""
    chance = random.Random(5)
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    for _ in range(60):
        t.one_pass(lambda _: chance.random() > lost)
        t.step(toy.MINUTE)
    t.run(5)
    assert t.serving() == 2


def test_desired_state_within_five_passes_after_a_region_returns_when_provisioning_is_instant(toy):
    """With GPUs at hand and nothing slow, five passes suffice from nothing to whole, then nothing is written."""
    zero = toy.seconds(0)
    t = toy.Toy(spec=toy.make_spec(replicas=3), boot=zero, warm=zero, lag=zero)
    assert t.until(t.__class__.settled, passes=5, dt=toy.seconds(10)) <= 5
    quiet = t.run(10)
    assert not quiet.plan
    assert not any(d.plan for _, d in t.log[-10:])


def test_a_feasible_offering_restores_service_within_warm_up_and_two_passes(toy):
    """After the held GPU type runs out and is preempted, service is back after boot, warm-up, lag and two passes."""
    t = toy.Toy()
    t.until(t.__class__.settled)
    where = t.serving_offerings()[0]
    t.set_stock(0, region=where.region)
    t.preempt(where.region)
    began = t.now
    t.until(lambda w: w.serving() == 1)
    assert t.now - began <= t.boot + t.warm + t.lag + 2 * toy.MINUTE


def test_a_total_stock_out_is_met_with_a_decaying_rate_of_attempts(toy):
    """With no GPU anywhere for ten hours, each offering is tried ever less often, down to once per longest back-off."""
    t = toy.Toy(stock=0)
    t.run(10 * 60)
    hours = [sum(at - toy.START < timedelta(hours=h) for at, _ in t.created_at) for h in (1, 9, 10)]
    first, last = hours[0], hours[2] - hours[1]
    assert last < first
    assert max(t.creates.values()) <= 10 * 2 + 4
    assert t.condition("Available").status == "False"
    assert t.condition("Progressing").message


def test_between_attempts_of_a_total_stock_out_the_report_stays_the_same(toy):
    """The status is worth a write when an attempt begins or ends or a rest is over, and at no other pass (L6)."""
    t = toy.Toy(stock=0)
    status, writes, before = None, 0, None
    for _ in range(6 * 60):
        decision = t.one_pass()
        fresh = status_of(t.spec, decision, status, t.now, address=None)
        now = (replace(decision.memory, passes=0), decision.histogram, decision.plan)
        if worth_writing(fresh, status):
            assert now != before, "nothing happened, and yet the report is another"
            writes, status = writes + 1, fresh
        before = now
        t.step(toy.MINUTE)
    assert writes <= 4 * len(t.created_at) + 4
    assert len(t.created_at) > 10


def _tried_in_time(t) -> bool:
    """Tell whether no two tries of one offering lie further apart than its longest back-off and the hunt allow."""
    by_offering = {o: [at for at, offering in t.created_at if offering == o] for o in t.offerings()}
    slack = timedelta(minutes=10) * len(by_offering)  # one at a time, for one missing replica
    gaps = [later - at for times in by_offering.values() for at, later in itertools.pairwise(times)]
    return all(by_offering.values()) and max(gaps) <= t.spec.timing.backoff_max + slack


def test_every_feasible_offering_is_tried_again_within_its_longest_back_off(toy):
    """During a long stock-out, two tries of one offering never lie further apart than back-off and hunt allow."""
    t = toy.Toy(stock=0)
    t.run(8 * 60)
    assert _tried_in_time(t)


@pytest.mark.parametrize(
    ("policy", "most_down"), [(Policy(), 0.25), (BALANCED, 0.1)], ids=["nothing-valued", "under-a-policy"]
)
@pytest.mark.parametrize("period", [2, 10, 60], ids=lambda m: f"every-{m}-min")
def test_flickering_capacity_moves_no_region_more_than_twice_an_hour(toy, period, policy, most_down):
    """Stock that comes and goes by the minute is not followed, and service stays up; less of it where it is valued."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1"), toy.make_spec(policy=policy))
    t.until(lambda w: w.serving() >= 1)
    down = 0
    for minute in range(6 * 60):
        if minute % period == 0:
            on = (minute // period) % 2
            t.set_stock(8 if on else 0, region="us-a1", accelerator=toy.L4.type)
            if not on:
                t.preempt("us-a1")
        t.step(toy.MINUTE)
        t.one_pass()
        down += t.serving() == 0
    assert down < 6 * 60 * most_down
    assert len(t.left) <= 2 * 6 * 3


def test_a_route_taken_and_given_back_within_the_balancers_lag_is_not_taken_for_steady(toy):
    """Health that still tells of an older list is no ground for taking the other route away (seed that found it)."""
    t = toy.wild(random.Random(5081), events=40)
    assert t.serving() == t.spec.replicas


@pytest.mark.parametrize("preset", Preset)
def test_under_a_policy_too_five_passes_suffice_and_then_nothing_is_written(toy, preset):
    """With GPUs at hand and nothing slow, the service is whole within five passes, and comes to rest (L1)."""
    zero = toy.seconds(0)
    spec = toy.make_spec(replicas=3, policy=Policy(preset))
    t = toy.Toy(("us-a1", "us-b1", "us-c1"), spec, boot=zero, warm=zero, lag=zero)
    assert t.until(lambda w: w.serving() >= 3, passes=5, dt=toy.seconds(10)) <= 5
    t.run(300, toy.SETTLED)  # a day: a spare is let go of as what is held grows old
    assert not any(d.plan for _, d in t.log[-50:])


def test_under_a_policy_too_every_offering_is_tried_again_and_attempts_grow_rare(toy):
    """In a total stock-out each offering has its turn within its longest back-off (L4), ever less often (L6)."""
    t = toy.Toy(spec=toy.make_spec(policy=BALANCED), stock=0)
    t.run(10 * 60)
    hours = [sum(at - toy.START < timedelta(hours=h) for at, _ in t.created_at) for h in (1, 9, 10)]

    assert _tried_in_time(t)
    assert hours[2] - hours[1] < hours[0]
    assert max(t.creates.values()) <= 10 * 2 + 4


def test_an_offering_that_always_refuses_is_tried_ever_less_often(toy):
    """The cheapest place that never has anything costs a few attempts an hour, and the service stands elsewhere."""
    t = toy.Toy(spec=toy.make_spec(policy=BALANCED, accelerators=(toy.L4,)), price_of={"us-a1": 0.1})
    t.set_stock(0, region="us-a1")
    t.run(8 * 60)
    late = [at for at, offering in t.created_at if offering.region == "us-a1" and at - toy.START > timedelta(hours=4)]

    assert t.serving() >= 1
    assert len(late) <= 4 * 2 * 2


def test_a_place_that_is_lost_every_ten_minutes_is_left_to_others(toy):
    """Though it is the cheapest: what losing it costs is learnt."""
    t = toy.Toy(("us-a1", "us-b1", "us-c1"), toy.make_spec(policy=BALANCED, accelerators=(toy.L4,)))
    t.price_of = {"us-a1/gpu-1:nvidia-l4:1:spot": 0.5}
    down = 0
    for minute in range(12 * 60):
        if minute % 10 == 9:
            t.preempt("us-a1")
        t.step(toy.MINUTE)
        t.one_pass()
        down += minute > 30 and t.serving() == 0
    late = [at for at, o in t.created_at if o.region == "us-a1" and at - toy.START > timedelta(hours=6)]

    assert down == 0
    assert len(late) <= 6 * 2


def test_two_places_that_have_stock_by_turns_do_not_make_a_service_swing(toy):
    """What one has the other lacks, changing every twenty minutes; on-demand and spares carry it, moves stay few."""
    t = toy.Toy(spec=toy.make_spec(policy=BALANCED, accelerators=(toy.L4,)))
    down = 0
    for minute in range(10 * 60):
        if minute % 20 == 0:
            gone, back = ("us-a1", "us-b1") if (minute // 20) % 2 else ("us-b1", "us-a1")
            t.set_stock(0, region=gone, capacity=Capacity.SPOT)
            t.set_stock(8, region=back)
            t.preempt(gone)
        t.step(toy.MINUTE)
        t.one_pass()
        down += minute > 30 and t.serving() == 0

    assert down <= 30 * 4
    assert len(t.created_at) <= 10 * 12
    assert all(len([r for at, r in t.left if r == region]) <= 20 for region in ("us-a1", "us-b1"))
