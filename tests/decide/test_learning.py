"""What an offering's past says about its future."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.decide import learning
from controlplane.decide.capacity import lost, obtained, refused
from controlplane.model.memory import OfferingMemory
from controlplane.model.observation import Advice
from controlplane.model.offering import RefusalClass

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
UNTOUCHED = OfferingMemory()


def held(hours, **changes):
    """Give an offering that has been held, and known to be up, for so long."""
    return OfferingMemory(up_since=NOW - hours * HOUR, held_since=NOW - hours * HOUR, **changes)


def test_what_has_lasted_lasts():
    """The hazard falls as a spell grows older, by far from the first minutes to half a day."""
    hazards = [learning.hazard(held(hours), NOW) for hours in (0, 0.5, 1, 2, 6, 13)]

    assert all(later < earlier for earlier, later in pairwise(hazards))
    assert hazards[0] > 5 * hazards[-1]


def test_time_changes_a_hazard_in_steps_of_the_clock():
    """Within a step of five minutes a hazard stays as it is, so that passes in between decide alike."""
    past = held(0.1)
    within = {learning.hazard(past, NOW + timedelta(seconds=s)) for s in (0, 1, 150, 299)}

    assert len(within) == 1
    assert learning.hazard(past, NOW + learning.SPELL) < within.pop()


@pytest.mark.parametrize("second", [0, 1, 299], ids=lambda s: f"{s}s")
def test_a_step_begins_at_whole_multiples(second):
    """Steps lie on the clock, not at what happened to be looked at first."""
    assert learning.step(NOW + timedelta(seconds=second)) == NOW


@pytest.mark.parametrize("rest", [True, False], ids=["some is left", "nothing is left"])
def test_a_loss_makes_a_spell_young(rest):
    """After a first preemption a second mostly follows within minutes, however long all was well."""
    old = held(20)
    after = learning.lost(old, NOW, rest=rest)

    assert learning.age(after, NOW) == 0
    assert learning.hazard(after, NOW) > 5 * learning.hazard(old, NOW)
    assert (after.held_since is not None) is rest


def test_a_refusal_beside_what_is_held_makes_the_spell_half_as_old():
    """What is held may stay, but there is no room beside it any more."""
    assert learning.age(learning.failed(held(4), NOW), NOW) == 2


def test_a_refusal_where_nothing_is_held_ends_the_spell():
    """Nothing is known to be up there; half the time since is supposed."""
    after = refused(spec(), OfferingMemory(up_since=NOW - 5 * HOUR), RefusalClass.STOCK_OUT, "out", NOW)

    assert after.up_since is None
    assert learning.age(after, NOW + HOUR) == 0.5


def spec():
    """Give the least that learning asks of a spec."""
    from controlplane.model.offering import Accelerator
    from controlplane.model.service import PodTemplate, ServiceSpec

    return ServiceSpec("web", "default", "uid", 1, 1, (Accelerator("nvidia-l4"),), PodTemplate("demo:1", 7860))


def test_a_place_that_loses_more_than_foretold_is_distrusted_and_one_that_loses_nothing_is_trusted():
    """The general hazard is scaled by what is peculiar to a place."""
    bad, good = OfferingMemory(losses=5, exposure=1), OfferingMemory(losses=0, exposure=3)

    assert learning.factor(bad, NOW) == 3
    assert learning.factor(good, NOW) == 0.25
    assert learning.hazard(bad, NOW) == pytest.approx(12 * learning.hazard(good, NOW))


@settings(deadline=None, derandomize=True)
@given(losses=st.floats(0, 50), exposure=st.floats(0, 50))
def test_a_factor_lies_between_what_was_seen_and_one(losses, exposure):
    """While little is known, a place is taken for one like all others."""
    factor = learning.factor(OfferingMemory(losses=losses, exposure=exposure), NOW)
    seen = losses / exposure if exposure else float("inf")

    assert min(1, seen) - 1e-9 <= factor <= max(1, seen) + 1e-9


def test_being_held_without_a_loss_counts_for_a_place_while_it_lasts_and_after_it_was_left():
    """The time under way is foretold for as if it were settled, and settled once."""
    still = held(10)
    left = learning.left(still, NOW)

    assert learning.factor(still, NOW) < 1
    assert learning.factor(left, NOW) == learning.factor(still, NOW)
    assert learning.factor(left, NOW + 30 * HOUR) == learning.factor(left, NOW)
    assert (left.held_since, left.last_obtained_at) == (None, NOW)


def test_foretold_losses_add_up():
    """The time held counts the same in one piece as in two."""
    whole, parts = learning.foretold(0.2, 9), learning.foretold(0.2, 3) + learning.foretold(3, 9)

    assert whole == pytest.approx(parts)
    assert learning.foretold(5, 5) == learning.foretold(5, 1) == 0


@pytest.mark.parametrize("told", [1e-300, 1, 60, 3600, 1e6, 1e300], ids=lambda s: f"{s:g}s")
@pytest.mark.parametrize("hours", [0, 1, 20])
def test_advice_that_lies_moves_a_hazard_by_no_more_than_three_times(told, hours):
    """An uptime of a second or of an age is believed within bounds."""
    plain, advised = learning.hazard(held(hours), NOW), learning.hazard(held(hours), NOW, Advice(None, told))

    assert plain / learning.BOUND - 1e-9 <= advised <= plain * learning.BOUND + 1e-9


def test_advice_of_a_short_uptime_raises_the_hazard_and_of_a_long_one_lowers_it():
    """Where it says something, it is heard."""
    short, long = (learning.hazard(held(1), NOW, Advice(None, hours * 3600.0)) for hours in (1, 20))

    assert short > learning.hazard(held(1), NOW) > long


@pytest.mark.parametrize("advice", [None, Advice(), Advice(None, 0.0)], ids=["none", "empty", "zero"])
def test_absent_advice_changes_nothing(advice):
    """A signal that is missing does not hurt."""
    assert learning.hazard(held(1), NOW, advice) == learning.hazard(held(1), NOW)
    assert learning.chance(UNTOUCHED, NOW, advice) == learning.chance(UNTOUCHED, NOW)


def test_what_is_held_can_be_had():
    """Where GPUs are held there mostly are more."""
    assert learning.chance(held(1), NOW) > learning.chance(UNTOUCHED, NOW)


def test_a_chance_comes_back_with_time_after_a_refusal_and_slower_after_more():
    """Right after a stock-out there is nothing, half an hour later there may be."""
    once = OfferingMemory(failures=1, last_refused_at=NOW, tries=1)
    often = OfferingMemory(failures=5, last_refused_at=NOW, tries=1)
    later = [learning.chance(once, NOW + minutes * timedelta(minutes=1)) for minutes in (0, 10, 30, 600)]

    assert later[0] == 0
    assert all(a < b for a, b in pairwise(later))
    assert learning.chance(often, NOW + HOUR) < learning.chance(once, NOW + HOUR)


def test_a_chance_follows_what_attempts_came_to():
    """Where attempts succeed, the next will; where they fail, it will not."""
    good = bad = UNTOUCHED
    for minute in range(5):
        at = NOW + minute * HOUR
        good, bad = obtained(good, at, at), refused(spec(), bad, RefusalClass.STOCK_OUT, "out", at)
    good = learning.left(good, NOW + 5 * HOUR)

    assert (
        learning.chance(good, NOW + 6 * HOUR) > learning.chance(UNTOUCHED, NOW) > learning.chance(bad, NOW + 6 * HOUR)
    )


@pytest.mark.parametrize("told", [0.0, 0.3, 1.0])
def test_obtainability_is_believed_while_nothing_else_is_known(told):
    """The advice API's word fades as attempts tell the truth."""
    assert learning.chance(UNTOUCHED, NOW, Advice(told)) == pytest.approx(told)
    tried = OfferingMemory(tries=9, wins=9)
    assert abs(learning.chance(tried, NOW, Advice(told)) - 1) <= 0.25


