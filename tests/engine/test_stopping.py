"""Being asked to stop: work ends by itself, or is given up after its grace; the lease is given back either way."""

import os
import signal
import threading
import time

import pytest

from controlplane.engine import ExitCode, Stop
from controlplane.engine.bounded import LAST_WORD
from controlplane.engine.lease import RELEASE_PATIENCE, Lease
from controlplane.engine.limits import LeaseName
from controlplane.engine.stopping import GRACE, until_stopped


@pytest.fixture
def hang():
    """Give a call that never answers until the test is over."""
    release = threading.Event()
    yield lambda: release.wait(600)
    release.set()


def hanging_in_a_member(world, hang):
    """Give a reconciler whose pass holds the lease and waits for a member that does not answer."""
    asked = threading.Event()

    def silent():
        asked.set()
        hang()

    world.members[world.refs[0]].error = silent
    reconciler = world.reconciler()
    threading.Thread(target=reconciler.run_pass, daemon=True).start()
    assert asked.wait(60)
    return reconciler


def never():
    raise AssertionError("it was given up")


def test_work_that_ends_gives_its_result():
    """Without a request to stop, nothing is given up and no time is lost."""
    assert until_stopped(lambda: 7, Stop(), given_up=never) == 7


def test_an_error_of_the_work_is_raised():
    """The thread in between hides nothing."""

    def work():
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        until_stopped(work, Stop(), given_up=never)


def test_work_that_heeds_the_request_gives_its_own_result():
    """What ends within its grace is not given up."""
    stop = Stop()
    threading.Timer(0.05, stop.request).start()
    assert until_stopped(lambda: stop.wait(200), stop, given_up=never, grace=200) is True


def test_work_that_hangs_is_given_up_after_its_grace(hang):
    """However often the request is repeated, the grace is not drawn out."""
    stop = Stop()
    for after in (0.02, 0.1, 0.15):
        threading.Timer(after, stop.request).start()
    assert until_stopped(hang, stop, given_up=lambda: "given up", grace=0.2) == "given up"


def test_a_request_from_before_the_work_counts(hang):
    """A signal that came while the program was still starting is not forgotten."""
    stop = Stop()
    stop.request()
    assert until_stopped(hang, stop, given_up=lambda: "given up", grace=0.05) == "given up"


def test_a_request_that_comes_while_it_is_listened_for_draws_no_grace_away(hang):
    """The signal may come between the two steps of listening: told twice, it is still one request."""

    class Interrupted(Stop):
        def tell(self, callback):
            self.request()
            super().tell(callback)
            callback()

    assert until_stopped(hang, Interrupted(), given_up=lambda: "given up", grace=0.05) == "given up"


def test_sigterm_reaches_the_waiting_thread(hang):
    """The main thread handles the signal while the work hangs, and the handler of before stands again afterwards."""
    stop, before = Stop(), signal.getsignal(signal.SIGTERM)
    with stop.on_signals(signal.SIGTERM):
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert until_stopped(hang, stop, given_up=lambda: "given up", grace=0.05) == "given up"
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_interrupted_wait_gives_up_too(hang):
    """Ctrl-C at a terminal gives the lease back before it ends the program."""
    given_up = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores the signal
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            until_stopped(hang, Stop(), given_up=lambda: given_up.append(1))
    finally:
        signal.signal(signal.SIGINT, before)
    assert given_up == [1]


def test_giving_up_gives_the_lease_back_and_is_cut_off(world, hang):
    """A pass that hangs in a member leaves no lease behind, and its report says that it was cut off."""
    reconciler = hanging_in_a_member(world, hang)
    report = reconciler.give_up()
    assert report.exit_code is ExitCode.CUT_OFF
    assert world.config.lease["spec"]["holderIdentity"] == ""


def test_a_renewal_that_hangs_does_not_keep_the_release_waiting(world, hang):
    """Nobody knows what becomes of it, so the lease is left to run out."""
    lease, asked = Lease(world.config, world.clock, LeaseName(), "me"), threading.Event()
    assert lease.acquire()
    world.clock.advance(40)

    class Hanging:
        def read_lease(self, *_):
            return world.config.lease

        def replace_lease(self, _):
            asked.set()
            return hang()

    lease._store = Hanging()
    renewing = threading.Thread(target=lease.check, daemon=True)
    renewing.start()
    assert asked.wait(60)
    lease.release()
    assert renewing.is_alive()


def test_giving_up_does_not_wait_for_a_config_cluster_that_hangs(world, hang, monkeypatch):
    """Giving the lease back gets its own little time, not what is left of the pass."""
    world.clock.monotonic = time.monotonic
    reconciler = hanging_in_a_member(world, hang)
    monkeypatch.setattr(world.config, "replace_lease", lambda _lease: hang())
    assert reconciler.give_up().exit_code is ExitCode.CUT_OFF


def test_all_that_is_waited_for_after_sigterm_leaves_time_before_sigkill():
    """Of the ten seconds that Cloud Run gives, three are left for what takes a processor."""
    assert GRACE + RELEASE_PATIENCE + LAST_WORD <= 7
