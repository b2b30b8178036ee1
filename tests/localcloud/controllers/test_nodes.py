"""Nodes that fall silent, are tainted or vanish, and what becomes of their Pods."""

import pytest


def taints(cluster, name="node-1"):
    return {
        (t["key"].rpartition("/")[2], t["effect"]) for t in cluster.get("nodes", name, "")["spec"].get("taints") or []
    }


def pod(name="p", **spec):
    body = {"containers": [{"name": "main", "image": "app:1"}], "nodeName": "node-1"} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": body}


BEARS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]


def test_a_silent_kubelet_makes_its_node_unknown_and_loses_its_pods(scenario):
    """After 40 s: Ready Unknown, taints, Pods not ready; after 300 s more the Pods are evicted."""

    async def story(cluster):
        cluster.ready(cluster.api.create("pods", pod(tolerations=BEARS), "default"))
        await cluster.pass_time(120)
        assert taints(cluster) == set()
        cluster.alive.clear()
        await cluster.pass_time(51)
        assert cluster.condition("nodes", "node-1", "Ready", "")["status"] == "Unknown"
        assert cluster.condition("nodes", "node-1", "Ready", "")["reason"] == "NodeStatusUnknown"
        assert taints(cluster) == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
        assert cluster.condition("pods", "p", "Ready")["status"] == "False"
        await cluster.pass_time(280)
        assert "deletionTimestamp" not in cluster.get("pods", "p")["metadata"]
        await cluster.pass_time(30)
        assert "deletionTimestamp" in cluster.get("pods", "p")["metadata"]
        assert cluster.condition("pods", "p", "DisruptionTarget")["reason"] == "DeletionByTaintManager"
        assert cluster.messages("TaintManagerEviction") == ["Marking for deletion Pod default/p"]

    scenario(story)


def test_a_node_that_comes_back_loses_its_taints_and_keeps_its_pods(scenario):
    """Eviction is called off when the kubelet reports again in time."""

    async def story(cluster):
        cluster.api.create("pods", pod(tolerations=BEARS), "default")
        cluster.alive.clear()
        await cluster.pass_time(100)
        assert taints(cluster)
        cluster.alive.add("node-1")
        ready = [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}]
        cluster.api.patch("nodes", "node-1", {"status": {"conditions": ready}}, subresource="status")
        await cluster.pass_time(600)
        assert taints(cluster) == set()
        assert "deletionTimestamp" not in cluster.get("pods", "p")["metadata"]

    scenario(story)


def test_a_restart_gives_every_kubelet_its_grace_anew(scenario):
    """Controllers that start beside old leases do not take the nodes for dead at once."""

    async def story(cluster):
        await cluster.stop()
        await cluster.pass_time(3600)
        cluster.alive.clear()
        await cluster.start()
        await cluster.pass_time(30)
        assert cluster.condition("nodes", "node-1", "Ready", "")["status"] == "True"

    scenario(story)


@pytest.mark.parametrize(
    ("tolerations", "evicted"),
    [
        pytest.param([], True, id="none"),
        pytest.param([{"operator": "Exists"}], False, id="everything"),
        pytest.param(
            [{"key": "spot", "operator": "Equal", "value": "no", "effect": "NoExecute"}], True, id="other-value"
        ),
        pytest.param([{"key": "spot", "value": "yes"}], False, id="same-value-any-effect"),
        pytest.param(
            [{"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
            True,
            id="zero-seconds",
        ),
    ],
)
def test_a_no_execute_taint_takes_what_does_not_tolerate_it(scenario, tolerations, evicted):
    """Any NoExecute taint evicts at once the Pods without a matching toleration."""

    async def story(cluster):
        cluster.api.create("pods", pod(tolerations=tolerations), "default")
        taint = {"key": "spot", "value": "yes", "effect": "NoExecute"}
        cluster.api.patch("nodes", "node-1", {"spec": {"taints": [taint]}})
        await cluster.settle()
        assert ("deletionTimestamp" in cluster.get("pods", "p")["metadata"]) is evicted

    scenario(story)


def test_cordoning_taints_and_foreign_taints_stay(scenario):
    """The controller adds and removes its own taints only."""

    async def story(cluster):
        foreign = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
        cluster.api.patch("nodes", "node-1", {"spec": {"taints": [foreign], "unschedulable": True}})
        await cluster.settle()
        assert taints(cluster) == {("gpu", "NoSchedule"), ("unschedulable", "NoSchedule")}
        cluster.api.patch("nodes", "node-1", {"spec": {"unschedulable": None}})
        await cluster.settle()
        assert taints(cluster) == {("gpu", "NoSchedule")}

    scenario(story)


def test_pods_of_a_deleted_node_go_with_it(scenario):
    """After a short quarantine the Pods of a Node that is gone are failed and removed, whatever their grace."""

    async def story(cluster):
        cluster.ready(cluster.api.create("pods", pod(), "default"))
        cluster.finish(cluster.api.create("pods", pod("done"), "default"))
        cluster.alive.clear()
        cluster.api.delete("nodes", "node-1")
        await cluster.pass_time(4)
        assert cluster.get("pods", "p")
        await cluster.pass_time(2)
        assert cluster.get("pods", "p") is None
        assert cluster.get("pods", "done")  # how it ended can still be seen for a while
        await cluster.pass_time(60)
        assert cluster.get("pods", "done") is None

    scenario(story)