def test_refusals_that_say_nothing_of_stock_teach_nothing_of_the_chance():
    """A quota or a permission is no stock-out."""
    after = refused(spec(), UNTOUCHED, RefusalClass.QUOTA_REGION, "quota", NOW)

    assert (after.tries, after.wins) == (0, 0)


def test_nothing_is_told_of_what_nothing_is_known_of():
    """An offering without a past has no words."""
    assert learning.told(UNTOUCHED, NOW) == ""


def test_what_was_learnt_is_told_in_numbers_a_person_can_check():
    """Attempts, losses against what was to be expected, and for how long it is held."""
    past = lost(held(3, tries=4.0, wins=3.0), NOW - HOUR, rest=True)
    told = learning.told(past, NOW)

    assert "3 of the last 4 attempts obtained" in told
    assert "lost 1 times" in told
    assert "held for 1.0 h" in told


@pytest.mark.parametrize(
    ("hours", "lasts", "tells"),
    [
        pytest.param(12, False, True, id="held-for-long"),
        pytest.param(0.01, False, False, id="held-for-a-moment"),
        pytest.param(12, True, False, id="on-demand"),
    ],
)
def test_losses_that_never_came_are_told_only_where_some_were_to_be_expected(hours, lasts, tells):
    """Nobody expects to lose what was obtained a moment ago, or what is held on demand."""
    past = OfferingMemory(up_since=NOW - hours * HOUR, held_since=NOW - hours * HOUR)
    assert ("lost 0 times" in learning.told(past, NOW, lasts=lasts)) is tells


