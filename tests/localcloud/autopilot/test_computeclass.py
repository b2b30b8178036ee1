"""Custom ComputeClasses: the ladder inside one cluster."""

import pytest

from controlplane.localcloud.apiserver.api import ApiError

LADDER = [{"gpu": {"type": "nvidia-l4", "count": 1}}, {"gpu": {"type": "nvidia-l4", "count": 1}, "spot": True}]


@pytest.fixture
def hunt(make_world, spec_of):
    """Create a class and a GPU Pod that selects it, and let time pass; gives the world."""

    def hunt(priorities, stock, *, name="ladder", seconds=120, **more):
        world = make_world(stock)

        async def script():
            await world.clock.advance(1)
            body = {
                "apiVersion": "cloud.google.com/v1",
                "kind": "ComputeClass",
                "metadata": {"name": "ladder"},
                "spec": {"priorities": priorities, **more},
            }
            world.api.create("computeclasses.cloud.google.com", body)
            selector = {"cloud.google.com/compute-class": name}
            world.pod(spec=spec_of(accelerator=None, spot=False, selector=selector))
            await world.clock.advance(seconds)

        world.play(script)
        return world

    return hunt


def test_the_first_rung_that_can_be_had_is_taken(hunt):
    """On-demand is sold out, Spot is there: the node is a Spot node of the class, and the Pod is on it."""
    world = hunt(LADDER, {("a", "nvidia-l4", "on-demand"): 0, ("b", "nvidia-l4", "spot"): 1})
    node = world.api.get("nodes", world.node_of())
    labels = node["metadata"]["labels"]
    assert labels["cloud.google.com/compute-class"] == "ladder"
    assert labels["cloud.google.com/gke-provisioning"] == "spot"
    assert labels["topology.kubernetes.io/zone"] == "us-central1-b"
    taints = {(taint["key"], taint["value"]) for taint in node["spec"]["taints"]}
    assert taints == {("nvidia.com/gpu", "present"), ("cloud.google.com/compute-class", "ladder")}


def test_a_ladder_without_a_rung_left_is_refused_with_all_zones(hunt):
    """One FailedScaleUp for the whole ladder, then back-off."""
    world = hunt(LADDER, {("a", "nvidia-l4", "spot"): 0, ("b", "nvidia-l4", "spot"): 0}, seconds=30)
    (text,) = world.messages("FailedScaleUp")
    assert "in zones us-central1-a, us-central1-b associated" in text
    assert world.messages("NotTriggerScaleUp") == ["pod didn't trigger scale-up: 1 in backoff after failed scale-up"]


def test_rules_may_name_zones(hunt):
    """Zones outside a rule's location are not tried."""
    rule = {"gpu": {"type": "nvidia-l4", "count": 1}, "location": {"zones": ["us-central1-b"]}}
    world = hunt([rule], {("a", "nvidia-l4", "on-demand"): 1, ("b", "nvidia-l4", "on-demand"): 1})
    assert (
        world.api.get("nodes", world.node_of())["metadata"]["labels"]["topology.kubernetes.io/zone"] == "us-central1-b"
    )


@pytest.mark.parametrize(
    ("priorities", "name"),
    [
        pytest.param([{"machineFamily": "e2"}], "ladder", id="no-gpu-rule"),
        pytest.param(LADDER, "another", id="no-such-class"),
    ],
)
def test_a_class_that_gives_no_gpu_is_refused_at_admission(hunt, priorities, name):
    """Warden wants an existing class with at least one GPU rule."""
    with pytest.raises(ApiError, match="existing custom compute class which has at least one GPU"):
        hunt(priorities, {"a": 1}, name=name)
