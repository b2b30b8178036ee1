"""Deleting: preconditions, finalizers, propagation, Pods' grace, collections."""

import pytest

FOREGROUND = {"propagationPolicy": "Foreground"}


def maps(ns):
    return f"/api/v1/namespaces/{ns}/configmaps"


def pods(ns):
    return f"/api/v1/namespaces/{ns}/pods"


def pod(name):
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def bound_pod(http, ns, name):
    http.create(pods(ns), pod(name))
    binding = {"metadata": {"name": name}, "target": {"kind": "Node", "name": "node-1"}}
    assert http("POST", f"{pods(ns)}/{name}/binding", binding).status_code == 201


def test_delete_answers_status(http, ns):
    """A deletion that is done answers with a Status that names the object."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http("DELETE", f"{maps(ns)}/a").json()
    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert http("GET", f"{maps(ns)}/a").status_code == 404


@pytest.mark.parametrize(
    "precondition",
    [pytest.param({"uid": "other"}, id="uid"), pytest.param({"resourceVersion": "1"}, id="resourceVersion")],
)
def test_preconditions(http, ns, precondition):
    """A deletion whose precondition does not hold is 409 and deletes nothing."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http("DELETE", f"{maps(ns)}/a", {"preconditions": precondition}).json()
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert "in the precondition" in status["message"]
    assert http("GET", f"{maps(ns)}/a").status_code == 200


def test_unknown_propagation(http, ns):
    """An unknown propagation policy is 422."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    assert http("DELETE", f"{maps(ns)}/a", None, propagationPolicy="Sideways").status_code == 422


def test_finalizer_holds_back(http, ns):
    """A finalizer turns a deletion into a mark; removing the last one deletes."""
    http.create(maps(ns), {"metadata": {"name": "a", "finalizers": ["example.com/wait"]}})
    marked = http("DELETE", f"{maps(ns)}/a").json()
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    again = http("DELETE", f"{maps(ns)}/a").json()
    assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    assert http.patch(f"{maps(ns)}/a", "merge", {"metadata": {"finalizers": None}}).status_code == 200
    assert http("GET", f"{maps(ns)}/a").status_code == 404


def test_no_new_finalizers_while_deleting(http, ns):
    """An object that is being deleted takes no new finalizer."""
    http.create(maps(ns), {"metadata": {"name": "a", "finalizers": ["example.com/wait"]}})
    http("DELETE", f"{maps(ns)}/a")
    patch = {"metadata": {"finalizers": ["example.com/wait", "example.com/more"]}}
    assert http.patch(f"{maps(ns)}/a", "merge", patch).status_code == 422


@pytest.mark.parametrize(
    ("policy", "finalizer"),
    [pytest.param("Foreground", "foregroundDeletion", id="foreground"), pytest.param("Orphan", "orphan", id="orphan")],
)
def test_propagation_leaves_a_finalizer(http, ns, policy, finalizer):
    """Foreground and orphan deletion wait for the garbage collector by a finalizer."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    marked = http("DELETE", f"{maps(ns)}/a", {"propagationPolicy": policy}).json()
    assert marked["metadata"]["finalizers"] == [finalizer]
    assert marked["metadata"]["deletionTimestamp"]


def test_unscheduled_pod_goes_at_once(http, ns):
    """A Pod that is on no node has no grace."""
    http.create(pods(ns), pod("p"))
    assert http("DELETE", f"{pods(ns)}/p").json()["kind"] == "Pod"
    assert http("GET", f"{pods(ns)}/p").status_code == 404


def test_bound_pod_has_grace(http, ns):
    """A Pod on a node is marked with its grace, and goes when it is deleted with none."""
    bound_pod(http, ns, "p")
    marked = http("DELETE", f"{pods(ns)}/p").json()
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    shorter = http("DELETE", f"{pods(ns)}/p", {"gracePeriodSeconds": 5}).json()
    assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
    assert shorter["metadata"]["deletionTimestamp"] < marked["metadata"]["deletionTimestamp"]
    assert http("DELETE", f"{pods(ns)}/p", {"gracePeriodSeconds": 0}).status_code == 200
    assert http("GET", f"{pods(ns)}/p").status_code == 404


def test_delete_collection_by_label(http, ns):
    """A collection is deleted by selector, and the answer lists what was."""
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        http.create(maps(ns), {"metadata": {"name": name, "labels": {"l": label}}})
    answer = http("DELETE", maps(ns), None, labelSelector="l=x").json()
    assert sorted(item["metadata"]["name"] for item in answer["items"]) == ["a", "b"]
    left = http("GET", maps(ns), labelSelector="l").json()["items"]
    assert [item["metadata"]["name"] for item in left] == ["c"]


def test_dry_run_deletes_nothing(http, ns):
    """A rehearsed deletion answers and leaves the object."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    assert http("DELETE", f"{maps(ns)}/a", None, dryRun="All").status_code == 200
    assert http("GET", f"{maps(ns)}/a").status_code == 200


def test_generation_grows_with_deletion(http, ns):
    """Being deleted is a change of the desired state."""
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    body = {
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod("x")["spec"]},
        },
    }
    assert http.create(path, body)["metadata"]["generation"] == 1
    assert http("DELETE", f"{path}/d", FOREGROUND).json()["metadata"]["generation"] == 2
