"""Memory is made sane before it is used, whatever was in it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.decide.remember import MAX_OFFERINGS, MESSAGE_LIMIT, known_offerings, sane
from controlplane.model.decision import DeletePlacement, ScaleDownPlacement, WireIngress
from controlplane.model.memory import Attempt, Memory, Move, OfferingMemory, Outcome, Phase, PlacementMemory
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass
from controlplane.model.service import Policy, Preset

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANTS = st.integers(-(10**7), 10**7).map(lambda s: NOW + timedelta(seconds=s))
MAYBE = st.none() | INSTANTS
OFFERINGS = st.builds(
    Offering,
    st.builds(ClusterRef, st.sampled_from(["us-a1", "us-b1", "us-z9"]), st.just("gpu-1")),
    st.builds(Accelerator, st.sampled_from(["nvidia-l4", "nvidia-tesla-t4", "nvidia-b200"]), st.integers(1, 2)),
    st.sampled_from(Capacity),
)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
LEARNT = st.builds(
    OfferingMemory,
    budget=st.integers(-3, 10**6),
    failures=st.integers(-3, 10**6),
    not_before=MAYBE,
    last_refusal=st.none() | st.sampled_from(RefusalClass),
    last_refused_at=MAYBE,
    last_message=st.text(max_size=20),
    tries=NUMBERS,
    wins=NUMBERS,
    losses=NUMBERS,
    exposure=NUMBERS,
    up_since=MAYBE,
    held_since=MAYBE,
    last_obtained_at=MAYBE,
    last_lost_at=MAYBE,
    blocked_generation=st.none() | st.integers(0, 3),
)
MEMORIES = st.builds(
    Memory,
    passes=st.integers(0, 3),
    placements=st.lists(
        st.builds(
            PlacementMemory,
            OFFERINGS,
            st.sampled_from(Phase),
            INSTANTS,
            st.integers(-2, 5),
            serving_since=MAYBE,
            unwired_at=MAYBE,
            impaired_since=MAYBE,
        ),
        max_size=4,
    ).map(tuple),
    attempts=st.lists(
        st.builds(Attempt, OFFERINGS, INSTANTS, INSTANTS, st.integers(0, 3), st.sampled_from(Outcome)), max_size=4
    ).map(tuple),
    offerings=st.dictionaries(OFFERINGS.map(lambda o: o.key) | st.text(max_size=8), LEARNT, max_size=5),
    moves=st.lists(st.builds(Move, st.sampled_from(["us-a1", "us-b1"]), INSTANTS), max_size=2).map(tuple),
    unknown_since=st.dictionaries(st.sampled_from(["us-a1/gpu-1", "us-z9/gpu-1"]), INSTANTS),
    whole_since=MAYBE,
    below_target_since=MAYBE,
)


def served(toy):
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    return t


@settings(max_examples=60, deadline=None, derandomize=True)
@given(memory=MEMORIES)
def test_no_memory_ends_the_service(toy, memory):
    """Whatever a memory holds, deciding neither fails nor takes the last region away, and the world recovers."""
    t = served(toy)
    t.memory, t.now = memory, NOW + timedelta(hours=1)
    for _ in range(6):
        t.one_pass()
        t.step(toy.MINUTE)
        assert t.serving() >= 1


@settings(max_examples=60, deadline=None, derandomize=True)
@given(memory=MEMORIES)
def test_a_memory_that_has_just_begun_takes_nothing_away(toy, memory):
    """With no passes behind it, a memory is no ground for anything destructive."""
    t = served(toy)
    t.memory = replace(memory, passes=0)
    plan = t.one_pass().plan
    assert not [a for a in plan if isinstance(a, (DeletePlacement, ScaleDownPlacement))]
    assert not [a for a in plan if isinstance(a, WireIngress) and a.removes]


def test_a_quiet_pass_changes_nothing_in_memory_but_its_count(toy):
    """So that there is nothing to write."""
    t = served(toy)
    t.run(3)
    before = t.memory
    t.run(20)
    assert replace(t.memory, passes=0) == replace(before, passes=0)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(memory=MEMORIES)
def test_what_was_learnt_is_made_sane(toy, memory):
    """No instant lies in the future, no number is negative, endless or none at all; what is sane stays as it is."""
    made = sane(toy.make_spec(), memory, NOW)
    for past in made.offerings.values():
        instants = (past.up_since, past.held_since, past.last_lost_at, past.last_obtained_at, past.last_refused_at)
        assert all(i is None or i <= NOW for i in instants)
        assert 0 <= past.wins <= past.tries <= 11
        assert 0 <= past.losses <= 1000
        assert 0 <= past.exposure <= 1000
        assert 1 <= past.budget <= 64
    assert sane(toy.make_spec(), made, NOW) == made


def many(number, at, prefix="us-x", **changes):
    return {
        f"{prefix}{n:04d}/gpu:nvidia-l4:1:spot": OfferingMemory(last_refused_at=at, **changes) for n in range(number)
    }


def test_of_a_large_fleet_the_held_the_cooling_and_the_newest_are_remembered():
    """The status of an object has its bounds, so what matters least is forgotten first."""
    held = many(5, None, "us-h", held_since=NOW - timedelta(days=9))
    cooling = many(5, NOW - timedelta(days=2), "us-c", not_before=NOW + timedelta(minutes=5))
    blocked = many(5, None, "us-b", blocked_generation=7)
    new, old = many(500, NOW - timedelta(hours=1), "us-n"), many(500, NOW - timedelta(hours=5), "us-o")
    everything = {**old, **new, **held, **cooling, **blocked}
    kept = known_offerings(everything, frozenset(everything), 7, NOW)

    assert len(kept) == MAX_OFFERINGS
    assert {*held, *cooling, *blocked, *new} <= set(kept)
    assert list(kept) == sorted(kept)
    assert known_offerings(kept, frozenset(everything), 7, NOW) == kept


def test_long_messages_are_cut_once():
    """What a cluster says at length is kept short, and is then left alone."""
    once = known_offerings(many(1, NOW, last_message="x" * 500), frozenset(), 1, NOW)
    (past,) = once.values()

    assert len(past.last_message) == MESSAGE_LIMIT
    assert known_offerings(once, frozenset(), 1, NOW) == once


def test_what_is_held_is_remembered_however_long_ago_it_was_obtained():
    """A spell of a week has taught the most of all."""
    past = many(1, None, held_since=NOW - timedelta(days=30), last_obtained_at=NOW - timedelta(days=30))

    assert known_offerings(past, frozenset(past), 1, NOW) == past


def test_a_quiet_pass_under_a_policy_changes_nothing_in_memory_but_its_count(toy):
    """What is held grows older without a word: exposure is settled at events only."""
    t = toy.Toy(spec=toy.make_spec(replicas=2, policy=Policy(Preset.AVAILABLE)))
    t.run(300)
    before = t.memory
    assert any(past.held_since for past in before.offerings.values())
    t.run(20)
    assert replace(t.memory, passes=0) == replace(before, passes=0)
