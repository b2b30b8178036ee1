"""The shared view: complete before anybody acts on it, and never behind one's own writes."""

import asyncio

import pytest

from controlplane.localcloud.apiserver.schema.types import builtin_types
from controlplane.localcloud.clock import settle
from controlplane.localcloud.controllers.catalogue import UNTRACKED, Catalogue, builtin_kinds
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.replicaset import ReplicaSetController

LABELS = {"app": "rs"}
RS = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "metadata": {"name": "rs", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}},
    },
}


@pytest.fixture
def parts():
    """Give an informer that nobody runs, and a ReplicaSet controller over it."""

    def build(cluster):
        informer = Informer(cluster.api, Catalogue(builtin_kinds(builtin_types())), untracked=UNTRACKED)
        recorder = EventRecorder(cluster.api, cluster.clock, "test")
        return informer, ReplicaSetController(informer, cluster.clock, recorder)

    return build


def test_a_second_look_sees_what_the_first_created(scenario, parts):
    """Two reconciles with no watch event between them create no Pod twice."""

    async def story(cluster):
        await cluster.stop()
        _, controller = parts(cluster)
        cluster.api.create("replicasets.apps", RS, "default")
        await controller.reconcile(("default", "rs"))
        await controller.reconcile(("default", "rs"))
        assert len(cluster.pods()) == 2

    scenario(story)


def test_a_controller_that_is_started_first_finds_a_complete_view(scenario, parts):
    """Whoever begins before the informer runs does not take what is there for missing."""

    async def story(cluster):
        cluster.api.create("replicasets.apps", RS, "default")
        await cluster.settle()
        assert len(cluster.pods()) == 2
        await cluster.stop()
        _, controller = parts(cluster)
        task = asyncio.create_task(controller.run())
        await settle(200)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert len(cluster.pods()) == 2

    scenario(story)


def test_an_index_entry_is_only_a_hint(scenario, parts):
    """What is gone or no longer fits is not given out, though no event told of it yet."""

    async def story(cluster):
        await cluster.stop()
        informer, controller = parts(cluster)
        rs = cluster.api.create("replicasets.apps", RS, "default")
        await controller.reconcile(("default", "rs"))
        one, two = cluster.pods()
        cluster.api.delete("pods", one["metadata"]["name"], "default", grace_seconds=0)
        cluster.patch("pods", two["metadata"]["name"], {"metadata": {"labels": {"app": "other"}}})
        assert informer.select("pods", "default", {"matchLabels": LABELS}) == []
        assert [p["metadata"]["uid"] for p in informer.owned("pods", rs["metadata"]["uid"])] == [two["metadata"]["uid"]]

    scenario(story)


def test_one_broken_object_stops_nobody_else(scenario):
    """A reconcile that always fails is tried again at most every five seconds, while others are served."""
    from controlplane.localcloud.apiserver.api import ApiError
    from controlplane.localcloud.controllers.runtime import Controller

    async def story(cluster):
        seen = []

        async def reconcile(key):
            seen.append(key[1])
            if key[1] == "broken":
                raise ApiError(500, "InternalError", "always")

        sources = {"configmaps": lambda change: [("", change.object["metadata"]["name"])]}
        controller = Controller("test", cluster.api, cluster.clock, sources=sources, reconcile=reconcile)
        task = asyncio.create_task(controller.run())
        for name in ("broken", "fine"):
            meta = {"name": name, "namespace": "default"}
            cluster.api.create("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}, "default")
        await cluster.pass_time(300)
        assert seen.count("fine") == 1
        assert 50 < seen.count("broken") < 80
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    scenario(story)