PASTS = st.builds(
    OfferingMemory,
    tries=st.floats(0, 10),
    wins=st.floats(0, 10),
    losses=st.floats(0, 100),
    exposure=st.floats(0, 100),
    failures=st.integers(0, 20),
    last_refused_at=st.none() | st.just(NOW - HOUR),
    last_lost_at=st.none() | st.just(NOW),
    up_since=st.none() | st.just(NOW - 5 * HOUR),
    held_since=st.none() | st.just(NOW - 2 * HOUR),
)


@settings(deadline=None, derandomize=True)
@given(
    past=PASTS, seconds=st.integers(0, 10**6), told=st.none() | st.floats(0, 1), uptime=st.none() | st.floats(0, 1e9)
)
def test_whatever_was_learnt_a_chance_is_a_share_and_a_hazard_is_none_negative(past, seconds, told, uptime):
    """No history and no advice make numbers that cannot be weighed."""
    now, advice = NOW + timedelta(seconds=seconds), Advice(told, uptime)
    past = OfferingMemory(**{**{f: getattr(past, f) for f in past.__slots__}, "wins": min(past.wins, past.tries)})

    assert 0 <= learning.chance(past, now, advice) <= 1
    assert 0 <= learning.hazard(past, now, advice) < 1e4
    assert isinstance(learning.told(past, now), str)


def test_a_stock_out_elsewhere_in_the_region_lowers_the_chance_until_it_wears_off():
    """Zones of a region fail together more often than not at all; a day later that says nothing."""
    fresh, minute = OfferingMemory(), timedelta(minutes=1)
    alone = learning.chance(fresh, NOW)
    assert learning.chance(fresh, NOW, sold_out=NOW - minute) == pytest.approx(alone * 0.7, rel=0.1)
    assert learning.chance(fresh, NOW, sold_out=NOW - timedelta(days=1)) == pytest.approx(alone)


def test_what_is_known_of_the_offering_itself_outweighs_an_older_stock_out_elsewhere():
    """What was obtained after it, or is held now, is the better witness."""
    obtained = OfferingMemory(tries=1, wins=1, last_obtained_at=NOW)
    held = OfferingMemory(held_since=NOW, up_since=NOW)
    earlier = NOW - timedelta(minutes=5)
    assert learning.chance(obtained, NOW, sold_out=earlier) == learning.chance(obtained, NOW)
    assert learning.chance(held, NOW, sold_out=NOW) == learning.chance(held, NOW)
