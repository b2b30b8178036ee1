"""A Pod from binding to deletion."""

import itertools

import pytest

from controlplane.localcloud.clock import settle


def test_a_bound_pod_runs_and_becomes_ready(world):
    """A Pod bound to a node runs, has an address of its own, and is Ready when it has no probe."""

    async def story(w):
        w.node()
        w.pod()
        await w.clock.advance(1)
        status = w.see()["status"]
        assert (status["phase"], status["podIP"], status["podIPs"]) == ("Running", "127.9.1.1", [{"ip": "127.9.1.1"}])
        assert {c["type"]: c["status"] for c in status["conditions"]} == dict.fromkeys(
            ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"), "True"
        )
        assert status["observedGeneration"] == 1
        assert w.container()["started"] is True
        assert w.recorder.reasons() == ["Pulling", "Pulled", "Created", "Started"]

    world.run(story)


def test_a_pod_waits_for_its_node(world):
    """A Pod bound to a node that does not exist yet starts when the node appears."""

    async def story(w):
        w.pod()
        await w.clock.advance(5)
        assert not w.runtime.processes
        w.node()
        await w.clock.advance(1)
        assert w.phase() == "Running"

    world.run(story)


def test_deletion_stops_the_container_and_removes_the_object(world):
    """Deleting a Pod sends SIGTERM with the grace and ends with the object gone."""

    async def story(w):
        w.node()
        w.pod(terminationGracePeriodSeconds=7)
        await w.clock.advance(1)
        w.api.delete("pods", "web", "default")
        await w.clock.advance(1)
        assert w.see() is None
        assert w.runtime.processes[0].signals == [("TERM", 7)]
        assert ("Killing", "Stopping container web") in w.recorder.events

    world.run(story)


def test_a_stubborn_container_is_killed_after_its_grace(world):
    """A container that ignores SIGTERM lives until the grace is over, not longer."""

    async def story(w):
        w.node()
        w.runtime.behave = lambda process: setattr(process, "obeys_sigterm", False)
        w.pod(terminationGracePeriodSeconds=10)
        await w.clock.advance(1)
        w.api.delete("pods", "web", "default")
        await w.clock.advance(9)
        assert w.see()["status"]["phase"] == "Running"
        await w.clock.advance(2)
        assert w.see() is None

    world.run(story)


def test_prestop_sleep_comes_before_sigterm_and_uses_up_the_grace(world):
    """PreStop runs first; what it takes is taken off the grace."""

    async def story(w):
        w.node()
        w.pod(container={"lifecycle": {"preStop": {"sleep": {"seconds": 6}}}}, terminationGracePeriodSeconds=10)
        await w.clock.advance(1)
        w.api.delete("pods", "web", "default")
        await w.clock.advance(5)
        assert w.runtime.processes[0].signals == []
        await w.clock.advance(2)
        assert w.runtime.processes[0].signals == [("TERM", pytest.approx(4))]
        assert w.see() is None

    world.run(story)


def test_a_pod_is_ready_while_its_prestop_hook_runs(world):
    """Readiness goes on being what the probe says during termination."""

    async def story(w):
        w.node()
        w.pod(container={"lifecycle": {"preStop": {"sleep": {"seconds": 6}}}}, terminationGracePeriodSeconds=10)
        await w.clock.advance(1)
        w.api.delete("pods", "web", "default")
        await w.clock.advance(3)
        assert w.condition("Ready")["status"] == "True"

    world.run(story)


def test_an_image_that_nobody_knows_cannot_be_pulled(world):
    """An unknown image gives ErrImagePull, then ImagePullBackOff, and the Pod stays Pending."""

    async def story(w):
        w.node()
        w.pod(container={"image": "nobody/knows:2"})
        await settle()
        assert w.container()["state"]["waiting"]["reason"] == "ErrImagePull"
        await w.clock.advance(2)
        assert w.container()["state"]["waiting"]["reason"] == "ImagePullBackOff"
        assert w.phase() == "Pending"
        assert w.recorder.events.count(("Failed", "Error: ErrImagePull")) == 1
        await w.clock.advance(9)
        assert w.recorder.events.count(("Failed", "Error: ErrImagePull")) == 2

    world.run(story)


def test_pulling_takes_its_time_once_per_node(world):
    """The first Pod waits for the image, the second finds it on the node."""

    async def story(w):
        w.node()
        w.pod("one", container={"image": "slow:1"})
        await w.clock.advance(19)
        assert w.container("one")["state"] == {"waiting": {"reason": "ContainerCreating"}}
        await w.clock.advance(2)
        assert w.phase("one") == "Running"
        w.pod("two", container={"image": "slow:1"})
        await w.clock.advance(1)
        assert w.phase("two") == "Running"
        assert ("Pulled", 'Container image "slow:1" already present on machine') in w.recorder.events

    world.run(story)


def test_a_program_that_does_not_exist_is_a_start_error(world):
    """A program that cannot be executed ends the container with 128 and StartError, and it is tried again."""

    async def story(w):
        w.node()
        w.runtime.broken = 'exec: "nope": No such file or directory'
        w.pod()
        await settle()
        last = w.container()["lastState"]["terminated"]
        assert (last["exitCode"], last["reason"]) == (128, "StartError")
        assert w.container()["state"]["waiting"]["reason"] == "CrashLoopBackOff"

    world.run(story)


