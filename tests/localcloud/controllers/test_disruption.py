"""PodDisruptionBudgets: how many Pods an eviction may take."""

import pytest

from controlplane.localcloud.clock import rfc3339

PDB = "poddisruptionbudgets.policy"


def budget(**spec):
    meta = {"name": "web", "namespace": "default"}
    body = {"selector": {"matchLabels": {"app": "web"}}, **spec}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": body}


@pytest.mark.parametrize(
    ("spec", "replicas", "ready", "allowed", "desired"),
    [
        pytest.param({"minAvailable": 2}, 3, 3, 1, 2, id="number"),
        pytest.param({"minAvailable": "50%"}, 3, 3, 1, 2, id="percentage-rounds-up"),
        pytest.param({"maxUnavailable": 1}, 3, 3, 1, 2, id="may-miss-one"),
        pytest.param({"maxUnavailable": 1}, 3, 2, 0, 2, id="one-is-missing-already"),
        pytest.param({"maxUnavailable": "34%"}, 3, 3, 2, 1, id="may-miss-a-share"),
        pytest.param({"minAvailable": "100%"}, 2, 2, 0, 2, id="none-may-go"),
        pytest.param({"minAvailable": 1}, 0, 0, 0, 1, id="no-pods"),
    ],
)
def test_the_budget_counts_healthy_pods(scenario, deployment, spec, replicas, ready, allowed, desired):
    """DisruptionsAllowed is what is healthy beyond what has to be."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=replicas))
        cluster.apply(PDB, budget(**spec))
        await cluster.run_pods()
        for pod in cluster.pods()[ready:]:
            cluster.ready(pod, "False")
        await cluster.settle()
        status = cluster.get(PDB, "web")["status"]
        assert status["disruptionsAllowed"] == allowed
        assert (status["currentHealthy"], status["desiredHealthy"]) == (ready, desired)
        reason = cluster.condition(PDB, "web", "DisruptionAllowed")["reason"]
        assert reason == ("SufficientPods" if allowed else "InsufficientPods")

    scenario(story)


def test_a_granted_eviction_is_debited_until_it_lapses(scenario, deployment):
    """A Pod promised to an eviction is not counted as healthy, for two minutes at most."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=3))
        cluster.apply(PDB, budget(maxUnavailable=1))
        await cluster.run_pods()
        name = cluster.pods()[0]["metadata"]["name"]
        granted = {"disruptedPods": {name: rfc3339(cluster.clock.now())}, "disruptionsAllowed": 0}
        cluster.api.patch(PDB, "web", {"status": granted}, "default", subresource="status")
        await cluster.settle()
        assert cluster.get(PDB, "web")["status"]["disruptionsAllowed"] == 0
        await cluster.pass_time(121)
        status = cluster.get(PDB, "web")["status"]
        assert (status["disruptionsAllowed"], status.get("disruptedPods")) == (1, None)

    scenario(story)


def test_pods_without_a_scale_make_the_budget_fail_safe(scenario):
    """A percentage of something that has no replicas allows no disruption, and says why."""

    async def story(cluster):
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "odd", "namespace": "default"}}
        owner = cluster.api.create("configmaps", owner, "default")
        ref = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "odd",
            "uid": owner["metadata"]["uid"],
            "controller": True,
        }
        meta = {"name": "p", "namespace": "default", "labels": {"app": "web"}, "ownerReferences": [ref]}
        spec = {"containers": [{"name": "main", "image": "app:1"}]}
        cluster.ready(
            cluster.api.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "default")
        )
        cluster.apply(PDB, budget(maxUnavailable=1))
        await cluster.settle()
        assert cluster.get(PDB, "web")["status"]["disruptionsAllowed"] == 0
        assert cluster.condition(PDB, "web", "DisruptionAllowed")["reason"] == "SyncFailed"

    scenario(story)
