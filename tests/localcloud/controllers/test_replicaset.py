"""ReplicaSets: which Pod goes first, what is adopted, how refusals are retried."""

from itertools import pairwise

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.clock import VirtualClock
from controlplane.localcloud.controllers.pods import deletion_order

NOW = VirtualClock().now()


@pytest.fixture
def replica_set():
    """Build a ReplicaSet."""

    def build(name="rs", replicas=2, **labels):
        labels = labels or {"app": "rs"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}}
        return {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
        }

    return build


def pod(
    name,
    *,
    node="n",
    phase="Running",
    ready=True,
    since="2025-12-31T00:00:00Z",
    created="2025-12-31T00:00:00Z",
    restarts=0,
    cost=None,
):
    meta = {"name": name, "uid": name, "creationTimestamp": created}
    if cost is not None:
        meta["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": cost}
    conditions = [{"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": since}]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": [{"restartCount": restarts}]}
    return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": status}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"node": None}, {}, id="unassigned-before-assigned"),
        pytest.param({"phase": "Pending", "ready": False}, {"ready": False}, id="pending-before-running"),
        pytest.param({"ready": False}, {}, id="not-ready-before-ready"),
        pytest.param({"cost": "-5"}, {"cost": "10"}, id="cheap-before-dear"),
        pytest.param({"since": "2025-12-31T23:59:00Z"}, {}, id="ready-for-less-time-first"),
        pytest.param({"restarts": 3}, {"restarts": 1}, id="more-restarts-first"),
        pytest.param({"created": "2025-12-31T23:00:00Z"}, {"created": "2025-12-01T00:00:00Z"}, id="younger-first"),
        pytest.param({"cost": "1", "ready": False}, {"cost": "-9"}, id="readiness-before-cost"),
    ],
)
def test_pods_are_ranked_for_deletion_as_kubernetes_ranks_them(first, second):
    """The Pod that is lost least by goes first, whatever the order they come in."""
    one, two = pod("z", **first), pod("a", **second)
    assert deletion_order([two, one], NOW)[0] is one
    assert deletion_order([one, two], NOW)[0] is one


def test_crowded_nodes_lose_pods_first():
    """Of equal Pods those that share a node with others of the workload go first."""
    pods = [pod("a", node="lonely"), pod("b", node="crowded"), pod("c", node="crowded")]
    crowd = {"lonely": 1, "crowded": 2}
    order = deletion_order(pods, NOW, lambda p: crowd[p["spec"]["nodeName"]])
    assert [p["metadata"]["name"] for p in order] == ["b", "c", "a"]


def test_scaling_down_spares_the_ready_pods(scenario, replica_set):
    """Of three Pods, one ready, two are taken and the ready one stays."""

    async def story(cluster):
        cluster.apply("replicasets.apps", replica_set(replicas=3))
        await cluster.settle()
        survivor = cluster.pods()[1]
        cluster.ready(survivor)
        cluster.patch("replicasets.apps", "rs", {"spec": {"replicas": 1}})
        await cluster.settle()
        assert [p["metadata"]["uid"] for p in cluster.pods()] == [survivor["metadata"]["uid"]]
        assert len(cluster.messages("SuccessfulDelete")) == 2

    scenario(story)


def test_orphans_are_adopted_and_surplus_ones_deleted(scenario, replica_set):
    """Bare Pods that the selector matches count, and only as many as wanted stay."""

    async def story(cluster):
        for number in range(3):
            meta = {"name": f"bare-{number}", "namespace": "default", "labels": {"app": "rs"}}
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
            cluster.api.create("pods", body | {"spec": {"containers": [{"name": "main", "image": "app:1"}]}}, "default")
        cluster.apply("replicasets.apps", replica_set(replicas=2))
        await cluster.settle()
        assert len(cluster.pods()) == 2
        assert all(p["metadata"]["name"].startswith("bare-") for p in cluster.pods())
        assert all(p["metadata"]["ownerReferences"][0]["name"] == "rs" for p in cluster.pods())

    scenario(story)


def test_the_pods_of_another_are_never_taken(scenario, replica_set):
    """Two ReplicaSets whose selectors overlap keep to their own Pods."""

    async def story(cluster):
        cluster.apply("replicasets.apps", replica_set("one"))
        await cluster.settle()
        mine = {p["metadata"]["uid"] for p in cluster.pods()}
        cluster.apply("replicasets.apps", replica_set("two", app="rs"))
        await cluster.settle()
        owners = {p["metadata"]["uid"]: p["metadata"]["ownerReferences"][0]["name"] for p in cluster.pods()}
        assert len(owners) == 4
        assert {uid for uid, owner in owners.items() if owner == "one"} == mine

    scenario(story)


def test_failed_pods_are_replaced_and_left_to_look_at(scenario, replica_set):
    """A Failed Pod does not count, and is not deleted by its ReplicaSet."""

    async def story(cluster):
        cluster.apply("replicasets.apps", replica_set(replicas=1))
        await cluster.settle()
        cluster.finish(cluster.pods()[0], "Failed")
        await cluster.settle()
        assert sorted(p["status"]["phase"] for p in cluster.pods()) == ["Failed", "Pending"]
        assert cluster.get("replicasets.apps", "rs")["status"]["replicas"] == 1

    scenario(story)


def test_a_refused_template_is_tried_with_growing_delay(scenario, replica_set):
    """One try at a time, ever less often; a hundred replicas cost no more refusals than one."""

    async def story(cluster):
        tries = []

        def refuse(request):
            if request.resource == "pods" and request.operation == "CREATE":
                tries.append(cluster.clock.monotonic())
                name = request.object["metadata"]["name"]
                raise ApiError(403, "Forbidden", f'pods "{name}" is forbidden: exceeded quota')

        cluster.hooks.append(refuse)
        cluster.apply("replicasets.apps", replica_set(replicas=100))
        await cluster.pass_time(600)
        assert len(tries) < 25
        gaps = [later - earlier for earlier, later in pairwise(tries)]
        assert gaps[-1] == 60
        assert len(cluster.events("FailedCreate")) <= 11

    scenario(story)


def test_a_hundred_pods_are_created_at_once(scenario, replica_set):
    """Exactly as many as asked for, even though every creation changes what is watched."""

    async def story(cluster):
        cluster.apply("replicasets.apps", replica_set(replicas=100))
        await cluster.settle()
        assert len(cluster.pods()) == 100
        assert cluster.get("replicasets.apps", "rs")["status"]["replicas"] == 100

    scenario(story)
