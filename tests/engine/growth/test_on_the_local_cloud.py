"""A service that is short everywhere gets a cluster and serves there, and the cluster goes again: on a local cloud."""

from functools import partialmethod

import pytest

from controlplane.engine import ExitCode
from controlplane.engine.growth.act import Hands
from controlplane.model.growthplan import (
    ClearCluster,
    CreateCluster,
    DeleteCluster,
    PrepareCluster,
    UnregisterCluster,
)

# A whole local cloud, though nothing waits on the wall clock: it must not take the processor from those that do.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

MINUTE = 60
HERE, THERE = "us-central1", "us-east4"
MADE = f"{THERE}/gpu-{THERE}"
STEPS = {CreateCluster, PrepareCluster, ClearCluster, UnregisterCluster, DeleteCluster}


class Killed(BaseException):
    """The process is gone."""


class Deadly:
    """Kills whoever takes a step for the first time before it is taken, and for the second time right after it."""

    def __init__(self):
        self.tries, self.killed, self._take = {}, 0, Hands._one

    def take(self, hands, action):
        kind = type(action)
        self.tries[kind] = self.tries.get(kind, 0) + 1
        if self.tries[kind] == 1:
            self.kill()
        brought = self._take(hands, action)
        if self.tries[kind] == 2:
            self.kill()
        return brought

    def kill(self):
        self.killed += 1
        raise Killed


class Story:
    """Passes on a cloud. A process that was killed is followed by one that knows nothing but what stands there."""

    def __init__(self, cloud):
        self.cloud, self.local, self.minute, self.stages = cloud, cloud.local, 0, {}

    async def go_on(self, until, *, most=40, step=1):
        """Make passes until something is so."""
        for _ in range(most):
            self.minute += step
            await self.cloud.advance(self.minute * MINUTE)
            try:
                report = await self.cloud.run_pass()
            except Killed:
                self.cloud.another_process()
                continue
            assert report.exit_code < ExitCode.CUT_OFF, report
            self.stages.setdefault(stage(report), self.minute)
            if until(report):
                return report
        raise AssertionError(report.growth)

    async def planned(self):
        """Plan before each pass, until a plan has something to do; a plan writes nothing."""
        for _ in range(20):
            self.minute += 1
            await self.cloud.advance(self.minute * MINUTE)
            before = self.version
            plan = await self.cloud.run_pass(dry_run=True)
            assert self.version == before, "a dry run writes nothing"
            assert plan.growth.results == ()
            if plan.growth.decision.actions:
                return plan.growth.decision
            await self.cloud.run_pass()
        raise AssertionError(plan.growth)

    def config(self, plural):
        return self.local.clusters.members()[self.local.config_cluster()].list(plural)

    @property
    def fleet(self):
        (found,) = self.config("fleets.gpuhunter.dev")
        return found

    @property
    def version(self):
        return self.fleet["metadata"]["resourceVersion"]


def _deadly(hands, deadly, action):
    return deadly.take(hands, action)


def stage(report):
    return next((verdict.stage for verdict in report.growth.decision.verdicts), "")


def serves_in(region):
    return lambda report: report.services[0].decision.counts.regions == (region,)


async def tell(cloud):
    """Tell the story: short, a plan, grown, serving there, better off here, idle, gone, quiet."""
    story = Story(cloud)
    planned = await story.planned()
    assert [action.ref.link for action in planned.actions] == [MADE]
    await story.go_on(serves_in(THERE))
    assert MADE in story.local.google().members()
    story.events = {e["reason"] for e in story.config("events") if e["involvedObject"]["kind"] == "Fleet"}
    story.local.stock.restock(HERE, "nvidia-l4", "spot", 4)  # what the service prefers
    await story.go_on(serves_in(HERE), step=3)
    await story.go_on(lambda r: stage(r) == "Draining", step=5)
    await story.go_on(lambda r: not r.growth.decision.memory.clusters)
    before = story.version
    last = await story.go_on(lambda _: True)
    assert story.version == before, "a quiet pass writes nothing"
    assert serves_in(HERE)(last), "what serves goes on serving"
    return story


def test_a_cluster_is_made_serves_and_goes_though_every_step_is_killed_twice(tmp_path, grown_cloud, monkeypatch):
    """Killed before and after each step it goes on; idle for as long as was asked; told; nothing is left, no group."""
    deadly = Deadly()
    monkeypatch.setattr(Hands, "_one", partialmethod(_deadly, deadly))

    async def told(cloud):
        story = await tell(cloud)
        stages = story.stages
        assert [each for each in stages if each][-5:] == ["Idle", "Draining", "Unwiring", "Unregistering", "Deleting"]
        assert stages["Draining"] - stages["Idle"] >= 20
        assert MADE not in {f"{c.location}/{c.name}" for c in story.local.clusters.list()}
        assert MADE not in story.local.google().members()
        assert list(story.local.leaked_groups()) == []
        (growth,) = story.fleet["status"]["growth"]
        assert (growth["region"], growth["reason"]) == (THERE, "NoServiceShort")
        assert story.events == {"PrepareCluster"}, "what a killed process did is found done, and nobody tells it"

    grown_cloud(tmp_path / "cloud", told)
    assert set(deadly.tries) == STEPS
    assert deadly.killed == 2 * len(STEPS)
