"""Owner references and namespaces: what goes with what, and what waits for what."""

import pytest


def config(name, *owners, namespace="default", finalizers=()):
    refs = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": True,
        }
        for owner in owners
    ]
    meta = {"name": name, "namespace": namespace, "ownerReferences": refs, "finalizers": list(finalizers)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def test_background_deletion_takes_dependents_of_dependents(scenario, deployment):
    """Deleting a Deployment removes it at once and its ReplicaSets and Pods after it."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment())
        await cluster.run_pods()
        cluster.api.delete("deployments.apps", "web", "default", propagation="Background")
        assert cluster.get("deployments.apps", "web") is None
        await cluster.run_pods()
        assert cluster.list("replicasets.apps") == []
        assert cluster.pods() == []

    scenario(story)


def test_foreground_deletion_keeps_the_owner_until_its_pods_are_gone(scenario, deployment):
    """The Deployment stays, terminating, until the last Pod of its ReplicaSet has ended."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment())
        await cluster.run_pods()
        cluster.api.delete("deployments.apps", "web", "default", propagation="Foreground")
        await cluster.settle()
        assert all(p["metadata"].get("deletionTimestamp") for p in cluster.pods())
        assert len(cluster.pods()) == 3
        assert cluster.get("deployments.apps", "web")["metadata"]["finalizers"] == ["foregroundDeletion"]
        await cluster.run_pods()
        assert cluster.get("deployments.apps", "web") is None
        assert cluster.list("replicasets.apps") == []
        assert cluster.pods() == []

    scenario(story)


def test_orphaning_leaves_dependents_that_a_new_owner_adopts(scenario, deployment):
    """After an orphaning deletion the ReplicaSet and its Pods stay; a Deployment of the same selector adopts them."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment())
        await cluster.run_pods()
        pods = {p["metadata"]["uid"] for p in cluster.pods()}
        cluster.api.delete("deployments.apps", "web", "default", propagation="Orphan")
        await cluster.run_pods()
        assert cluster.get("deployments.apps", "web") is None
        (rs,) = cluster.list("replicasets.apps")
        assert not rs["metadata"].get("ownerReferences")
        cluster.apply("deployments.apps", deployment())
        await cluster.run_pods()
        (rs,) = cluster.list("replicasets.apps")
        assert rs["metadata"]["ownerReferences"][0]["uid"] == cluster.get("deployments.apps", "web")["metadata"]["uid"]
        assert {p["metadata"]["uid"] for p in cluster.pods()} == pods

    scenario(story)


def test_a_pod_whose_labels_change_is_released_and_replaced(scenario, deployment):
    """Taking the label off a Pod takes it out of its ReplicaSet, which creates another."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=1))
        await cluster.run_pods()
        name = cluster.pods()[0]["metadata"]["name"]
        cluster.patch("pods", name, {"metadata": {"labels": {"app": "debug"}}})
        await cluster.run_pods()
        assert not cluster.get("pods", name)["metadata"].get("ownerReferences")
        assert len(cluster.pods()) == 2

    scenario(story)


def test_an_object_with_two_owners_goes_with_the_last(scenario):
    """Losing one of two owners drops its reference only."""

    async def story(cluster):
        one = cluster.api.create("configmaps", config("one"), "default")
        two = cluster.api.create("configmaps", config("two"), "default")
        cluster.api.create("configmaps", config("child", one, two), "default")
        await cluster.settle()
        cluster.api.delete("configmaps", "one", "default")
        await cluster.settle()
        assert [o["name"] for o in cluster.get("configmaps", "child")["metadata"]["ownerReferences"]] == ["two"]
        cluster.api.delete("configmaps", "two", "default")
        await cluster.settle()
        assert cluster.get("configmaps", "child") is None

    scenario(story)


def test_a_namesake_of_the_owner_is_not_the_owner(scenario):
    """An object goes when its owner was replaced by another of the same name."""

    async def story(cluster):
        owner = cluster.api.create("configmaps", config("owner"), "default")
        await cluster.stop()
        cluster.api.delete("configmaps", "owner", "default")
        cluster.api.create("configmaps", config("owner"), "default")
        cluster.api.create("configmaps", config("child", owner), "default")
        await cluster.start()
        assert cluster.get("configmaps", "child") is None
        assert cluster.get("configmaps", "owner")

    scenario(story)


def test_an_owner_of_an_unknown_kind_condemns_nobody(scenario):
    """What this cluster cannot look up, it does not collect for."""

    async def story(cluster):
        stranger = {"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": {"name": "x", "uid": "1"}}
        cluster.api.create("configmaps", config("child", stranger), "default")
        await cluster.settle()
        assert cluster.get("configmaps", "child")

    scenario(story)


def test_a_deleted_namespace_is_emptied_first(scenario, deployment):
    """The namespace stays, Terminating, until everything in it is gone; what is created meanwhile is refused."""

    async def story(cluster):
        cluster.api.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
        body = deployment()
        body["metadata"]["namespace"] = "team"
        cluster.apply("deployments.apps", body, "team")
        await cluster.run_pods("team")
        assert cluster.get("serviceaccounts", "default", "team")
        held = config("held", namespace="team", finalizers=["example.dev/hold"])
        cluster.api.create("configmaps", held, "team")
        cluster.api.delete("namespaces", "team")
        await cluster.run_pods("team")
        namespace = cluster.get("namespaces", "team", "")
        assert namespace["status"]["phase"] == "Terminating"
        remaining = cluster.condition("namespaces", "team", "NamespaceFinalizersRemaining", "")
        assert "example.dev/hold in 1 resource instances" in remaining["message"]
        assert cluster.pods("team") == []
        cluster.patch("configmaps", "held", {"metadata": {"finalizers": None}}, "team")
        await cluster.settle()
        assert cluster.get("namespaces", "team", "") is None
        assert cluster.list("configmaps", "team") == []

    scenario(story)


def test_every_namespace_has_its_account_and_certificate(scenario):
    """Both exist from the start and come back when they are deleted or changed."""

    async def story(cluster):
        assert cluster.get("serviceaccounts", "default", "default")
        cluster.api.delete("serviceaccounts", "default", "default")
        cluster.patch("configmaps", "kube-root-ca.crt", {"data": {"ca.crt": "forged"}})
        await cluster.settle()
        assert cluster.get("serviceaccounts", "default", "default")
        assert cluster.get("configmaps", "kube-root-ca.crt")["data"] == {"ca.crt": "PEM"}

    scenario(story, ca_pem="PEM")


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
def test_deletion_finishes_after_a_restart_in_the_middle(scenario, deployment, propagation):
    """Controllers that start in the middle of a deletion bring it to its end."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment())
        await cluster.run_pods()
        await cluster.stop()
        cluster.api.delete("deployments.apps", "web", "default", propagation=propagation)
        await cluster.start()
        await cluster.run_pods()
        assert cluster.get("deployments.apps", "web") is None
        assert len(cluster.pods()) == (3 if propagation == "Orphan" else 0)

    scenario(story)


@pytest.fixture
def things():
    """Give the definition of a custom kind."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.dev"},
        "spec": {
            "group": "example.dev",
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.mark.parametrize("what", ["the-object", "its-definition", "before-a-restart"])
def test_custom_objects_own_like_any_other(scenario, things, what):
    """What a custom object owns goes with it, also when its kind came later or goes altogether."""

    async def story(cluster):
        cluster.api.create("customresourcedefinitions.apiextensions.k8s.io", things)
        await cluster.settle()
        meta = {"name": "t", "namespace": "default"}
        owner = cluster.api.create(
            "things.example.dev", {"apiVersion": "example.dev/v1", "kind": "Thing", "metadata": meta}, "default"
        )
        cluster.api.create("configmaps", config("child", owner), "default")
        await cluster.settle()
        assert cluster.get("configmaps", "child")
        if what == "its-definition":
            cluster.api.delete("customresourcedefinitions.apiextensions.k8s.io", "things.example.dev")
        elif what == "the-object":
            cluster.api.delete("things.example.dev", "t", "default")
        else:
            await cluster.stop()
            await cluster.start()
            assert cluster.get("configmaps", "child")
            await cluster.stop()
            cluster.api.delete("things.example.dev", "t", "default")
            await cluster.start()
        await cluster.settle()
        assert cluster.get("configmaps", "child") is None

    scenario(story)
