"""OpenAPI documents as kubectl uses them."""

import pytest

from controlplane.localcloud.apiserver.schema import (
    builtin_types,
    openapi_v3_document,
    openapi_v3_index,
    types_from_crd,
)


def _references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"].rsplit("/", 1)[-1]
        for child in value.values():
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)


def test_the_index_has_every_group_version(make_crd):
    """A path with a hash for each, custom groups included; another schema gives another hash."""
    before = openapi_v3_index([*builtin_types(), *types_from_crd(make_crd({"a": {"type": "string"}}))])["paths"]
    after = openapi_v3_index([*builtin_types(), *types_from_crd(make_crd({"b": {"type": "string"}}))])["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/e.io/v1"} <= set(before)
    assert before["apis/apps/v1"] == after["apis/apps/v1"]
    assert before["apis/e.io/v1"] != after["apis/e.io/v1"]


@pytest.mark.parametrize(("group", "version"), sorted({(info.group, info.version) for info in builtin_types()}))
def test_every_reference_of_a_document_leads_somewhere(group, version):
    """Documents are complete in themselves."""
    document = openapi_v3_document(group, version, builtin_types())
    assert set(_references(document)) <= set(document["components"]["schemas"])


def test_patch_says_that_the_server_validates():
    """Kubectl leaves validation to servers whose PATCH knows fieldValidation."""
    document = openapi_v3_document("apps", "v1", builtin_types())
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]


def test_schemas_keep_what_merging_needs():
    """Merge keys and list keys are there for clients that compute patches."""
    schemas = openapi_v3_document("", "v1", builtin_types())["components"]["schemas"]
    containers = schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["type"] == "array"


def test_custom_resources_are_described(make_crd):
    """Their schema is published with the metadata that every object has, and without strategic merge."""
    document = openapi_v3_document("e.io", "v1", types_from_crd(make_crd({"a": {"type": "string"}})))
    schema = document["components"]["schemas"]["io.e.v1.Gpu"]
    assert schema["x-kubernetes-group-version-kind"] == [{"group": "e.io", "kind": "Gpu", "version": "v1"}]
    assert schema["properties"]["spec"]["properties"] == {"a": {"type": "string"}}
    patch = document["paths"]["/apis/e.io/v1/namespaces/{namespace}/gpus/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" not in patch["requestBody"]["content"]
