"""The in-process API: the same rules as over HTTP, and a watch that never misses."""

import asyncio

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.clock import settle


def config(name, **data):
    return {"metadata": {"name": name}, "data": data}


def pod(name="p", **spec):
    return {
        "metadata": {"name": name, "labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }


async def collect(stream, count):
    return [await asyncio.wait_for(anext(stream), 60) for _ in range(count)]


@pytest.mark.parametrize("namespace", ["default", "kube-system", "kube-public", "kube-node-lease"])
def test_first_objects(api, namespace):
    """A new cluster has its namespaces and their default ServiceAccounts at once."""
    assert api.get("namespaces", namespace)["status"]["phase"] == "Active"
    assert api.get("serviceaccounts", "default", namespace)


def test_create_keeps_a_status(api):
    """In process a created object may bring its status."""
    node = api.create("nodes", {"metadata": {"name": "n"}, "status": {"conditions": []}})
    assert "status" in node


def test_missing_object(api):
    """Get raises, find gives None."""
    with pytest.raises(ApiError) as failure:
        api.get("pods", "nope", "default")
    assert failure.value.code == 404
    assert api.find("pods", "nope", "default") is None


def test_unknown_resource(api):
    """A resource that is not served is 404."""
    with pytest.raises(ApiError) as failure:
        api.list("unicorns.example.com")
    assert failure.value.code == 404


def test_update_conflict(api):
    """A stale resourceVersion is a conflict."""
    old = api.create("configmaps", config("a"), "default")
    api.patch("configmaps", "a", {"data": {"x": "1"}}, "default")
    with pytest.raises(ApiError) as failure:
        api.update("configmaps", {**old, "data": {"x": "2"}})
    assert (failure.value.code, failure.value.reason) == (409, "Conflict")


def test_stored_objects_do_not_share_with_the_caller(api):
    """Changing a body after the call changes nothing in the store."""
    body = config("a", x="1")
    api.create("configmaps", body, "default")
    body["data"]["x"] = "9"
    assert api.get("configmaps", "a", "default")["data"] == {"x": "1"}


def test_watch_gives_the_present_then_changes(api):
    """A watch begins with what is there, as ADDED, and goes on with every change, in order."""

    async def main():
        api.create("configmaps", config("a"), "default")
        stream = api.watch("configmaps", "pods")
        (first,) = await collect(stream, 1)
        api.create("pods", pod(), "default")
        api.patch("configmaps", "a", {"data": {"x": "1"}}, "default")
        api.delete("configmaps", "a", "default")
        rest = await collect(stream, 3)
        await stream.aclose()
        return [(one.type, one.resource, one.object["metadata"]["name"]) for one in [first, *rest]]

    assert asyncio.run(main()) == [
        ("ADDED", "configmaps", "a"),
        ("ADDED", "pods", "p"),
        ("MODIFIED", "configmaps", "a"),
        ("DELETED", "configmaps", "a"),
    ]


def test_watch_sees_changes_made_while_it_is_read(api):
    """Changes between two steps of the watcher are not lost."""

    async def main():
        stream = api.watch("configmaps")
        names = []

        async def read():
            async for change in stream:
                names.append(change.object["metadata"]["name"])

        task = asyncio.create_task(read())
        for number in range(20):
            api.create("configmaps", config(f"c{number:02}"), "default")
            await settle(3)
        task.cancel()
        return names

    assert asyncio.run(main()) == [f"c{number:02}" for number in range(20)]


def test_binding_and_eviction_in_process(api):
    """The scheduler binds by the subresource; an eviction deletes, and a budget refuses it."""
    api.create("pods", pod(), "default")
    api.create("pods/binding", {"metadata": {"name": "p"}, "target": {"name": "n"}}, "default")
    assert api.get("pods", "p", "default")["spec"]["nodeName"] == "n"
    api.patch("pods", "p", {"status": {"phase": "Running"}}, "default", subresource="status")
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}}
    made = api.create("poddisruptionbudgets.policy", budget, "default")
    status = {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1}
    api.update("poddisruptionbudgets.policy", {**made, "status": {**status, "expectedPods": 1}}, subresource="status")
    eviction = {"metadata": {"name": "p"}}
    with pytest.raises(ApiError) as failure:
        api.create("pods/eviction", eviction, "default")
    assert failure.value.code == 429
    allowed = {"status": {"disruptionsAllowed": 1}}
    api.patch("poddisruptionbudgets.policy", "b", allowed, "default", subresource="status")
    api.create("pods/eviction", eviction, "default")
    assert api.get("pods", "p", "default")["metadata"]["deletionTimestamp"]
    spent = api.get("poddisruptionbudgets.policy", "b", "default")["status"]
    assert (spent["disruptionsAllowed"], list(spent["disruptedPods"])) == (0, ["p"])


def test_graceful_deletion_follows_the_clock(api, clock):
    """The deletion timestamp is now plus the grace."""
    api.create("pods", pod(nodeName="n", terminationGracePeriodSeconds=20), "default")
    marked = api.delete("pods", "p", "default")
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:20Z"
    api.delete("pods", "p", "default", grace_seconds=0)
    assert api.find("pods", "p", "default") is None


