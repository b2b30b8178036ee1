"""What a set of replicas costs an hour, all in."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.decide.portfolio import INTERRUPTION, TOGETHER, Line, Portfolio, Terms

TERMS = Terms(wanted=2, missing=30.0, recovery=0.1)
LINES = {
    "a1": Line("a1", "a", 1.0, 0.5),
    "a2": Line("a2", "a", 0.5, 1.0),
    "b1": Line("b1", "b", 2.0, 0.2),
    "lasting": Line("lasting", "c", 3.0, 0.0),
}


def portfolio(terms=TERMS, **counts):
    return Portfolio(terms, LINES, counts)


def test_what_lasts_costs_its_price():
    """Without hazard and without anything missing there is nothing else to pay."""
    assert portfolio(lasting=2).cost() == 6.0


def test_what_is_missing_costs_what_the_user_says_and_the_interruption_once():
    """One missing replica and two differ by one replica's worth."""
    assert portfolio(lasting=1).cost() == pytest.approx(3 + 30 * (1 + INTERRUPTION))
    assert portfolio().cost() == pytest.approx(30 * (2 + INTERRUPTION))


def test_replicas_in_two_regions_are_lost_one_by_one():
    """Each loses its own replica, and one that falls alone takes none along."""
    risk = (0.5 + 0.2) * (1 + INTERRUPTION)

    assert portfolio(a1=1, b1=1).cost() == pytest.approx(3.0 + 30 * 0.1 * risk)


def test_replicas_of_one_offering_are_lost_together():
    """Both go with one loss."""
    assert portfolio(a1=2).cost() == pytest.approx(2.0 + 30 * 0.1 * 0.5 * (2 + INTERRUPTION))


def test_a_loss_takes_the_rest_of_its_region_along_at_times():
    """Two offerings of one region: each loss is a loss of one, or with some chance of both."""
    each = (1 - TOGETHER) * (1 + INTERRUPTION) + TOGETHER * (2 + INTERRUPTION)

    assert portfolio(a1=1, a2=1).cost() == pytest.approx(1.5 + 30 * 0.1 * (0.5 + 1.0) * each)


def test_a_spare_elsewhere_takes_up_a_loss():
    """With one more than is wanted, a single loss leaves nothing missing."""
    spared = portfolio(a1=1, b1=1, lasting=1)

    assert spared.cost() == 6.0
    assert spared.at_stake() == 0.0


def test_a_spare_beside_what_may_be_lost_goes_with_it():
    """In the same region it helps less than elsewhere, at the same price."""
    lines = {**LINES, "a3": Line("a3", "a", 3.0, 0.0)}
    beside, apart = (Portfolio(TERMS, lines, {"a1": 1, "b1": 1, key: 1}) for key in ("a3", "lasting"))

    assert beside.cost() > apart.cost()


COUNTS = st.dictionaries(st.sampled_from(sorted(LINES)), st.integers(0, 4))
WANTED = st.builds(Terms, st.integers(0, 6), st.floats(0, 1000), st.floats(0, 2))


@settings(deadline=None, derandomize=True, max_examples=300)
@given(counts=COUNTS, terms=WANTED, key=st.sampled_from(sorted(LINES)))
def test_the_quick_way_to_weigh_one_more_comes_to_the_same(counts, terms, key):
    """`cost_with` is `with_more` without making the portfolio."""
    made = Portfolio(terms, LINES, counts)

    assert made.cost_with(key) == pytest.approx(made.with_more(key).cost())
    assert made.cost_with(key) == made.cost_with(key)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(counts=COUNTS, terms=WANTED)
def test_a_spare_that_lasts_never_raises_what_is_at_stake(counts, terms):
    """And what a portfolio costs is at least what is paid for it."""
    made = Portfolio(terms, LINES, counts)
    more = made.with_more("lasting")

    assert made.cost() >= sum(LINES[k].price * n for k, n in counts.items()) - 1e-9
    assert more.at_stake() <= made.at_stake() + 1e-9 or made.total < terms.wanted


@settings(deadline=None, derandomize=True)
@given(counts=COUNTS, key=st.sampled_from(sorted(LINES)))
def test_one_more_and_one_less_is_the_same_again(counts, key):
    """Portfolios are values."""
    made = Portfolio(TERMS, LINES, counts)

    assert made.with_more(key).with_more(key, -1).cost() == pytest.approx(made.cost())
    assert made.with_more(key).total == made.total + 1
    assert made.with_more(key).count(key) == made.count(key) + 1
