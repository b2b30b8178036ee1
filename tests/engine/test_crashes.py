"""A run may die or lose an answer at any write; the next ones bring the world to the same end."""

import pytest

from controlplane.engine import ExitCode

PASSES = 6


def reference(make_world):
    world = make_world()
    world.config.add(replicas=2)
    world.run(PASSES)
    return world


def broken_at(make_world, hook, index, crash):
    """Run a fresh world that is hit once, until it had time to recover; watch what must hold all the time."""
    world = make_world()
    world.config.add(replicas=2)
    world.hooks[index] = hook
    for _ in range(PASSES + 5):
        try:
            world.run(1)
        except crash:
            world.crashed = False
            world.settle()
            world.clock.advance(61)
        mcs = world.config.objects.get("MultiClusterService")
        assert mcs is None or mcs["spec"]["clusters"], "the list of clusters was written empty"
        assert sum(world.placements[0].values()) <= 4, "more replicas than were wanted twice over"
    return world


def test_every_write_can_be_hit(make_world, crash):
    """For every write of the reference run and every way it can fail: same end state, then silence (L1, S5)."""
    whole = reference(make_world)
    goal = whole.placements
    assert whole.config.stored["web"]["status"]["ready"] == "2/2"
    cases = [(hook, i) for i in range(len(whole.journal)) for hook in HOOKS]
    for hook, index in cases:
        world = broken_at(make_world, hook, index, crash)
        where = f"{hook} at write {index} ({whole.journal[index]})"
        assert sum(world.placements[0].values()) == 2, where
        assert world.placements[1] == goal[1] or set(world.placements[1]) <= {r.link for r in world.refs}, where
        assert world.config.stored["web"]["status"]["ready"] == "2/2", where
        written = len(world.journal)
        assert world.run(3).exit_code is ExitCode.OK, where
        assert world.journal[written:] == [], where
    assert len(cases) > 60


HOOKS = ("crash-before", "crash-after", "lost-before", "lost-after")


@pytest.mark.parametrize("hook", ["lost-before", "lost-after"])
def test_an_ambiguous_write_ends_the_work_on_that_cluster(make_world, hook):
    """After a write without an answer nothing more goes to that cluster in this pass."""
    whole = reference(make_world)
    index = next(i for i, label in enumerate(whole.journal) if "apply Service/web" in label)
    world = make_world()
    world.config.add(replicas=2)
    world.hooks[index] = hook
    report = world.run(1)
    cluster = whole.journal[index].split(" ")[0]
    assert [label for label in world.journal[index + 1 :] if label.startswith(cluster)] == []
    assert "Ambiguous" in {result.outcome.value for result in report.services[0].results}


def test_a_lost_status_write_does_nothing_more(world):
    """When it is not known whether the intent was written, nothing is done on it."""
    world.hooks[1] = "lost-after"
    report = world.run(1)
    assert world.journal == ["config finalizers web", "config status web"]
    assert report.exit_code is ExitCode.CUT_OFF
