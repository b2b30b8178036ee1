"""How nodes end: empty, preempted, with their region, by hand."""

import pytest

from controlplane.localcloud.scenario import Trace
from controlplane.localcloud.stock.ledger import Pool

SPOT_A = Pool("us-central1-a", "nvidia-l4", "spot")
ON_DEMAND_A = Pool("us-central1-a", "nvidia-l4", "on-demand")


def test_an_empty_node_is_removed_after_the_delay_and_its_gpu_is_free(make_world):
    """Ten minutes after its Pod, the node goes."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.delete()
        await world.clock.advance(599)
        assert len(world.nodes()) == 1
        await world.clock.advance(2)

    world.play(script)
    assert world.nodes() == []
    assert world.stock.free(SPOT_A) == 1
    assert world.messages("ScaleDown") == ["node removed by cluster autoscaler"]


def test_an_empty_node_takes_the_next_pod_and_stays(make_world):
    """A Pod that comes in time is bound at once and resets the wait."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.delete()
        await world.clock.advance(500)
        world.pod("second")
        await world.clock.advance(1)
        assert world.node_of("second") is not None
        world.delete("second")
        await world.clock.advance(500)
        assert len(world.nodes()) == 1
        await world.clock.advance(110)
        assert world.nodes() == []

    world.play(script)


def test_a_finished_pod_does_not_keep_its_node(make_world):
    """A Job's Pod that succeeded counts as gone."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.api.patch("pods", "app", {"status": {"phase": "Succeeded"}}, "default", subresource="status")
        await world.clock.advance(700)

    world.play(script)
    assert world.nodes() == []


def test_a_finished_pod_outlives_its_node(make_world):
    """What has ended can still be looked at when the VM is gone; the Pod garbage collector takes it later."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.api.patch("pods", "app", {"status": {"phase": "Failed"}}, "default", subresource="status")
        await world.clock.advance(700)
        assert world.nodes() == []
        assert world.api.get("pods", "app", "default")["status"]["phase"] == "Failed"

    world.play(script)


def test_a_drained_node_takes_no_pod_and_is_removed(make_world):
    """Cordoned nodes get nothing new; once empty they are scaled down."""
    world = make_world({"a": 2, "b": 0})

    async def script():
        world.pod()
        await world.clock.advance(100)
        old = world.node_of()
        world.api.patch("nodes", old, {"spec": {"unschedulable": True}})
        world.delete()
        world.pod("second")
        await world.clock.advance(100)
        assert world.node_of("second") not in (None, old)
        await world.clock.advance(700)
        assert old not in world.nodes()

    world.play(script)


def test_a_node_deleted_by_hand_gives_its_gpu_back(make_world):
    """Whoever deletes the Node, the stock hears of it."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.api.delete("nodes", world.node_of())
        await world.clock.advance(1)

    world.play(script)
    assert world.stock.free(SPOT_A) == 1


def test_a_preempted_node_says_so_and_its_pod_has_its_grace(make_world):
    """Taint and labels on the node; DisruptionTarget, reason and deletionTimestamp on the Pod."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        name = world.node_of()
        assert world.autopilot.preempt() == [name]
        await world.clock.advance(1)
        node, pod = world.api.get("nodes", name), world.api.get("pods", "app", "default")
        assert {"key": "cloud.google.com/impending-node-termination", "effect": "NoSchedule"} in node["spec"]["taints"]
        assert node["metadata"]["labels"]["cloud.google.com/active-node-maintenance"] == "ONGOING"
        assert node["metadata"]["labels"]["cloud.google.com/scheduled-maintenance-time"].isdigit()
        assert pod["metadata"]["deletionTimestamp"]
        assert 1 <= pod["metadata"]["deletionGracePeriodSeconds"] <= 15
        assert pod["status"]["reason"] == "Terminated"
        condition = next(c for c in pod["status"]["conditions"] if c["type"] == "DisruptionTarget")
        assert (condition["status"], condition["reason"]) == ("True", "TerminationByKubelet")
        assert world.messages("Shutdown", name) == ["Shutdown manager detected shutdown event"]

    world.play(script)


def test_a_preempted_node_goes_when_its_pods_have_ended(make_world):
    """A Pod that ends early lets the VM end early; its GPU is somebody else's now."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.autopilot.preempt()
        await world.clock.advance(2)
        world.delete()  # the kubelet reports the process gone
        await world.clock.advance(1)

    world.play(script)
    assert world.nodes() == []
    assert world.stock.free(SPOT_A) == 0
    assert world.stock.in_use(SPOT_A) == 0


def test_a_pod_that_will_not_end_goes_down_with_the_vm(make_world):
    """After the grace the machine is gone, whatever still ran."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.autopilot.preempt()
        await world.clock.advance(17)

    world.play(script)
    assert world.nodes() == []
    assert world.api.find("pods", "app", "default") is None


