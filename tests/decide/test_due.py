"""When time alone can change a decision."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.decide import decide
from controlplane.decide.due import TICK, due_at
from controlplane.decide.lifecycle import UNPROVEN_MARGIN
from controlplane.model.memory import Memory, Move, OfferingMemory
from controlplane.model.offering import Capacity
from controlplane.model.service import Policy, Preset

MOMENT = timedelta(microseconds=1)


def seconds(number):
    return timedelta(seconds=number)


def settled(toy, **changes):
    """Give a world in which the service is whole and nothing is under way."""
    t = toy.Toy(spec=toy.make_spec(**changes))
    t.until(lambda w: w.settled())
    t.run(60)
    return t


def due(t):
    """Give what a pass now says of the next one."""
    seen = t.observe()
    return due_at(t.spec, t.memory, decide(t.spec, seen, t.memory, t.now), seen, t.now)


def test_a_quiet_service_is_looked_at_again_at_the_next_tick(toy):
    """Nothing is skipped beyond a whole multiple of five minutes."""
    t = settled(toy)
    t.now = t.now.replace(minute=0, second=0) + timedelta(seconds=61)

    assert due(t) == t.now.replace(minute=5, second=0)


def test_a_pass_that_does_something_is_followed_by_another(toy):
    """What was done has to be seen before anything is left out."""
    t = toy.Toy()

    assert due(t) is None


def test_the_first_pass_is_followed_by_another(toy):
    """The first pass takes nothing away, so the second may differ."""
    t = settled(toy)
    t.memory = Memory()

    assert due(t) is None


def test_a_pass_that_learns_something_is_followed_by_another(toy):
    """A memory that changed may lead to another decision."""
    t = settled(toy, replicas=1, accelerators=(toy.L4,), capacity_types=(Capacity.SPOT,))
    t.preempt("us-a1")
    t.preempt("us-b1")
    decision = t.think()

    assert decision.memory.offerings != t.memory.offerings
    assert due_at(t.spec, t.memory, replace(decision, plan=()), t.observe(), t.now) is None


@pytest.mark.parametrize(
    ("learnt", "after"),
    [
        ({"not_before": seconds(100), "last_refused_at": seconds(-10)}, 100),
        ({"last_lost_at": seconds(-200)}, 100),
        ({"last_obtained_at": seconds(100 - 3 * 86400)}, 100),
        ({"last_refused_at": seconds(100 - 86400)}, 100),
    ],
    ids=["back-off", "preemption", "forgetting", "forgetting the departed"],
)
def test_what_was_learnt_of_an_offering_is_due_when_it_no_longer_holds(toy, learnt, after):
    """An offering that may be tried again is looked at in that instant, not at the next tick."""
    t = settled(toy)
    t.now = t.now.replace(minute=0, second=0) + timedelta(seconds=61)
    past = OfferingMemory(**{name: t.now + shift for name, shift in learnt.items()})
    t.memory = replace(t.memory, offerings={**t.memory.offerings, "us-b1/gpu-1:nvidia-tesla-t4:1:spot": past})

    assert due(t) == t.now + timedelta(seconds=after)


def ago(t, wait):
    """Give the instant from which such a wait ends in 100 seconds."""
    return t.now + seconds(100) - wait


def with_placement(t, **changes):
    """Give the memory of one placement changed."""
    first, *rest = t.memory.placements
    return replace(t.memory, placements=(replace(first, **changes), *rest))


PATIENCE = {
    "the hour of a move": lambda t: replace(t.memory, moves=(Move("us-a1", ago(t, timedelta(hours=1))),)),
    "proven": lambda t: with_placement(t, serving_since=ago(t, t.spec.timing.stabilisation_window)),
    "dwelt": lambda t: with_placement(t, serving_since=ago(t, t.spec.timing.min_dwell)),
    "whole and quiet": lambda t: replace(t.memory, whole_since=ago(t, t.spec.timing.stabilisation_window)),
    "late unwiring": lambda t: with_placement(
        t, since=ago(t, seconds(t.spec.ingress.draining_seconds) + UNPROVEN_MARGIN)
    ),
}


@pytest.mark.parametrize("policy", [Policy(), Policy(Preset.BALANCED)], ids=["ranked", "valued"])
@pytest.mark.parametrize("what", PATIENCE)
def test_what_only_patience_keeps_back_is_due_when_patience_ends(toy, what, policy):
    """A service that may be moved from an instant on is looked at in that instant, not at the next tick."""
    t = settled(toy, policy=policy)
    t.respec(timing=replace(t.spec.timing, min_dwell=timedelta(minutes=25)))
    t.now = t.now.replace(minute=0, second=0) + timedelta(seconds=61)
    t.memory = PATIENCE[what](t)

    assert due(t) == t.now + seconds(100)


POLICIES = (Policy(), Policy(Preset.FRUGAL), Policy(Preset.BALANCED), Policy(Preset.AVAILABLE, max_spares=2))


@pytest.mark.parametrize("seed", range(8), ids=lambda seed: f"seed{seed}")
def test_nothing_is_decided_before_it_is_due(toy, seed):
    """In a world where all goes wrong, what is left out would have changed neither the world nor the memory."""
    checked = 0

    class Watched(toy.Toy):
        def think(self):
            nonlocal checked
            decision = super().think()
            until = due_at(self.spec, self.memory, decision, self.observe(), self.now)
            if until is not None:
                assert self.now < until <= self.now + TICK
                checked += 1
                self._check_until(decision, until)
            return decision

        def _check_until(self, decision, until):
            now = self.now
            for share in (0.2, 0.7, 1.0):
                self.now = now + (until - now) * share - MOMENT
                later = decide(self.spec, self.observe(), decision.memory, self.now)
                assert not later.plan
                assert replace(later.memory, passes=0) == replace(decision.memory, passes=0)
            self.now = now

    chance = random.Random(seed)
    t = Watched(("us-a1", "us-b1", "us-c1"), toy.make_spec(replicas=chance.choice([1, 2, 4])), lag=seconds(0))
    t.respec(policy=POLICIES[seed % len(POLICIES)])
    for number in range(45):
        toy.wild_event(t, chance, number)
        for _ in range(chance.choice([1, 4, 14])):
            t.step(toy.seconds(chance.choice([17, 60, 130])))
            t.one_pass()
    assert checked > 10
