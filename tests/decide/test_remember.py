"""Memory is made sane before it is used, whatever was in it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.model.decision import DeletePlacement, ScaleDownPlacement, WireIngress
from controlplane.model.memory import Attempt, Memory, Move, OfferingMemory, Outcome, Phase, PlacementMemory
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANTS = st.integers(-(10**7), 10**7).map(lambda s: NOW + timedelta(seconds=s))
MAYBE = st.none() | INSTANTS
OFFERINGS = st.builds(
    Offering,
    st.builds(ClusterRef, st.sampled_from(["us-a1", "us-b1", "us-z9"]), st.just("gpu-1")),
    st.builds(Accelerator, st.sampled_from(["nvidia-l4", "nvidia-tesla-t4", "nvidia-b200"]), st.integers(1, 2)),
    st.sampled_from(Capacity),
)
LEARNT = st.builds(
    OfferingMemory,
    budget=st.integers(-3, 10**6),
    failures=st.integers(-3, 10**6),
    not_before=MAYBE,
    last_refusal=st.none() | st.sampled_from(RefusalClass),
    last_refused_at=MAYBE,
    last_message=st.text(max_size=20),
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