def test_the_stock_of_a_preempted_node_may_return(make_world):
    """The scenario decides whether the GPU is free again."""
    world = make_world(scenario={"preempted_stock_returns": True})

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.autopilot.preempt()
        await world.clock.advance(20)

    world.play(script)
    assert world.stock.free(SPOT_A) == 1


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        pytest.param({}, {"dear"}, id="all-spot"),
        pytest.param({"count": 1}, {"two", "dear"}, id="oldest-first"),
        pytest.param({"capacity": None}, set(), id="every-capacity"),
        pytest.param({"accelerator": "nvidia-tesla-t4"}, {"one", "two", "dear"}, id="another-gpu"),
    ],
)
def test_which_nodes_are_preempted(make_world, arguments, left):
    """Spot only unless told otherwise, by GPU type and count, the oldest first."""
    world = make_world({"a": 1, "b": 1, ("a", "nvidia-l4", "on-demand"): 1})

    async def script():
        for name in ("one", "two"):
            world.pod(name)
            await world.clock.advance(120)
        world.pod("dear", spot=False)
        await world.clock.advance(120)
        assert all(world.node_of(name) for name in ("one", "two", "dear"))
        world.autopilot.preempt(**arguments)
        await world.clock.advance(20)

    world.play(script)
    assert {name for name in ("one", "two", "dear") if world.api.find("pods", name, "default")} == left


def test_a_disruption_budget_does_not_hold_up_a_preemption(make_world):
    """Google asks nobody."""
    world = make_world()

    async def script():
        world.pod()
        budget = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "all"},
            "spec": {"maxUnavailable": 0, "selector": {}},
        }
        world.api.create("poddisruptionbudgets.policy", budget, "default")
        await world.clock.advance(100)
        world.autopilot.preempt()
        await world.clock.advance(1)
        assert world.api.get("pods", "app", "default")["metadata"]["deletionTimestamp"]
        await world.clock.advance(20)

    world.play(script)
    assert world.nodes() == []


def test_a_preempted_node_is_not_given_new_pods(make_world):
    """The taint keeps Pods away, also those that tolerate Spot."""
    world = make_world({"a": 2, "b": 0})

    async def script():
        world.pod()
        await world.clock.advance(100)
        old = world.node_of()
        world.autopilot.preempt()
        await world.clock.advance(2)
        world.pod("second")
        await world.clock.advance(100)
        assert world.node_of("second") not in (None, old)

    world.play(script)


def test_a_preemption_goes_on_after_a_restart(make_world):
    """The notice is on the Node itself."""
    world = make_world()

    async def first():
        world.pod()
        await world.clock.advance(100)
        world.autopilot.preempt()
        await world.clock.advance(2)

    world.play(first)
    world.start()

    async def second():
        await world.clock.advance(20)

    world.play(second)
    assert world.nodes() == []


def test_a_fall_of_the_recorded_stock_preempts_what_is_too_much(make_world):
    """Two Spot nodes, and the trace leaves one: the youngest goes, the other stays."""
    trace = Trace("nvidia-l4", "spot", 600, {"us-central1-a": (2, 1)})
    world = make_world({"a": 2}, scenario={"traces": (trace,)}, zones=("us-central1-a",))

    async def script():
        world.stock.set_total(SPOT_A, 2)
        for name in ("one", "two"):
            world.pod(name)
            await world.clock.advance(100)
        world.stock.set_total(SPOT_A, 1)
        await world.clock.advance(20)

    world.play(script)
    assert world.node_of("one") is not None
    assert world.api.find("pods", "two", "default") is None
    assert world.stock.in_use(SPOT_A) == 1


def test_a_region_that_goes_takes_everything_at_once(make_world):
    """No notice: nodes and Pods are gone, GPUs are free, and nothing is provisioned until it is back."""
    world = make_world({"a": 1, "b": 1})

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.pod("second")
        await world.clock.advance(30)
        world.stock.region_down("us-central1")
        await world.clock.advance(0)
        assert world.nodes() == []
        assert world.api.find("pods", "app", "default") is None
        assert world.stock.in_use(SPOT_A) == 0
        await world.clock.advance(1000)
        assert world.node_of("second") is None
        world.stock.region_up("us-central1")
        await world.clock.advance(100)
        assert world.node_of("second") is not None

    world.play(script)


def test_a_deleted_cluster_gives_everything_back(make_world):
    """`release` leaves no claim behind."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)

    world.play(script)
    world.autopilot.release()
    assert world.stock.in_use(SPOT_A) == 0
