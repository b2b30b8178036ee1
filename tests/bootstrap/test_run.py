"""Making and removing parts: order, waiting, being killed and resumed, refusals."""

import pytest

from controlplane.bootstrap.remedies import Halted
from controlplane.gateways import errors

FLEET = (("apis",), ("hub", "apis"), ("member", "apis"), ("account", "apis"), ("role", "account"),
         ("feature", "hub"), ("job", "role", "feature"))  # fmt: skip
MOMENTS = [(moment, name) for name, *_ in FLEET for moment in ("before making", "after making")]


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def parts(make_part):
    return [make_part(name, *needs) for name, *needs in FLEET]


def made(world):
    return [name for verb, name, _ in world.journal if verb == "make"]


def removed(world):
    return [name for verb, name, _ in world.journal if verb == "remove"]


def test_everything_is_made_once_after_what_it_needs(world, runs, parts):
    """Each part is made after those that it needs."""
    runs(parts).apply()
    assert made(world) == [name for name, *_ in FLEET]


def test_what_takes_minutes_is_made_side_by_side(world, runs, parts):
    """Two clusters of ten minutes take ten minutes, and what needs neither does not wait for them."""
    world.slow = {"hub": 600.0, "member": 600.0}
    runs(parts).apply()
    begun = {name: at for _, name, at in world.journal}
    assert begun["member"] == begun["role"] == 0.0
    assert 600.0 <= begun["feature"] < 620.0
    assert world.clock.elapsed < 640.0


def test_the_second_time_nothing_is_done(world, runs, parts):
    """A run over what stands makes no write."""
    runs(parts).apply()
    world.journal.clear()
    assert runs(parts).apply().done == ()
    assert world.journal == []


@pytest.mark.parametrize(("moment", "name"), MOMENTS, ids=[f"{moment}-{name}" for moment, name in MOMENTS])
def test_a_killed_run_is_resumed_by_the_next(world, runs, parts, moment, name):
    """Wherever it is killed, running it again makes what is missing, and nothing twice."""
    world.slow = {"hub": 300.0, "member": 500.0}

    def kill(when, which):
        if (when, which) == (moment, name):
            world.plague = lambda *_: None
            raise Killed

    world.plague = kill
    with pytest.raises(Killed):
        runs(parts).apply()
    runs(parts).apply()
    assert sorted(made(world)) == sorted(name for name, *_ in FLEET)
    assert runs(parts).apply().done == ()


@pytest.mark.parametrize("moment", ["before removing", "after removing"])
@pytest.mark.parametrize("name", [name for name, *_ in FLEET])
def test_a_killed_removal_is_resumed_by_the_next(world, runs, parts, moment, name):
    """Wherever taking down is killed, running it again leaves nothing."""
    world.slow = {"hub": 300.0, "member": 500.0}
    runs(parts).apply()

    def kill(when, which):
        if (when, which) == (moment, name):
            world.plague = lambda *_: None
            raise Killed

    world.plague = kill
    with pytest.raises(Killed):
        runs(parts).destroy()
    runs(parts).destroy()
    assert world.ready == {}


def test_what_needs_a_part_goes_before_it(world, runs, parts):
    """Removing waits until all that needs a part is gone."""
    world.slow = {"feature": 60.0, "hub": 300.0}
    runs(parts).apply()
    world.journal.clear()
    began = world.clock.elapsed
    runs(parts).destroy()
    assert removed(world) == [name for name, *_ in reversed(FLEET)]
    assert next(at for _, name, at in world.journal if name == "hub") - began >= 60.0


def test_what_is_kept_and_what_is_not_ours_stays(world, runs, make_part):
    """Neither what destroy keeps nor what others made is touched."""
    parts = [make_part("apis", kept="costs nothing"), make_part("address", "apis"), make_part("bucket", "apis")]
    runs(parts).apply()
    world.foreign = {"address"}
    runs(parts).destroy()
    assert removed(world) == ["bucket"]


def test_what_is_unknown_is_not_taken_for_gone(world, runs, parts):
    """Taking down stops at a part of which nothing can be told, before what it needs is touched."""
    runs(parts).apply()
    world.unknown = {"feature": errors.ServerFault("the backend is down")}
    with pytest.raises(Halted, match="feature: the backend is down"):
        runs(parts).destroy()
    assert "hub" in world.ready


