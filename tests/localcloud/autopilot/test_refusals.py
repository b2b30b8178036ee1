"""Scale-ups that fail: what is told of them, and the back-off that follows."""

from itertools import pairwise

import pytest

from controlplane.localcloud.scenario import QuotaLimit
from controlplane.localcloud.stock.ledger import Pool

SPOT_A = Pool("us-central1-a", "nvidia-l4", "spot")
BOTH_SOLD_OUT = (
    "Node scale up in zones us-central1-a, us-central1-b associated with this pod failed: GCE out of resources. "
    "Pod is at risk of not being scheduled."
)
AT_RISK = "Pod is at risk of not being scheduled."
WOULD_NOT_FIT = (
    "pod didn't trigger scale-up (it wouldn't fit if a new node is added): 2 node(s) didn't match Pod's node "
    "affinity/selector"
)
BACKING_OFF = "pod didn't trigger scale-up: 1 in backoff after failed scale-up"


def test_a_stock_out_everywhere_names_all_zones_and_backs_off(make_world):
    """FailedScaleUp with the zones, then NotTriggerScaleUp, annotations, and no attempt for five minutes."""
    world = make_world({"a": 0, "b": 0})

    async def script():
        world.pod()
        await world.clock.advance(11)
        assert world.events("FailedScaleUp") == [("Warning", BOTH_SOLD_OUT)]
        assert world.events("NotTriggerScaleUp") == [("Normal", BACKING_OFF)]
        assert [e["count"] for e in world.api.list("events") if e["reason"] == "NotTriggerScaleUp"] == [1]
        annotations = world.api.get("pods", "app", "default")["metadata"]["annotations"]
        assert annotations["cloud.google.com/cluster_autoscaler_unhelpable_since"] == "2026-01-01T00:00:10+0000"
        assert annotations["cloud.google.com/cluster_autoscaler_unhelpable_until"] == "Inf"
        world.stock.restock("us-central1", count=1)
        await world.clock.advance(290)
        assert len(world.messages("TriggeredScaleUp")) == 2
        await world.clock.advance(110)
        assert world.node_of() is not None

    world.play(script)


def test_the_backoff_doubles_up_to_half_an_hour(make_world):
    """Attempts begin at 0, then after 5, 10, 20, 30 and 30 minutes of back-off."""
    world = make_world({"a": 0, "b": 0})
    starts = []

    async def script():
        world.pod()
        count = 0
        for second in range(0, 6200, 5):
            await world.clock.advance(5)
            failed = sum(e["count"] for e in world.api.list("events") if e["reason"] == "FailedScaleUp")
            if failed > count:
                starts.append(second + 5)
                count = failed

    world.play(script)
    gaps = [after - before - 10 for before, after in pairwise(starts)]
    assert gaps == [300, 600, 1200, 1800, 1800]


def test_the_backoff_survives_the_pod(make_world):
    """Deleting and recreating the Pod gains nothing."""
    world = make_world({"a": 0, "b": 0})

    async def script():
        world.pod()
        await world.clock.advance(20)
        world.delete()
        world.pod("second")
        await world.clock.advance(200)

    world.play(script)
    assert world.messages("TriggeredScaleUp", "second") == []
    assert world.messages("NotTriggerScaleUp", "second") == [BACKING_OFF]


def test_the_backoff_is_the_shapes_own(make_world):
    """While Spot backs off, on-demand of the same GPU is tried at once."""
    world = make_world({"a": 0, "b": 0, ("a", "nvidia-l4", "on-demand"): 1})

    async def script():
        world.pod()
        await world.clock.advance(20)
        world.pod("dear", spot=False)
        await world.clock.advance(100)

    world.play(script)
    assert world.node_of("dear") is not None
    assert world.node_of() is None


def test_pods_that_fail_together_count_as_one_failure(make_world):
    """Three Pods refused at once back off for the first five minutes, not for twenty."""
    world = make_world({"a": 0, "b": 0})

    async def script():
        for name in ("one", "two", "three"):
            world.pod(name)
        await world.clock.advance(20)
        world.stock.restock("us-central1", count=2)
        await world.clock.advance(400)

    world.play(script)
    assert all(world.node_of(name) for name in ("one", "two", "three"))


def test_each_pod_has_a_node_and_the_last_gpu_goes_to_one(make_world):
    """Three Pods, two GPUs: two run on two nodes, one is told that there are no more."""
    world = make_world({"a": 1, "b": 1})

    async def script():
        for name in ("one", "two", "three"):
            world.pod(name)
        await world.clock.advance(120)

    world.play(script)
    bound = [node for name in ("one", "two", "three") if (node := world.node_of(name))]
    assert len(set(bound)) == 2
    assert set(world.messages("FailedScaleUp")) == {BOTH_SOLD_OUT}


