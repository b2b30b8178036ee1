"""Node auto-provisioning: which nodes come, when, where, and for whom."""

import pytest

from controlplane.localcloud.stock.ledger import Pool

SPOT_A = Pool("us-central1-a", "nvidia-l4", "spot")
BOTH_SOLD_OUT = (
    "Node scale up in zones us-central1-a, us-central1-b associated with this pod failed: GCE out of resources. "
    "Pod is at risk of not being scheduled."
)


def test_a_gpu_pod_gets_a_node_of_its_own_after_the_delay(make_world):
    """Unschedulable first, then a scale-up, then a bound Pod on a labelled, tainted node whose GPU is taken."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(89)
        assert world.nodes() == []
        condition = world.api.get("pods", "app", "default")["status"]["conditions"][0]
        assert (condition["type"], condition["status"], condition["reason"]) == (
            "PodScheduled",
            "False",
            "Unschedulable",
        )
        await world.clock.advance(2)
        (node,) = world.api.list("nodes")
        assert world.node_of() == node["metadata"]["name"]
        return node

    node = world.play(script)
    labels = node["metadata"]["labels"]
    assert labels["cloud.google.com/gke-accelerator"] == "nvidia-l4"
    assert labels["cloud.google.com/gke-accelerator-count"] == "1"
    assert labels["cloud.google.com/gke-spot"] == "true"
    assert labels["cloud.google.com/gke-provisioning"] == "spot"
    assert labels["topology.kubernetes.io/zone"] == "us-central1-a"
    assert labels["topology.kubernetes.io/region"] == "us-central1"
    assert labels["node.kubernetes.io/instance-type"] == "g2-standard-4"
    assert {t["key"] for t in node["spec"]["taints"]} == {"nvidia.com/gpu", "cloud.google.com/gke-spot"}
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "1"
    assert world.stock.in_use(SPOT_A) == 1


def test_what_happens_is_told_in_gkes_words(make_world):
    """Sources, types and texts of the Events of a Pod that gets its node."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)

    world.play(script)
    assert world.events("FailedScheduling") == [("Warning", "no nodes available to schedule pods")]
    ((kind, text),) = world.events("TriggeredScaleUp")
    assert kind == "Normal"
    assert text.startswith(
        "pod triggered scale-up: [{https://www.googleapis.com/compute/v1/projects/p/zones/us-central1-a/instanceGroups/"
        "gk3-gpu-nap-"
    )
    assert text.endswith("-grp 0->1 (max: 1000)}]")
    assert world.messages("Scheduled") == [f"Successfully assigned default/app to {world.node_of()}"]
    sources = {e["reason"]: e["source"]["component"] for e in world.api.list("events")}
    assert sources == {
        "FailedScheduling": "gke.io/optimize-utilization-scheduler",
        "TriggeredScaleUp": "cluster-autoscaler",
        "Scheduled": "gke.io/optimize-utilization-scheduler",
    }


def test_the_next_zone_is_tried_when_one_is_sold_out(make_world):
    """A stock-out in the first zone costs a moment, not the Pod."""
    world = make_world({"a": 0, "b": 1})

    async def script():
        world.pod()
        await world.clock.advance(100)

    world.play(script)
    node = world.api.get("nodes", world.node_of())
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "us-central1-b"
    assert world.messages("FailedScaleUp") == []
    assert len(world.messages("TriggeredScaleUp")) == 2


