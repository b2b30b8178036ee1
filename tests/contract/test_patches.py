"""The four kinds of patch, and what they have in common."""

import pytest


def maps(ns):
    return f"/api/v1/namespaces/{ns}/configmaps"


def deployments(ns):
    return f"/apis/apps/v1/namespaces/{ns}/deployments"


def deployment(name="d", **spec):
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "one"}, {"name": "side", "image": "two"}]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec},
    }


def applied(name="a", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_merge_patch_deletes_with_null(http, ns):
    """In a merge patch null removes a key."""
    http.create(maps(ns), {"metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}})
    after = http.patch(f"{maps(ns)}/a", "merge", {"data": {"x": None, "z": "3"}}).json()
    assert after["data"] == {"y": "2", "z": "3"}


def test_merge_patch_replaces_lists(http, ns):
    """A merge patch replaces a list as a whole."""
    http.create(deployments(ns), deployment())
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "new"}]}}}}
    after = http.patch(f"{deployments(ns)}/d", "merge", patch).json()
    assert [one["name"] for one in after["spec"]["template"]["spec"]["containers"]] == ["c"]


def test_strategic_patch_merges_lists_by_key(http, ns):
    """A strategic merge patch finds containers by name."""
    http.create(deployments(ns), deployment())
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "new"}]}}}}
    after = http.patch(f"{deployments(ns)}/d", "strategic", patch).json()
    images = {one["name"]: one["image"] for one in after["spec"]["template"]["spec"]["containers"]}
    assert images == {"c": "new", "side": "two"}


def test_strategic_patch_deletes_an_item(http, ns):
    """$patch: delete removes one item of a keyed list."""
    http.create(deployments(ns), deployment())
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "side", "$patch": "delete"}]}}}}
    after = http.patch(f"{deployments(ns)}/d", "strategic", patch).json()
    assert [one["name"] for one in after["spec"]["template"]["spec"]["containers"]] == ["c"]


def test_json_patch(http, ns):
    """A JSON patch is a list of operations."""
    http.create(maps(ns), {"metadata": {"name": "a"}, "data": {"x": "1"}})
    patch = [{"op": "test", "path": "/data/x", "value": "1"}, {"op": "replace", "path": "/data/x", "value": "2"}]
    assert http.patch(f"{maps(ns)}/a", "json", patch).json()["data"] == {"x": "2"}


def test_json_patch_whose_test_fails(http, ns):
    """A test operation that fails changes nothing and is 422."""
    http.create(maps(ns), {"metadata": {"name": "a"}, "data": {"x": "1"}})
    patch = [{"op": "test", "path": "/data/x", "value": "9"}, {"op": "replace", "path": "/data/x", "value": "2"}]
    assert http.patch(f"{maps(ns)}/a", "json", patch).status_code == 422
    assert http("GET", f"{maps(ns)}/a").json()["data"] == {"x": "1"}


def test_plain_json_is_no_patch(http, ns):
    """A PATCH with application/json is 415."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    response = http("PATCH", f"{maps(ns)}/a", {"data": {}})
    assert (response.status_code, response.json()["reason"]) == (415, "UnsupportedMediaType")


def test_patch_with_stale_version(http, ns):
    """A resourceVersion in a patch is a precondition."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}})
    http.patch(f"{maps(ns)}/a", "merge", {"data": {"x": "1"}})
    patch = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"x": "2"}}
    assert http.patch(f"{maps(ns)}/a", "merge", patch).status_code == 409


def test_patch_missing(http, ns):
    """Patching what does not exist is 404."""
    assert http.patch(f"{maps(ns)}/nope", "merge", {}).status_code == 404


