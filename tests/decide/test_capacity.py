"""Launch budgets and back-off of one offering."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from controlplane.decide import capacity
from controlplane.model.memory import OfferingMemory
from controlplane.model.offering import Capacity, RefusalClass
from controlplane.model.service import Policy, Preset

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def refuse(spec, times: int, refusal=RefusalClass.STOCK_OUT, every=timedelta(minutes=31)) -> list[OfferingMemory]:
    past, history, now = OfferingMemory(budget=8), [], NOW
    for _ in range(times):
        past = capacity.refused(spec, past, refusal, "why", now)
        history.append(past)
        now += every
    return history


def test_back_off_doubles_from_the_initial_to_the_longest(toy):
    """5, 10, 20, 30, 30 minutes with the default timing."""
    waits = [(m.not_before - m.last_refused_at).total_seconds() / 60 for m in refuse(toy.make_spec(), 5)]
    assert waits == [5, 10, 20, 30, 30]


def test_an_unclassified_refusal_backs_off_modestly(toy):
    """It grows half as fast as a stock-out's."""
    history = refuse(toy.make_spec(), 5, RefusalClass.UNCLASSIFIED)
    waits = [(m.not_before - m.last_refused_at).total_seconds() / 60 for m in history]
    assert waits == [5, 5, 10, 10, 20]


def test_failures_are_forgotten_after_three_hours(toy):
    """Like the autoscaler, which resets its back-off then."""
    assert refuse(toy.make_spec(), 4, every=timedelta(hours=3))[-1].failures == 1


def test_a_failure_takes_the_budget_back_to_one(toy):
    """However large it had grown."""
    assert refuse(toy.make_spec(), 1)[-1].budget == 1


def test_a_success_doubles_the_budget_and_forgives_failures():
    """1, 2, 4 ... up to a limit; the back-off is gone."""
    past, budgets = OfferingMemory(failures=3, not_before=NOW), []
    for _ in range(9):
        past = capacity.obtained(past, NOW, NOW)
        budgets.append(past.budget)
    assert budgets == [2, 4, 8, 16, 32, 64, 64, 64, 64]
    assert (past.failures, past.not_before) == (0, None)


def test_an_autoscaler_that_backs_off_keeps_the_earlier_cause(toy):
    """Its event hides the cause, so what was known before stands."""
    first = capacity.refused(toy.make_spec(), OfferingMemory(), RefusalClass.QUOTA_REGION, "quota", NOW)
    then = capacity.refused(toy.make_spec(), first, RefusalClass.BACKING_OFF, "in backoff", NOW)
    assert (then.last_refusal, then.last_message, then.failures) == (RefusalClass.QUOTA_REGION, "quota", 2)


def test_an_autoscaler_that_backs_off_for_no_known_cause_is_no_stock_out(toy):
    """It stays what it is."""
    past = capacity.refused(toy.make_spec(), OfferingMemory(), RefusalClass.BACKING_OFF, "in backoff", NOW)
    assert past.last_refusal is RefusalClass.BACKING_OFF


def test_a_rejected_spec_counts_against_the_generation_and_not_the_offering(toy):
    """No failure, no back-off: only this generation of the spec is blocked."""
    past = capacity.refused(toy.make_spec(generation=7), OfferingMemory(), RefusalClass.REJECTED_SPEC, "no", NOW)
    assert (past.blocked_generation, past.failures, past.not_before) == (7, 0, None)


@pytest.mark.parametrize("refusal", [r for r in RefusalClass if r is not RefusalClass.REJECTED_SPEC], ids=str)
def test_every_class_backs_off_and_never_shrinks(toy, refusal):
    """Every refusal has a growing, bounded back-off."""
    waits = [m.not_before - m.last_refused_at for m in refuse(toy.make_spec(), 8, refusal)]
    assert all(a <= b for a, b in pairwise(waits))
    assert toy.make_spec().timing.backoff_initial <= waits[0] <= waits[-1] <= toy.make_spec().timing.backoff_max


@pytest.mark.parametrize(
    ("policy", "capacities", "minutes"),
    [
        pytest.param(Policy(), (Capacity.SPOT,), 30, id="nothing-valued"),
        pytest.param(Policy(preset=Preset.BALANCED), (Capacity.SPOT, Capacity.ON_DEMAND), 30, id="on-demand-fills-in"),
        pytest.param(Policy(preset=Preset.BALANCED), (Capacity.SPOT,), 25, id="nothing-else-fills-in"),
    ],
)
def test_where_nothing_else_fills_in_a_back_off_stays_shorter(toy, policy, capacities, minutes):
    """Five first back-offs are the most then; the autoscaler's own is no longer than thirty minutes either way."""
    spec = toy.make_spec(policy=policy, capacity_types=capacities)
    assert capacity.backoff(spec, RefusalClass.STOCK_OUT, 10) == timedelta(minutes=minutes)
