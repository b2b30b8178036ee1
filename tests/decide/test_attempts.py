"""Attempts are judged by what is seen."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.decide import decide, note_refusal
from controlplane.model.facts import Known
from controlplane.model.memory import Outcome, Phase
from controlplane.model.observation import Refusal, RegionSignals
from controlplane.model.offering import Capacity, RefusalClass


@pytest.fixture
def trying(toy):
    """Begin a first attempt in us-a1."""
    t = toy.Toy()
    t.one_pass()
    t.step(toy.seconds(30))
    return t


def pod(t):
    return t.deployments[t.offering("us-a1")].pods[0]


def refuse(t, refusal=RefusalClass.STOCK_OUT, *, late=timedelta(), uid=None, zones=()):
    d = t.deployments[t.offering("us-a1")]
    found = Refusal(refusal, t.now + late, "as told", zones, d.pods[0].uid if uid is None else uid)
    d.refusals.append(found)


def outcome(t):
    """Judge, and give how the first attempt stands."""
    decision = t.think()
    first = next(a for a in decision.memory.attempts if a.offering == t.offering("us-a1"))
    return first.outcome, first.refusal


def zoned(t, zones):
    observed = t.observe()
    signals = RegionSignals(Known(frozenset({"nvidia-l4"}), t.now), t.unknown(), {"nvidia-l4": frozenset(zones)})
    return replace(observed, signals={"us-a1": signals})


OUTCOMES = {
    "nothing-yet-stays-open": (lambda t: None, (Outcome.OPEN, None)),
    "scheduled-is-obtained": (lambda t: setattr(pod(t), "scheduled", t.now), (Outcome.OBTAINED, None)),
    "stock-out-of-its-pod-refuses": (refuse, (Outcome.REFUSED, RefusalClass.STOCK_OUT)),
    "event-of-an-earlier-pod-does-not-count": (lambda t: refuse(t, uid="uid-old"), (Outcome.OPEN, None)),
    "event-before-the-deployment-does-not-count": (
        lambda t: refuse(t, uid="", late=timedelta(hours=-1)),
        (Outcome.OPEN, None),
    ),
    "refusal-without-a-pod-counts-when-newer": (
        lambda t: refuse(t, RefusalClass.REJECTED_SPEC, uid=""),
        (Outcome.REFUSED, RefusalClass.REJECTED_SPEC),
    ),
    "unclassified-is-never-a-stock-out": (
        lambda t: refuse(t, RefusalClass.UNCLASSIFIED),
        (Outcome.REFUSED, RefusalClass.UNCLASSIFIED),
    ),
    "cause-outranks-the-back-off-that-hides-it": (
        lambda t: (
            refuse(t, RefusalClass.QUOTA_REGION),
            refuse(t, RefusalClass.BACKING_OFF, late=timedelta(seconds=9)),
        ),
        (Outcome.REFUSED, RefusalClass.QUOTA_REGION),
    ),
    "deadline-passed-times-out": (
        lambda t: setattr(t, "now", t.now + timedelta(minutes=15)),
        (Outcome.TIMED_OUT, RefusalClass.PROVISIONING_TIMEOUT),
    ),
    "a-clock-that-jumped-back-changes-nothing": (
        lambda t: setattr(t, "now", t.now - timedelta(hours=1)),
        (Outcome.OPEN, None),
    ),
    "an-unseen-cluster-leaves-it-open": (lambda t: t.dark.add("us-a1/gpu-1"), (Outcome.OPEN, None)),
    "an-unseen-cluster-past-the-deadline-leaves-it-open": (
        lambda t: (t.dark.add("us-a1/gpu-1"), setattr(t, "now", t.now + timedelta(hours=2))),
        (Outcome.OPEN, None),
    ),
}


@pytest.mark.parametrize("case", OUTCOMES)
def test_an_attempt_is_judged_by_what_is_seen(trying, case):
    """Scheduled, refused, timed out, or open still."""
    change, expected = OUTCOMES[case]
    change(trying)
    assert outcome(trying) == expected


@pytest.mark.parametrize(
    ("named", "refused"),
    [((), True), (("a", "b", "c"), True), (("a",), False), (("a", "b"), False)],
    ids=["no-zone-named", "all-zones-named", "one-of-three", "two-of-three"],
)
def test_a_stock_out_in_some_zones_leaves_the_others_to_try(trying, named, refused):
    """The attempt goes on while a zone that offers the GPU has not been named."""
    refuse(trying, zones=named)
    decision = decide(trying.spec, zoned(trying, ("a", "b", "c")), trying.memory, trying.now)
    assert (decision.memory.attempts[0].outcome is Outcome.REFUSED) == refused


def test_zones_add_up_over_the_events_of_one_pod(trying):
    """Two events that together name every zone end the attempt."""
    refuse(trying, zones=("a",))
    refuse(trying, zones=("b",))
    decision = decide(trying.spec, zoned(trying, ("a", "b")), trying.memory, trying.now)
    assert decision.memory.attempts[0].outcome is Outcome.REFUSED


def test_a_refused_attempt_is_withdrawn_and_the_next_begun_in_one_pass(trying):
    """Hunting does not leak Pods, and loses no pass."""
    refuse(trying)
    plan = trying.plans() + [str(a) for a in trying.think().plan]
    assert any(a.startswith("apply us-b1") for a in plan)
    assert any(a.startswith("delete us-a1") for a in plan)


def test_what_the_api_server_refused_is_remembered(trying):
    """The engine's word ends the attempt, cools the offering, and nothing is sent again."""
    t = trying
    t.deployments.clear()
    told = note_refusal(
        t.spec, t.memory, t.offering("us-a1"), refusal=RefusalClass.UNAUTHORISED, message="403", now=t.now
    )
    assert told.attempts[0].outcome is Outcome.REFUSED
    t.memory = told
    decision = t.one_pass()
    assert t.verdict(t.offering("us-a1")).reasons[0] == "CoolingAfterFailure"
    assert [p.phase for p in decision.memory.placements] == [Phase.COOLING, Phase.HUNTING]


