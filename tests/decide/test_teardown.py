"""A deleted service goes down in the right order and leaves nothing."""

import pytest

from controlplane.model.decision import DeletePlacement, ReleaseMember, RemoveFinalizer, UnwireIngress


@pytest.fixture
def served(toy):
    """Give two regions that serve, of a service that has just been deleted."""
    t = toy.Toy(spec=toy.make_spec(replicas=2))
    t.until(t.__class__.settled)
    t.respec(deleting=True)
    return t


def test_the_address_goes_first_then_the_deployments_then_the_finalizer(served):
    """Each step follows when the one before is seen to be done."""
    passed = len(served.log)
    served.until(lambda w: not w.finalizer)
    kinds = list(dict.fromkeys(type(a) for _, d in served.log[passed:] for a in d.plan))
    assert kinds == [UnwireIngress, DeletePlacement, ReleaseMember, RemoveFinalizer]
    assert served.deployments == {}
    assert served.released == {c.link for c in served.clusters}


def test_an_unreachable_member_holds_the_finalizer_and_is_named(served):
    """Paid GPUs may still be there."""
    served.dark.add("us-a1/gpu-1")
    served.run(30)
    assert served.finalizer
    assert "us-a1/gpu-1" in served.condition("Progressing").message
    served.dark.clear()
    served.until(lambda w: not w.finalizer)
    assert served.deployments == {}


@pytest.mark.parametrize("what", ["fleet_dark", "ingress_dark"])
def test_what_cannot_be_read_holds_the_finalizer(served, what):
    """An unknown fleet or ingress may hide something of ours."""
    setattr(served, what, True)
    served.run(10)
    assert served.finalizer


def test_a_service_that_never_got_anything_goes_at_once(toy):
    """One pass is enough when nothing is there."""
    t = toy.Toy(spec=toy.make_spec(deleting=True))
    t.one_pass()
    assert not t.finalizer


def test_a_deleted_service_hunts_for_nothing(served):
    """Preempted replicas are not replaced."""
    served.preempt("us-a1")
    passed = len(served.log)
    served.run(10)
    assert not [p for p in served.plans(passed) if p.startswith("apply")]
    assert all(
        v.reasons[0] in ("ServiceDeleting", "HoldsReplicas", "AttemptInFlight") for v in served.log[-1][1].verdicts
    )


def test_a_deletion_is_followed_although_the_service_is_paused(served):
    """Pause keeps what runs from being touched; a deletion is the user's later word, whose finalizer must not hang."""
    served.respec(paused=True)
    served.until(lambda w: not w.finalizer)
    assert served.deployments == {}
