"""The lease: who may write, until when, and under which fence number."""

import threading
from datetime import timedelta

import pytest

from controlplane.engine.lease import FenceLost, Lease
from controlplane.engine.limits import LeaseName

NAME = LeaseName(seconds=60, margin=10)


@pytest.fixture
def lease(world):
    """Give a maker of leases on one config cluster."""
    return lambda holder: Lease(world.config, world.clock, NAME, holder)


def test_taking_and_giving_back_counts_up(lease):
    """Each new holder gets a higher fence number; taking it again keeps the number."""
    first, second = lease("a"), lease("b")
    assert (first.acquire(), first.fence) == (True, 1)
    assert (first.acquire(), first.fence) == (True, 1)
    assert (second.acquire(), second.held_by) == (False, "a")
    first.release()
    assert (second.acquire(), second.fence) == (True, 2)


def test_what_is_held_is_kept_in_one_call(world, lease, monkeypatch):
    """A process that goes on does not read what it wrote itself."""
    held = lease("a")
    held.acquire()
    before = world.config.lease["spec"]["renewTime"]
    world.clock.advance(5)
    monkeypatch.setattr(world.config, "read_lease", None)
    assert (held.acquire(), held.fence) == (True, 1)
    assert world.config.lease["spec"]["renewTime"] > before


def test_what_was_lost_in_the_meantime_is_not_kept(world, lease):
    """Another run that took it holds it; once that one has given it back, there is a higher fence number."""
    held, other = lease("a"), lease("b")
    held.acquire()
    world.clock.advance(61)
    assert other.acquire()
    assert (held.acquire(), held.held_by, held.fence) == (False, "b", 0)
    other.release()
    assert (held.acquire(), held.fence) == (True, 3)


def test_a_lease_that_was_deleted_is_made_again(world, lease):
    """Whoever held it counts anew, and lifts the fence over what the statuses say."""
    held = lease("a")
    held.acquire()
    world.config.lease = None
    assert (held.acquire(), held.fence) == (True, 1)


def test_renewal_happens_in_time(world, lease):
    """A write in the second half of the lease's time renews it first."""
    held = lease("a")
    held.acquire()
    before = world.config.lease["spec"]["renewTime"]
    world.clock.advance(10)
    held.check()
    assert world.config.lease["spec"]["renewTime"] == before
    world.clock.advance(25)
    held.check()
    assert world.config.lease["spec"]["renewTime"] > before
    assert held.fence == 1


def test_a_lease_that_ran_out_is_not_renewed(world, lease):
    """A run that slept through its lease writes nothing, even when nobody else took it."""
    held = lease("a")
    held.acquire()
    world.clock.advance(61)
    with pytest.raises(FenceLost):
        held.check()
    with pytest.raises(FenceLost):
        held.check()


def test_losing_it_is_noticed_at_renewal(world, lease):
    """The resourceVersion tells that another took it."""
    held, thief = lease("a"), lease("b")
    held.acquire()
    world.clock.skew = timedelta(minutes=10)
    assert thief.acquire()
    world.clock.skew = timedelta(0)
    world.clock.advance(30)
    with pytest.raises(FenceLost):
        held.check()


def test_a_clock_that_runs_ahead_cannot_get_two_through(world, lease):
    """A run with a wrong clock takes the lease early; the first holder is stopped before it takes anything away."""
    held, early = lease("a"), lease("b")
    held.acquire()
    world.clock.skew = timedelta(minutes=10)
    assert early.acquire()
    assert early.fence > held.fence
    with pytest.raises(FenceLost):
        held.check(destructive=True)


def test_many_writers_of_one_run_renew_once(world, lease):
    """Clusters are worked on at once; they do not take the lease from each other."""
    held, failed = lease("a"), []
    held.acquire()
    world.clock.advance(30)

    def check():
        try:
            held.check()
        except FenceLost as error:
            failed.append(error)

    threads = [threading.Thread(target=check) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []


def test_times_are_micro_times(world, lease):
    """API servers refuse a renewTime without a fraction."""
    lease("a").acquire()
    assert world.config.lease["spec"]["renewTime"] == "2026-11-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    "spec", [{}, {"holderIdentity": "x"}, {"holderIdentity": "x", "renewTime": "nonsense"}], ids=str
)
def test_a_lease_of_odd_shape_can_be_taken(world, lease, spec):
    """A Lease without readable times has run out."""
    world.config.lease = {
        "metadata": {"name": "gpu-hunter", "namespace": "gpu-hunter", "resourceVersion": "1"},
        "spec": spec,
    }
    assert lease("a").acquire()


def test_a_dead_holder_whose_clock_ran_ahead_keeps_nobody_out(world, lease):
    """Who watches a lease that does not change for its whole time takes it, whatever instant stands in it."""
    world.clock.skew = timedelta(hours=1)
    lease("dead").acquire()
    world.clock.skew = timedelta(0)
    watcher = lease("watcher")
    assert not watcher.acquire()
    world.clock.advance(50)
    assert not watcher.acquire()
    world.clock.advance(11)
    assert watcher.acquire()
    assert watcher.fence == 2


def test_a_live_holder_whose_clock_runs_ahead_keeps_its_lease(world, lease):
    """A lease that is renewed is not taken, however long it is watched."""
    holder, watcher = lease("holder"), lease("watcher")
    for _ in range(10):
        world.clock.skew = timedelta(hours=1)
        assert holder.acquire()
        world.clock.skew = timedelta(0)
        assert not watcher.acquire()
        world.clock.advance(40)