def test_a_pod_may_take_one_of_several_gpu_types(make_world, spec_of):
    """Required node affinity with two types: the second is tried when the first is sold out."""
    world = make_world({("a", "nvidia-l4", "spot"): 0, ("a", "nvidia-tesla-t4", "spot"): 1})
    values = {"key": "cloud.google.com/gke-accelerator", "operator": "In", "values": ["nvidia-l4", "nvidia-tesla-t4"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [values]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}

    async def script():
        world.pod(spec=spec_of(accelerator=None, affinity=affinity))
        await world.clock.advance(100)

    world.play(script)
    node = world.api.get("nodes", world.node_of())
    assert node["metadata"]["labels"]["cloud.google.com/gke-accelerator"] == "nvidia-tesla-t4"


@pytest.mark.parametrize(
    ("requests", "accelerator", "count", "machine"),
    [
        pytest.param({"cpu": "3500m", "memory": "12Gi"}, "nvidia-l4", "1", "g2-standard-4", id="small-l4"),
        pytest.param(
            {"cpu": "3500m", "memory": "14Gi"}, "nvidia-l4", "1", "g2-standard-8", id="l4-memory-over-overhead"
        ),
        pytest.param({"cpu": "3500m", "memory": "14Gi"}, "nvidia-tesla-t4", "1", "n1-standard-8", id="t4-on-n1"),
        pytest.param({"cpu": "10"}, "nvidia-l4", "2", "g2-standard-24", id="two-l4"),
        pytest.param({"cpu": "1"}, "nvidia-h100-80gb", "8", "a3-highgpu-8g", id="eight-h100"),
    ],
)
def test_the_smallest_machine_that_fits_after_overhead_is_taken(make_world, requests, accelerator, count, machine):
    """Allocatable is what counts, not the machine's size."""
    world = make_world({("a", accelerator, "spot"): 8})

    async def script():
        world.pod(accelerator=accelerator, gpus=count, requests=requests)
        await world.clock.advance(100)

    world.play(script)
    labels = world.api.get("nodes", world.node_of())["metadata"]["labels"]
    assert labels["node.kubernetes.io/instance-type"] == machine
    assert labels["cloud.google.com/gke-accelerator-count"] == count
    assert world.stock.in_use(Pool("us-central1-a", accelerator, "spot")) == int(count)


def test_flex_start_draws_on_its_own_stock(make_world):
    """The selector decides; the node is labelled, tainted and tolerated."""
    world = make_world({("a", "nvidia-l4", "flex-start"): 1})

    async def script():
        world.pod(spot=False, selector={"cloud.google.com/gke-flex-start": "true"})
        await world.clock.advance(100)

    world.play(script)
    labels = world.api.get("nodes", world.node_of())["metadata"]["labels"]
    assert labels["cloud.google.com/gke-provisioning"] == "flex-start"
    assert world.stock.in_use(Pool("us-central1-a", "nvidia-l4", "flex-start")) == 1


def test_pods_without_gpus_share_nodes_that_are_never_out_of_stock(make_world):
    """Two small Pods land on one e2 node; a Pod that cannot fit there gets a second."""
    world = make_world({})

    async def script():
        small = {"accelerator": None, "spot": False, "gpus": None, "requests": {"cpu": "500m"}}
        world.pod("one", **small)
        await world.clock.advance(100)
        world.pod("two", **small)
        await world.clock.advance(1)
        assert world.node_of("two") == world.node_of("one")
        world.pod("big", **{**small, "requests": {"cpu": "3"}})
        await world.clock.advance(100)

    world.play(script)
    assert world.node_of("big") not in (None, world.node_of("one"))
    assert world.api.get("nodes", world.node_of("one"))["metadata"]["labels"]["cloud.google.com/machine-family"] == "e2"


def test_a_node_on_its_way_goes_to_the_next_pod_when_its_own_is_deleted(make_world):
    """A replaced Pod does not order a second VM."""
    world = make_world({"a": 2, "b": 2})

    async def script():
        world.pod()
        await world.clock.advance(30)
        world.delete()
        world.pod("second")
        await world.clock.advance(61)

    world.play(script)
    assert world.nodes() == [world.node_of("second")]
    assert world.messages("TriggeredScaleUp", "second") == []


def test_a_stock_out_leaves_running_nodes_alone(make_world):
    """Sold out means no new nodes; what runs stays and the next Pod is refused."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.stock.stock_out("us-central1")
        world.pod("second")
        await world.clock.advance(100)

    world.play(script)
    assert world.node_of() in world.nodes()
    assert world.messages("FailedScaleUp", "second") == [BOTH_SOLD_OUT]


def test_after_a_restart_nodes_hold_their_gpus_and_lost_orders_are_free(make_world, tmp_path):
    """The Nodes are the record: a new Autopilot over the same API claims for them, and for nothing else."""
    world = make_world({"a": 1, "b": 1})

    async def first():
        world.pod()
        await world.clock.advance(100)
        world.pod("second")
        await world.clock.advance(30)

    world.play(first)
    assert world.stock.free(Pool("us-central1-b", "nvidia-l4", "spot")) == 0
    world.start()
    assert world.stock.in_use(SPOT_A) == 1
    assert world.stock.free(Pool("us-central1-b", "nvidia-l4", "spot")) == 1

    async def second():
        await world.clock.advance(100)
        assert world.node_of("second") is not None

    world.play(second)


def test_a_quiet_cluster_writes_nothing(make_world):
    """With all Pods placed, hours pass without a write."""
    world = make_world()

    async def script():
        world.pod()
        await world.clock.advance(200)
        before = world.core.store.rv
        await world.clock.advance(7200)
        return world.core.store.rv - before

    assert world.play(script) == 0