def test_patch_cannot_rename(http, ns):
    """The name cannot be patched."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    assert http.patch(f"{maps(ns)}/a", "merge", {"metadata": {"name": "b"}}).status_code == 400


def test_patch_that_changes_nothing(http, ns):
    """An empty patch makes no new version."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}})
    after = http.patch(f"{maps(ns)}/a", "merge", {}).json()
    assert after["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


@pytest.mark.parametrize(
    ("patch", "generation"),
    [
        pytest.param({"spec": {"replicas": 7}}, 2, id="spec"),
        pytest.param({"metadata": {"labels": {"x": "y"}}}, 1, id="metadata"),
        pytest.param({"status": {"replicas": 7}}, 1, id="status"),
    ],
)
def test_generation_counts_desired_state(http, ns, patch, generation):
    """Only a change of the spec raises the generation."""
    http.create(deployments(ns), deployment())
    assert http.patch(f"{deployments(ns)}/d", "merge", patch).json()["metadata"]["generation"] == generation


def test_selector_is_immutable(http, ns):
    """A Deployment's selector cannot change."""
    http.create(deployments(ns), deployment())
    patch = {
        "spec": {"selector": {"matchLabels": {"a": "c"}}, "template": {"metadata": {"labels": {"a": "c"}}}},
    }
    status = http.patch(f"{deployments(ns)}/d", "merge", patch).json()
    assert status["code"] == 422
    assert "field is immutable" in status["message"]


def test_apply_creates(http, ns):
    """An apply to a missing name creates, with managedFields of the manager."""
    response = http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one")
    assert response.status_code == 201
    entry = response.json()["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("one", "Apply", "v1")
    assert entry["fieldsV1"]["f:data"]["f:x"] == {}


def test_apply_again_changes_nothing(http, ns):
    """The same apply again makes no new version."""
    first = http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one").json()
    second = http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one").json()
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_apply_removes_what_is_no_longer_applied(http, ns):
    """A field that the manager applied before and leaves out now goes."""
    http.patch(f"{maps(ns)}/a", "apply", applied(x="1", y="2"), fieldManager="one")
    after = http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one").json()
    assert after["data"] == {"x": "1"}


def test_apply_conflict(http, ns):
    """Another manager's field is a conflict, told in details."""
    http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one")
    status = http.patch(f"{maps(ns)}/a", "apply", applied(x="2"), fieldManager="two").json()
    assert (status["code"], status["reason"]) == (409, "Conflict")
    assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.x'
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.x"}
    ]


def test_apply_forced(http, ns):
    """With force the field changes hands."""
    http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one")
    after = http.patch(f"{maps(ns)}/a", "apply", applied(x="2"), fieldManager="two", force="true").json()
    assert after["data"] == {"x": "2"}
    owners = {
        entry["manager"]: "f:x" in entry["fieldsV1"].get("f:data", {}) for entry in after["metadata"]["managedFields"]
    }
    assert owners.get("two") is True
    assert not owners.get("one")


def test_apply_shares_equal_values(http, ns):
    """Two managers that apply the same value own it both; it stays while one of them does."""
    http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one")
    assert http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="two").status_code == 200
    after = http.patch(f"{maps(ns)}/a", "apply", applied(), fieldManager="one").json()
    assert after["data"] == {"x": "1"}


def test_update_takes_fields_from_an_applier(http, ns):
    """A merge patch of an applied field makes its next apply conflict."""
    http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one")
    http.patch(f"{maps(ns)}/a", "merge", {"data": {"x": "5"}}, fieldManager="hand")
    status = http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one").json()
    assert status["code"] == 409
    assert 'conflict with "hand" using v1: .data.x' in status["message"]


def test_apply_merges_containers_by_name(http, ns):
    """Two managers can apply a container each."""
    one = deployment()
    one["spec"]["template"]["spec"]["containers"] = [{"name": "c", "image": "one"}]
    two = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": {"containers": [{"name": "extra", "image": "two"}]}}},
    }
    assert http.patch(f"{deployments(ns)}/d", "apply", one, fieldManager="one").status_code == 201
    after = http.patch(f"{deployments(ns)}/d", "apply", two, fieldManager="two").json()
    assert {c["name"] for c in after["spec"]["template"]["spec"]["containers"]} == {"c", "extra"}


def test_apply_needs_a_manager(http, ns):
    """An apply without a field manager is 422."""
    status = http.patch(f"{maps(ns)}/a", "apply", applied(x="1")).json()
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert "fieldManager: Required value: is required for apply patch" in status["message"]


def test_apply_with_managed_fields_is_refused(http, ns):
    """An applied configuration holds no managedFields."""
    http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one")
    body = applied(x="1")
    body["metadata"]["managedFields"] = [{"manager": "x", "operation": "Apply", "apiVersion": "v1"}]
    assert http.patch(f"{maps(ns)}/a", "apply", body, fieldManager="one").status_code == 400


def test_apply_dry_run(http, ns):
    """A rehearsed apply stores nothing."""
    assert http.patch(f"{maps(ns)}/a", "apply", applied(x="1"), fieldManager="one", dryRun="All").status_code == 201
    assert http("GET", f"{maps(ns)}/a").status_code == 404


def test_apply_accepts_yaml(http, ns):
    """An apply's body may be YAML."""
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: '1'\n"
    response = http.patch(f"{maps(ns)}/a", "apply", body, fieldManager="one")
    assert response.json()["data"] == {"x": "1"}
