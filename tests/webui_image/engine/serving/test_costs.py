"""What calls take is learnt from few calls, kept apart from the pace of the machine, and never spoilt by an outlier."""

import random

import pytest

from webui_image.engine.costs import Costs


def observed(costs, sizes, *, base=0.01, each=0.003, noise=0.0, group="g", pixels=64.0):
    chance = random.Random(1)
    for size in sizes:
        costs.observe("step", group, pixels, size, (base + each * size) * (1 + noise * chance.random()))


def test_a_line_is_learnt_from_a_few_calls():
    """After calls of three sizes, a fourth is known within a tenth."""
    costs = Costs()
    observed(costs, [2, 8, 16, 2, 8, 16])
    assert costs.seconds("step", "g", 64.0, 32) == pytest.approx(0.106, rel=0.1)


def test_a_long_run_of_full_calls_does_not_blur_a_single_one():
    """After hundreds of calls of one size, the other sizes are still known."""
    costs = Costs()
    observed(costs, [2, 8, 16, 2, 8, 16])
    observed(costs, [32] * 150, noise=0.3)
    assert costs.seconds("step", "g", 64.0, 2) == pytest.approx(0.016 * 1.15, rel=0.25)


def test_the_pace_follows_a_slower_machine_at_once():
    """When everything takes twice as long, a dozen calls are enough to know, for all sizes."""
    costs = Costs()
    observed(costs, [2, 8, 16] * 5)
    observed(costs, [16] * 12, base=0.02, each=0.006)
    assert costs.seconds("step", "g", 64.0, 2) == pytest.approx(0.032, rel=0.15)


def test_an_outlier_hardly_counts():
    """One call that takes a hundred times as long does not change what is expected by much."""
    costs = Costs()
    observed(costs, [2, 8, 16] * 5)
    before = costs.seconds("step", "g", 64.0, 8)
    costs.observe("step", "g", 64.0, 8, 100 * before)
    assert costs.seconds("step", "g", 64.0, 8) < 1.35 * before


def test_an_unknown_size_of_picture_follows_from_a_known_one():
    """Rows of a group never measured cost as many times more as they have more pixels; a call costs the same."""
    costs = Costs()
    observed(costs, [2, 8, 16] * 3)
    assert costs.seconds("step", "large", 256.0, 2) == pytest.approx(0.01 + 4 * 0.006, rel=0.2)
    assert costs.tried("step", "large") == 0
    assert costs.tried("step", "g") == 16


def test_estimates_are_never_negative_and_never_fall_with_size():
    """Whatever was observed, more rows take at least as long."""
    costs = Costs()
    chance = random.Random(2)
    for _ in range(300):
        costs.observe("step", "g", 64.0, chance.choice([2, 4, 32]), chance.random() * 0.1)
        estimates = [costs.seconds("step", "g", 64.0, size) for size in (0, 1, 2, 8, 64)]
        assert estimates[0] >= 0
        assert estimates == sorted(estimates)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0], ids=["nan", "infinite", "negative"])
def test_impossible_durations_are_ignored(seconds):
    """A duration that cannot be is not learnt from."""
    costs = Costs()
    observed(costs, [2, 8])
    before = costs.seconds("step", "g", 64.0, 8)
    costs.observe("step", "g", 64.0, 8, seconds)
    assert costs.seconds("step", "g", 64.0, 8) == before


def test_nothing_known_is_a_guess():
    """Without any observation there is still a positive estimate."""
    assert Costs().seconds("step", "g", 64.0, 2) > 0
    assert not Costs().known_kind("step")