@pytest.mark.parametrize(
    ("policy", "code", "phase"),
    [
        pytest.param("Never", 0, "Succeeded", id="never-success"),
        pytest.param("Never", 3, "Failed", id="never-failure"),
        pytest.param("OnFailure", 0, "Succeeded", id="onfailure-success"),
        pytest.param("OnFailure", 3, "Running", id="onfailure-failure-restarts"),
        pytest.param("Always", 0, "Running", id="always-success-restarts"),
    ],
)
def test_what_follows_an_exit(world, policy, code, phase):
    """The restart policy decides between the final phases and another run."""

    async def story(w):
        w.node()
        w.pod(restartPolicy=policy)
        await w.clock.advance(1)
        w.runtime.processes[0].exit(code)
        await w.clock.advance(1)
        assert w.phase() == phase
        assert len(w.runtime.alive) == (1 if phase == "Running" else 0)
        if phase != "Running":
            ended = w.container()["state"]["terminated"]
            assert (ended["exitCode"], ended["reason"]) == (code, "Completed" if code == 0 else "Error")

    world.run(story)


def test_crashes_back_off_from_ten_seconds_to_five_minutes(world):
    """The first restart is at once, then 10, 20, 40 ... 300 seconds; CrashLoopBackOff shows in between."""

    async def story(w):
        w.node()
        starts = []

        def crash(process):
            starts.append(w.clock.monotonic())
            process.exit(1)

        w.runtime.behave = crash
        w.pod()
        await w.clock.advance(1600)
        gaps = [round(b - a) for a, b in itertools.pairwise(starts)]
        assert gaps == [0, 10, 20, 40, 80, 160, 300, 300, 300, 300]
        status = w.container()
        assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        assert status["state"]["waiting"]["message"].startswith(
            "back-off 5m0s restarting failed container=web pod=web_default("
        )
        assert status["restartCount"] == len(starts) - 1
        assert status["lastState"]["terminated"]["exitCode"] == 1
        assert w.phase() == "Running"

    world.run(story)


def test_a_long_run_forgives_earlier_crashes(world):
    """After ten healthy minutes the next crash is followed by a restart at once."""

    async def story(w):
        w.node()
        w.pod()
        await w.clock.advance(1)
        w.runtime.processes[0].exit(1)
        await w.clock.advance(601)
        w.runtime.processes[1].exit(1)
        await w.clock.advance(1)
        assert len(w.runtime.alive) == 1

    world.run(story)


def test_init_containers_run_one_after_another_before_the_rest(world):
    """Init containers must each succeed before the next starts."""

    async def story(w):
        w.node()
        init = [{"name": f"init-{n}", "image": "app:1", "imagePullPolicy": "IfNotPresent"} for n in (1, 2)]
        w.pod(initContainers=init)
        await w.clock.advance(1)
        assert len(w.runtime.processes) == 1
        assert w.condition("Initialized")["reason"] == "ContainersNotInitialized"
        assert w.container()["state"]["waiting"]["reason"] == "PodInitializing"
        w.runtime.processes[0].exit(0)
        await w.clock.advance(1)
        assert w.phase() == "Pending"
        w.runtime.processes[1].exit(0)
        await w.clock.advance(1)
        assert w.phase() == "Running"
        assert w.condition("Initialized")["status"] == "True"
        assert len(w.runtime.alive) == 1

    world.run(story)


def test_a_failed_init_container_fails_the_pod_that_never_restarts(world):
    """With restartPolicy Never, a failing init container ends the Pod."""

    async def story(w):
        w.node()
        w.pod(
            initContainers=[{"name": "init", "image": "app:1", "imagePullPolicy": "IfNotPresent"}],
            restartPolicy="Never",
        )
        await w.clock.advance(1)
        w.runtime.processes[0].exit(1)
        await w.clock.advance(1)
        assert w.phase() == "Failed"
        assert not w.runtime.alive

    world.run(story)


def test_a_sidecar_runs_beside_and_ends_after_the_others(world):
    """An init container that always restarts is started first and does not keep the Pod from completing."""

    async def story(w):
        w.node()
        side = {"name": "side", "image": "app:1", "imagePullPolicy": "IfNotPresent", "restartPolicy": "Always"}
        w.pod(initContainers=[side], restartPolicy="Never")
        await w.clock.advance(1)
        assert len(w.runtime.alive) == 2
        w.runtime.processes[1].exit(0)
        await w.clock.advance(1)
        assert w.phase() == "Succeeded"
        assert not w.runtime.alive

    world.run(story)


def test_the_active_deadline_ends_a_pod(world):
    """ActiveDeadlineSeconds fails the Pod with DeadlineExceeded."""

    async def story(w):
        w.node()
        w.pod(activeDeadlineSeconds=60)
        await w.clock.advance(59)
        assert w.phase() == "Running"
        await w.clock.advance(2)
        assert (w.phase(), w.see()["status"]["reason"]) == ("Failed", "DeadlineExceeded")
        assert not w.runtime.alive

    world.run(story)


def test_an_unchanged_pod_is_not_written_again(world):
    """A Pod at rest costs no writes."""

    async def story(w):
        w.node()
        w.pod()
        await w.clock.advance(1)
        before = w.see()["metadata"]["resourceVersion"]
        await w.clock.advance(3600)
        assert w.see()["metadata"]["resourceVersion"] == before

    world.run(story)