def test_a_cluster_that_is_being_made_is_left_to_end_before_it_is_removed(world, runs, make_part):
    """Destroy right after a killed apply waits until the API can delete what is under way."""
    parts = [make_part("hub")]
    world.slow = {"hub": 300.0}
    world.plague = lambda when, _name: (_ for _ in ()).throw(Killed) if when == "after making" else None
    with pytest.raises(Killed):
        runs(parts).apply()
    world.plague = lambda *_: None
    runs(parts).destroy()
    assert next(at for verb, _, at in world.journal if verb == "remove") >= 300.0
    assert world.ready == {}


def test_a_taken_name_stops_it_with_a_remedy(world, runs, parts):
    """One line says which part, what is wrong and what to do; what was made before stands."""
    world.foreign = {"role"}
    with pytest.raises(Halted) as halt:
        runs(parts).apply()
    assert (halt.value.message, halt.value.hint) == ("role: somebody else's", "take another name")
    assert made(world) == ["apis", "hub", "member", "account"]


def test_a_failed_operation_tells_what_the_api_said(world, runs, parts):
    """An operation that ends in an error is one line, and a quota's remedy is more quota or another region."""
    world.slow, world.failing = {"hub": 300.0}, {"hub": "Quota 'CPUS' exceeded. Limit: 8.0 in region us-west2."}
    with pytest.raises(Halted) as halt:
        runs(parts).apply()
    assert "hub: Quota 'CPUS' exceeded" in halt.value.message
    assert "iam-admin/quotas?project=my-project" in halt.value.hint


@pytest.mark.parametrize(
    "error",
    [
        errors.Forbidden("Identity and Access Management (IAM) API has not been used in project 1 before"),
        errors.Invalid("Service account gpu-hunter@p.iam.gserviceaccount.com does not exist."),
        errors.Gone("Not found"),
    ],
    ids=["API", "account", "parent"],
)
def test_what_does_not_know_of_the_part_before_yet_is_tried_again(world, runs, parts, error):
    """What was enabled or created a moment ago is not known everywhere at once."""

    def refuse(when, which):
        if (when, which) == ("before making", "role") and world.clock.elapsed < 40.0:
            raise error

    world.plague = refuse
    runs(parts).apply()
    assert "role" in world.ready
    assert 40.0 <= world.clock.elapsed < 60.0


def test_a_refusal_is_not_waited_for_where_nothing_was_made(world, runs, parts):
    """On a project where all else stands, a missing permission is told at once."""
    runs(parts).apply()
    del world.ready["role"]

    def refuse(when, which):
        if (when, which) == ("before making", "role"):
            raise errors.Gone("Not found")

    world.plague = refuse
    before = world.clock.elapsed
    with pytest.raises(Halted):
        runs(parts).apply()
    assert world.clock.elapsed == before


def test_a_missing_permission_is_named_with_what_grants_it(world, runs, parts):
    """The permission stands in the remedy."""

    def refuse(when, which):
        if (when, which) == ("before making", "job"):
            raise errors.Forbidden("Permission 'run.jobs.create' denied on resource 'x' (or it may not exist).")

    world.plague = refuse
    with pytest.raises(Halted) as halt:
        runs(parts).apply()
    assert "grant the permission run.jobs.create" in halt.value.hint


def test_a_write_without_an_answer_that_got_through_is_gone_on_with(world, runs, parts):
    """What an answer got lost of is looked at: it stands, so nothing is made twice and nothing stops."""

    def lose(when, which):
        if (when, which) == ("after making", "account"):
            raise errors.Ambiguous("no answer")

    world.plague = lose
    runs(parts).apply()
    assert made(world).count("account") == 1
    assert "job" in world.ready


def test_a_write_without_an_answer_that_got_lost_stops_it(world, runs, parts):
    """A write that left nothing behind is not repeated in the same run."""

    def lose(when, which):
        if (when, which) == ("before making", "account"):
            raise errors.Ambiguous("no answer")

    world.plague = lose
    with pytest.raises(Halted, match="account: no answer"):
        runs(parts).apply()


def test_waiting_is_told_and_ends(world, runs, make_part):
    """While a part is waited for, a line tells it now and then; what never comes is given up with a line."""
    told = []
    world.slow = {"hub": 1e9}
    with pytest.raises(Halted, match="hub: not there after 2400 s"):
        runs([make_part("hub")], told).apply()
    lines = [what for name, what in told if name == "hub" and what.startswith("under way")]
    assert 100 < len(lines) < 200
    assert lines[0] == "under way for 20 s"
