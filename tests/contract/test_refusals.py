"""Odd requests: what is refused, with which code and words."""

import pytest


def maps(ns):
    return f"/api/v1/namespaces/{ns}/configmaps"


def test_apply_must_name_its_object(http, ns):
    """An applied configuration says which object it is."""
    body = {"apiVersion": "v1", "kind": "ConfigMap"}
    status = http.patch(f"{maps(ns)}/a", "apply", body, fieldManager="x").json()
    assert (status["code"], status["reason"]) == (400, "BadRequest")
    assert "name must be provided" in status["message"]


def test_apply_must_say_its_version(http, ns):
    """An applied configuration says which version it is written in."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http.patch(f"{maps(ns)}/a", "apply", {"metadata": {"name": "a"}}, fieldManager="x").json()
    assert status["message"] == ("Incorrect version specified in apply patch. Specified patch version: , expected: v1")


def test_apply_of_an_unknown_field(http, ns):
    """A field that the schema does not know cannot be applied."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "foo": 1}
    response = http.patch(f"{maps(ns)}/a", "apply", body, fieldManager="x")
    assert response.status_code == 500
    assert ".foo: field not declared in schema" in response.json()["message"]


@pytest.mark.parametrize(
    "patch", [pytest.param({"data": {"x": 1}}, id="wrong type"), pytest.param([1], id="no object")]
)
def test_patch_into_nonsense(http, ns, patch):
    """A merge patch whose result cannot be read is 422 about the patch."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    status = http.patch(f"{maps(ns)}/a", "merge", patch).json()
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["details"]["causes"][0]["field"] == "patch"


def test_collections_of_all_namespaces_are_not_deleted(http):
    """There is no deletecollection over all namespaces."""
    assert http("DELETE", "/api/v1/configmaps").status_code == 405
    assert http("DELETE", "/api/v1/namespaces").status_code == 405


@pytest.mark.parametrize("subresource", ["binding", "eviction"])
def test_create_only_subresources(http, ns, subresource):
    """Bindings and evictions cannot be read."""
    assert http("GET", f"/api/v1/namespaces/{ns}/pods/p/{subresource}").status_code == 405


def test_two_ways_of_orphaning(http, ns):
    """The fields propagationPolicy and orphanDependents exclude each other."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    body = {"propagationPolicy": "Orphan", "orphanDependents": True}
    assert http("DELETE", f"{maps(ns)}/a", body).status_code == 422
    assert http("GET", f"{maps(ns)}/a").status_code == 200


@pytest.mark.parametrize("query", [{"limit": "x"}, {"timeoutSeconds": "x"}])
def test_numbers_must_be_numbers(http, ns, query):
    """A parameter that is no number is 400."""
    assert http.get(maps(ns), **query).status_code == 400


def test_scale_of_another_name(http, ns):
    """A Scale names its object."""
    path = f"/apis/apps/v1/namespaces/{ns}/deployments"
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    http.create(
        path, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}}
    )
    body = {"metadata": {"name": "z", "namespace": ns}, "spec": {"replicas": 3}}
    assert http("PUT", f"{path}/d/scale", body).status_code == 400


def test_cluster_wide_resource_in_a_namespace(http, ns):
    """Nodes are not found below a namespace."""
    assert http("GET", f"/api/v1/namespaces/{ns}/nodes").status_code == 404


def test_namespace_finalizers_are_not_updated(http, ns):
    """A PUT of a namespace leaves its finalizers alone."""
    body = {"metadata": {"name": ns, "labels": {"x": "y"}}, "spec": {"finalizers": []}}
    after = http("PUT", f"/api/v1/namespaces/{ns}", body).json()
    assert after["spec"]["finalizers"] == ["kubernetes"]
    assert after["metadata"]["labels"]["x"] == "y"