def test_an_intent_that_was_never_carried_out_is_sent_again(toy):
    """After a crash between intent and action the same attempt goes on, with its old deadline."""
    t = toy.Toy()
    t.one_pass(keep=lambda _: False)
    deadline = t.memory.attempts[0].deadline
    t.step(toy.MINUTE)
    decision = t.one_pass()
    assert [a.adds for a in decision.plan] == [1]
    assert [a.deadline for a in decision.memory.attempts] == [deadline]


def test_pods_that_wait_without_an_attempt_are_one(toy):
    """A preempted Pod's successor is an attempt from its creation on, and times out like any other."""
    t = toy.Toy(("us-a1",), toy.make_spec(accelerators=(toy.L4,), capacity_types=(Capacity.SPOT,)), silent=True)
    t.until(t.__class__.settled)
    t.set_stock(0)
    t.preempt("us-a1")
    t.step(toy.MINUTE)
    decision = t.one_pass()
    assert decision.memory.attempts[-1].outcome is Outcome.OPEN
    t.run(16)
    assert any(a.outcome is Outcome.TIMED_OUT for a in t.memory.attempts)


def test_a_lost_pod_that_is_gone_before_anyone_looks_is_a_loss_all_the_same(toy):
    """A preempted Pod goes with its node; a successor that waits where all had their GPUs tells of it."""
    t = toy.Toy()
    t.until(lambda w: w.settled())
    deployment = next(iter(t.deployments.values()))
    key = deployment.offering.key
    assert t.memory.offerings[key].losses == 0
    deployment.pods.clear()
    t.set_stock(0, deployment.offering.region)
    t.step(toy.MINUTE)
    learnt = t.think().memory.offerings[key]
    assert (learnt.losses, learnt.last_lost_at) == (1, t.now)


def test_a_scale_up_by_another_hand_is_no_loss(toy):
    """What was never obtained cannot have been lost."""
    t = toy.Toy()
    t.until(lambda w: w.settled())
    deployment = next(iter(t.deployments.values()))
    deployment.replicas, deployment.rv = 3, deployment.rv + 1
    t.step(toy.MINUTE)
    assert t.think().memory.offerings[deployment.offering.key].losses == 0