def test_orphans_of_a_job(api):
    """A Job that is deleted without a policy orphans its Pods."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
    api.create("jobs.batch", {"metadata": {"name": "j"}, "spec": {"template": template}}, "default")
    assert "orphan" in api.delete("jobs.batch", "j", "default")["metadata"]["finalizers"]


def test_admission_hooks(server, api):
    """Mutating hooks change what is stored; validating ones refuse it and see the mutated object."""
    seen = []

    def mutate(request):
        if request.resource == "configmaps" and request.operation == "CREATE":
            request.object.setdefault("data", {})["added"] = "yes"

    def refuse(request):
        seen.append((request.operation, request.object.get("data")))
        if request.object["metadata"]["name"] == "bad":
            raise ApiError(400, "GKE Warden", "denied")

    server.add_admission(mutate)
    server.add_admission(refuse, validating=True)
    assert api.create("configmaps", config("a"), "default")["data"] == {"added": "yes"}
    with pytest.raises(ApiError):
        api.create("configmaps", config("bad"), "default")
    assert api.find("configmaps", "bad", "default") is None
    assert seen[0] == ("CREATE", {"added": "yes"})


def test_both_event_apis_share_their_objects(api, call):
    """An Event of one API is readable in the other."""
    event = {
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "R", "message": "m", "type": "Normal",
    }  # fmt: skip
    api.create("events", event, "default")
    _, _, body = asyncio.run(call("GET", "/apis/events.k8s.io/v1/namespaces/default/events/e"))
    assert (body["apiVersion"], body["note"], body["regarding"]["name"]) == ("events.k8s.io/v1", "m", "p")


def test_service_account_token_is_accepted(api, server, call_as):
    """A token of a ServiceAccount is its user, until it ends; its rights come from RBAC."""
    body = api.create("serviceaccounts/token", {"metadata": {"name": "default"}, "spec": {}}, "default")
    token = body["status"]["token"]
    assert server.core.accounts.user(token) == "system:serviceaccount:default:default"
    assert server.core.accounts.user(token[:-3] + "abc") is None


def test_restricted_users_get_real_403(server, api, call_as):
    """A restricted user may do what a binding gives, and nothing else."""
    server.restrict("eve")
    call = call_as("eve")
    status, _, body = asyncio.run(call("GET", "/api/v1/namespaces/default/pods"))
    assert status == 403
    assert body["message"] == (
        'pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"'
    )
    binding = {
        "metadata": {"name": "b"},
        "subjects": [{"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"},
    }
    api.create("rolebindings.rbac.authorization.k8s.io", binding, "default")
    assert asyncio.run(call("GET", "/api/v1/namespaces/default/pods"))[0] == 200
    assert asyncio.run(call("DELETE", "/api/v1/namespaces/default/pods/p"))[0] == 403
    assert asyncio.run(call("GET", "/api/v1/namespaces/kube-system/pods"))[0] == 403


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        pytest.param("", {"container": "c", "follow": False}, id="plain"),
        pytest.param("?follow=true&tailLines=5&previous=1&sinceSeconds=9&timestamps=true",
                     {"follow": True, "tail": 5, "previous": True, "since": 9, "timestamps": True}, id="all"),
    ],
)  # fmt: skip
def test_logs_come_from_the_source(server, api, call, query, wanted):
    """The log subresource hands its parameters to the source and streams what comes."""
    asked = {}

    async def source(namespace, name, container, follow, tail, previous, since, timestamps):
        asked.update(container=container, follow=follow, tail=tail, previous=previous, since=since,
                     timestamps=timestamps)  # fmt: skip
        yield b"one\n"
        yield b"two\n"

    server.add_pod_log_source(source)
    api.create("pods", pod(), "default")
    status, _, body = asyncio.run(call("GET", f"/api/v1/namespaces/default/pods/p/log{query}"))
    assert (status, body) == (200, b"one\ntwo\n")
    assert wanted.items() <= asked.items()


def test_events_do_not_stay(api, clock):
    """An Event that is older than an hour goes when new ones come."""

    def event(name):
        time = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "metadata": {"name": name},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
            "lastTimestamp": time,
        }

    api.create("events", event("old"), "default")
    asyncio.run(clock.advance(3700))
    for number in range(100):
        api.create("events", event(f"e{number}"), "default")
    assert api.find("events", "old", "default") is None
    assert api.find("events", "e0", "default") is not None


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        pytest.param({}, "BestEffort", id="nothing"),
        pytest.param({"requests": {"cpu": "1"}}, "Burstable", id="some"),
        pytest.param({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
                     "Guaranteed", id="all"),
    ],
)  # fmt: skip
def test_quality_of_service(api, resources, quality):
    """A new Pod's class follows its requests and limits."""
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources}]}
    made = api.create("pods", {"metadata": {"name": "p"}, "spec": spec}, "default")
    assert made["status"]["qosClass"] == quality
