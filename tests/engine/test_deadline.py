"""A pass ends within its deadline, whatever hangs in it (L2)."""

import threading
import time

import pytest

from controlplane.engine import ExitCode, Limits, Outcome
from controlplane.gateways import errors

DEADLINE = 0.6
PASSES = 20  # as many as would go into the deadline; a busy machine has a longer one


@pytest.fixture
def hang():
    """Give a call that never answers until the test is over."""
    release = threading.Event()
    yield lambda: release.wait(600)
    release.set()


@pytest.fixture
def timed(world):
    """Give a world that lives on real time, and a function that makes a pass in which something hangs for ever."""
    world.clock.monotonic = time.monotonic
    began = time.monotonic()
    world.reconciler(limits=Limits(member=60, signals=60, config=60, whole_pass=60)).run_pass(dry_run=True)
    deadline = max(DEADLINE, PASSES * (time.monotonic() - began))
    limits = Limits(member=600, signals=600, config=600, whole_pass=min(deadline, 60))
    return lambda: world.reconciler(limits=limits).run_pass()


def test_a_member_that_hangs_when_read_costs_no_more_than_the_pass_has(world, timed, hang):
    """The patience for a member is cut at the end of the pass."""
    world.members[world.refs[0]].error = hang
    report = timed()
    assert report.exit_code is ExitCode.CUT_OFF
    assert list(report.unknown) == [world.refs[0].link]


@pytest.mark.parametrize("regions", [1, 2], ids=["one-cluster", "two-clusters"])
def test_a_member_that_hangs_when_written_to_costs_no_more_than_the_pass_has(world, timed, hang, regions):
    """The write has no known outcome, and the exit code says cut off."""
    world.config.stored["web"]["spec"] |= {"replicas": regions, "spread": {"minRegions": regions}}
    for member in world.members.values():
        member.ensure = lambda _manifest: hang()
    report = timed()
    assert report.exit_code is ExitCode.CUT_OFF
    assert {result.outcome for result in report.services[0].results} == {Outcome.AMBIGUOUS}
    assert len(report.services[0].results) == regions


def test_a_write_that_comes_back_after_the_pass_is_followed_by_no_other(world, timed):
    """An action is several writes; the fence stands before each, so that a thread left behind stops there."""
    release, returned = threading.Event(), threading.Event()
    member = world.members[world.refs[0]]
    other = world.members[world.refs[1]]

    def late(_manifest):
        release.wait(600)
        returned.set()

    for each in (member, other):
        each.ensure = late
    timed()
    written = len(world.journal)
    release.set()
    assert returned.wait(60)
    time.sleep(0.1)
    assert [label for label in world.journal[written:] if "/gpu-" in label] == []
    assert world.placements[0] == {}


@pytest.mark.parametrize("call", ["services", "write_status", "set_finalizers", "emit", "read_lease"])
def test_a_config_cluster_that_hangs_costs_no_more_than_the_pass_has(world, timed, hang, call):
    """Whichever call to it does not come back."""
    setattr(world.config, call, lambda *_args, **_more: hang())
    report = timed()
    assert report.exit_code is ExitCode.CUT_OFF


def test_a_fleet_listing_that_hangs_costs_no_more_than_the_pass_has(world, timed, hang):
    """The GKE API may be the one that is silent."""
    world.listing = lambda *_: hang()
    report = timed()
    assert report.exit_code is ExitCode.CUT_OFF


def test_a_write_of_the_config_cluster_that_is_given_up_is_in_doubt(world, timed, hang):
    """Nobody knows whether it happened, so nothing is done on it."""
    world.config.write_status = lambda *_: hang()
    report = timed()
    assert "end of the pass" in report.services[0].problem
    assert errors.Ambiguous.hint in report.services[0].problem
    assert world.placements[0] == {}
