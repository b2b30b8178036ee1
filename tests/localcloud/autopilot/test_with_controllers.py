"""Autopilot together with the workload controllers: what a user of a Deployment sees."""

import asyncio

import pytest

from controlplane.localcloud.controllers import build_controllers


@pytest.fixture
def play(make_world):
    """Run a world with its workload controllers while a script plays."""

    def play(world, script):
        async def with_controllers():
            tasks = [asyncio.create_task(runner.run()) for runner in build_controllers(world.api, world.clock)]
            try:
                await world.clock.advance(1)
                return await script()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        return world.play(with_controllers)

    return play


def test_a_refused_pod_shows_on_the_replicaset_and_the_deployment(make_world, play):
    """FailedCreate with Warden's text on the ReplicaSet, ReplicaFailure on the Deployment, and no Pod."""
    world = make_world()

    async def script():
        world.deployment(accelerator=None)
        await world.clock.advance(5)

    play(world, script)
    assert world.api.list("pods") == []
    kind, text = world.events("FailedCreate")[0]
    assert kind == "Warning"
    assert text.startswith(
        'Error creating: admission webhook "warden-validating.common-webhooks.networking.gke.io" denied the request: '
        "GKE Warden rejected the request because it violates one or more constraints."
    )
    conditions = world.api.get("deployments.apps", "app", "default")["status"]["conditions"]
    failure = next(c for c in conditions if c["type"] == "ReplicaFailure")
    assert (failure["status"], failure["reason"]) == ("True", "FailedCreate")


def test_a_preempted_pod_is_replaced_and_hunts_again(make_world, play):
    """The ReplicaSet makes a new Pod at once, which gets the next GPU."""
    world = make_world({"a": 1, "b": 1})

    async def script():
        world.deployment()
        await world.clock.advance(120)
        (pod,) = world.api.list("pods")
        old = pod["spec"]["nodeName"]
        world.autopilot.preempt()
        await world.clock.advance(120)
        (pod,) = world.api.list("pods")
        assert pod["spec"]["nodeName"] not in (None, old)
        assert old not in world.nodes()

    play(world, script)
    assert [s.free for s in world.stock.pools(["us-central1-a"]) if s.pool.capacity == "spot"] == [0]


def test_a_deployment_scaled_to_nothing_gives_its_nodes_back(make_world, play):
    """Scale to 0, wait out the scale-down delay: no node is left and all stock is free."""
    world = make_world({"a": 1, "b": 1})

    async def script():
        world.deployment()
        await world.clock.advance(120)
        world.api.patch("deployments.apps", "app", {"spec": {"replicas": 0}}, "default")
        await world.clock.advance(1)
        for pod in world.api.list("pods"):  # the kubelet reports the process gone
            world.delete(pod["metadata"]["name"])
        await world.clock.advance(620)

    play(world, script)
    assert world.nodes() == []
    assert all(state.in_use == 0 for state in world.stock.pools())


def test_a_region_that_comes_back_serves_again(make_world, play):
    """The Deployment outlives the outage; its new Pod gets a new node."""
    world = make_world({"a": 1, "b": 1})

    async def script():
        world.deployment()
        await world.clock.advance(120)
        world.stock.region_down("us-central1")
        await world.clock.advance(300)
        assert world.nodes() == []
        world.stock.region_up("us-central1")
        await world.clock.advance(120)
        (pod,) = world.api.list("pods")
        assert pod["spec"].get("nodeName") in world.nodes()

    play(world, script)