@pytest.mark.parametrize(
    ("region", "metric"),
    [
        pytest.param("us-central1", "PREEMPTIBLE_NVIDIA_L4_GPUS", id="regional"),
        pytest.param("", "GPUS_ALL_REGIONS", id="project"),
    ],
)
def test_a_quota_ends_the_round_in_the_first_zone(make_world, region, metric):
    """Quota concerns the region: the other zones are not even tried."""
    world = make_world(scenario={"quotas": (QuotaLimit(metric, 0, region),)})

    async def script():
        world.pod()
        await world.clock.advance(10)

    world.play(script)
    text = "Node scale up in zones us-central1-a associated with this pod failed: GCE quota exceeded. {}"
    assert world.events("FailedScaleUp") == [("Warning", text.format(AT_RISK))]
    assert len(world.messages("TriggeredScaleUp")) == 1


def test_an_exhausted_ip_range_refuses_nodes_of_any_kind(make_world):
    """The cluster's address space bounds its nodes."""
    world = make_world(scenario={"ip_space": {"gpu": 1}})

    async def script():
        world.pod()
        await world.clock.advance(100)
        world.pod("plain", accelerator=None, spot=False, gpus=None, requests={"cpu": "1"})
        await world.clock.advance(20)

    world.play(script)
    text = "Node scale up in zones us-central1-a associated with this pod failed: IP space exhausted. {}"
    assert world.messages("FailedScaleUp", "plain") == [text.format(AT_RISK)]


def test_a_vm_that_never_comes_is_given_up_after_the_timeout(make_world):
    """After maxNodeProvisionTime the stock is free again and the Event says so."""
    world = make_world(delays={"provisioning": 5000})

    async def script():
        world.pod()
        await world.clock.advance(899)
        assert world.messages("FailedScaleUp") == []
        assert world.stock.in_use(SPOT_A) == 1
        await world.clock.advance(2)

    world.play(script)
    (text,) = world.messages("FailedScaleUp")
    assert text.startswith("Node scale up in zones us-central1-a associated with this pod failed: Some nodes in node ")
    assert "failed to appear in time" in text
    assert len(text) <= 250
    assert world.stock.in_use(SPOT_A) == 0
    assert world.nodes() == []


def test_a_gpu_type_that_the_region_does_not_have_never_triggers(make_world):
    """NotTriggerScaleUp says that no node would fit; nothing is tried, however long it waits."""
    world = make_world()

    async def script():
        world.pod(accelerator="nvidia-tesla-t4")
        await world.clock.advance(4000)

    world.play(script)
    assert world.events("NotTriggerScaleUp") == [("Normal", WOULD_NOT_FIT)]
    assert world.messages("TriggeredScaleUp") == []


def test_a_pod_may_name_its_zone(make_world):
    """Only the zone of the selector is tried and named."""
    world = make_world({"a": 1, "b": 0})

    async def script():
        world.pod(selector={"topology.kubernetes.io/zone": "us-central1-b"})
        await world.clock.advance(10)

    world.play(script)
    assert "in zones us-central1-b associated" in world.messages("FailedScaleUp")[0]


@pytest.mark.parametrize(
    ("quiet", "second"),
    [pytest.param(10800, 300, id="forgotten-after-three-hours"), pytest.param(3000, 600, id="remembered-before")],
)
def test_the_backoff_is_forgotten_after_three_quiet_hours(make_world, quiet, second):
    """A failure long after the last one begins at five minutes again; a sooner one doubles."""
    world = make_world({"a": 0, "b": 0})

    async def script():
        world.pod()
        await world.clock.advance(20)
        world.delete()
        await world.clock.advance(quiet)
        world.pod("later")
        await world.clock.advance(10)
        assert len(world.messages("FailedScaleUp", "later")) == 1
        world.stock.restock("us-central1", count=1)
        await world.clock.advance(second - 5)
        assert len(world.messages("TriggeredScaleUp", "later")) == 2
        await world.clock.advance(110)
        assert world.node_of("later") is not None

    world.play(script)


def test_a_success_ends_the_backoff_of_its_shape(make_world):
    """After a node came, the next failure begins at five minutes."""
    world = make_world({"a": 0, "b": 0})

    async def script():
        world.pod()
        await world.clock.advance(320 + 20)  # failed twice: ten minutes of back-off
        world.stock.restock("us-central1-a", count=1)
        await world.clock.advance(720)
        assert world.node_of() is not None
        world.pod("second")
        await world.clock.advance(20)
        world.stock.restock("us-central1-b", count=1)
        await world.clock.advance(395)
        assert world.node_of("second") is not None

    world.play(script)
