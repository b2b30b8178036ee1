"""Startup, readiness and liveness probes and what follows from them."""

import pytest

from controlplane.localcloud.clock import settle

READY = {"readinessProbe": {"httpGet": {"path": "ready", "port": 1}, "periodSeconds": 5, "failureThreshold": 2}}
LIVE = {"livenessProbe": {"httpGet": {"path": "live", "port": 1}, "periodSeconds": 5, "failureThreshold": 3}}


def test_readiness_follows_the_probe_with_its_thresholds(world, failed):
    """A Pod turns unready after failureThreshold failures in a row and ready after one success."""

    async def story(w):
        w.node()
        w.pod(container=READY)
        await w.clock.advance(1)
        assert w.condition("Ready")["status"] == "True"
        w.answers["ready"] = failed
        await w.clock.advance(5)
        assert w.condition("Ready")["status"] == "True"
        await w.clock.advance(5)
        assert w.condition("Ready")["message"] == "containers with unready status: [web]"
        assert ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503") in w.recorder.events
        assert w.phase() == "Running"
        w.answers.clear()
        await w.clock.advance(5)
        assert w.condition("Ready")["status"] == "True"

    world.run(story)


def test_a_pod_is_ready_soon_after_its_process_is(world, failed):
    """A probe with a long period does not make a Pod wait for it: the first answers are asked for quickly."""

    async def story(w):
        w.node()
        w.answers["ready"] = failed
        w.pod(container={"readinessProbe": {"httpGet": {"path": "ready", "port": 1}, "periodSeconds": 30}})
        await w.clock.advance(0.5)
        assert w.condition("Ready")["status"] == "False"
        w.answers.clear()
        await w.clock.advance(1.0)
        assert w.condition("Ready")["status"] == "True"

    world.run(story)


def test_a_failing_liveness_probe_restarts_the_container(world, failed):
    """After failureThreshold failures the container gets SIGTERM and starts again."""

    async def story(w):
        w.node()
        w.pod(container=LIVE)
        await w.clock.advance(1)
        w.answers["live"] = failed
        await w.clock.advance(9)
        assert len(w.runtime.processes) == 1
        await w.clock.advance(5)
        assert w.runtime.processes[0].signals == [("TERM", 30.0)]
        assert w.container()["restartCount"] == 1
        assert ("Killing", "Container web failed liveness probe, will be restarted") in w.recorder.events

    world.run(story)


def test_nothing_else_is_asked_before_the_startup_probe_succeeds(world, failed):
    """Readiness and liveness wait for the startup probe; until then the container is not started."""

    async def story(w):
        w.node()
        w.answers["start"] = failed
        startup = {"startupProbe": {"httpGet": {"path": "start", "port": 1}, "periodSeconds": 2, "failureThreshold": 9}}
        w.pod(container=READY | LIVE | startup)
        await w.clock.advance(9)
        assert set(w.probes) == {"start"}
        assert (w.container()["started"], w.container()["ready"]) == (False, False)
        w.answers.clear()
        await w.clock.advance(2)
        assert (w.container()["started"], w.container()["ready"]) == (True, True)

    world.run(story)


def test_a_container_that_never_starts_up_is_killed(world, failed):
    """A startup probe that fails failureThreshold times ends the container."""

    async def story(w):
        w.node()
        w.answers["start"] = failed
        w.pod(container={"startupProbe": {"httpGet": {"path": "start", "port": 1}, "periodSeconds": 2}})
        await w.clock.advance(4.5)
        assert not w.runtime.processes[0].alive
        assert w.container()["restartCount"] == 1

    world.run(story)


@pytest.mark.parametrize("probe", ["readinessProbe", "livenessProbe"])
def test_the_initial_delay_is_kept(world, probe):
    """No probe is asked before initialDelaySeconds have passed."""

    async def story(w):
        w.node()
        w.pod(container={probe: {"httpGet": {"path": "x", "port": 1}, "initialDelaySeconds": 15}})
        await w.clock.advance(14)
        assert w.probes == []
        await w.clock.advance(2)
        assert w.probes

    world.run(story)


def test_readiness_gates_hold_a_pod_back(world):
    """A Pod whose containers are ready waits for the conditions it names."""

    async def story(w):
        w.node()
        w.pod(readinessGates=[{"conditionType": "gpuhunter.dev/warm"}])
        await settle()
        assert w.condition("ContainersReady")["status"] == "True"
        assert w.condition("Ready")["reason"] == "ReadinessGatesNotReady"

    world.run(story)
