"""The registry of types."""

import pytest

from controlplane.localcloud.apiserver.schema import builtin_type, builtin_types, types_from_crd


def test_every_builtin_type_has_a_schema():
    """Each kind that is served is described by a published definition."""
    assert [info.kind for info in builtin_types() if info.node.shape != "object"] == []


def test_resources_are_unique():
    """No two types claim one resource of one version."""
    names = [(info.resource, info.version) for info in builtin_types()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("api_version", "kind", "resource", "subresources"),
    [
        pytest.param("v1", "Pod", "pods", {"binding", "eviction", "log", "status"}, id="pods"),
        pytest.param("apps/v1", "Deployment", "deployments.apps", {"scale", "status"}, id="deployments"),
        pytest.param("v1", "Namespace", "namespaces", {"finalize", "status"}, id="namespaces"),
        pytest.param("v1", "ServiceAccount", "serviceaccounts", {"token"}, id="service accounts"),
    ],
)
def test_names_and_subresources(api_version, kind, resource, subresources):
    """Types know how URLs name them."""
    info = builtin_type(api_version, kind)
    assert info.resource == resource
    assert info.api_version == api_version
    assert subresources <= set(info.subresources)


def test_unknown_kinds_are_none():
    """A kind that is not served is not found."""
    assert builtin_type("v1", "Frobnicator") is None


def test_a_definition_gives_its_served_versions(make_crd):
    """Versions that are not served stay out; the stored one is marked; columns, scale and names are taken over."""
    crd = make_crd(
        {"n": {"type": "integer"}},
        subresources={
            "status": {},
            "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
        },
        additionalPrinterColumns=[{"name": "N", "type": "integer", "jsonPath": ".spec.n", "priority": 1}],
    )
    old = {**crd["spec"]["versions"][0], "name": "v1alpha1", "served": False, "storage": False}
    beta = {**crd["spec"]["versions"][0], "name": "v1beta1", "storage": False, "deprecated": True}
    crd["spec"]["versions"] += [old, beta]
    stable, second = types_from_crd(crd)
    assert (stable.version, stable.storage, stable.deprecated) == ("v1", True, False)
    assert (second.version, second.storage, second.deprecated) == ("v1beta1", False, True)
    assert stable.resource == "gpus.e.io"
    assert (stable.singular, stable.list_kind, stable.short_names, stable.categories) == (
        "gpu", "GpuList", ("g",), ("all",),
    )  # fmt: skip
    assert set(stable.subresources) == {"scale", "status"}
    assert stable.scale.replicas == ".spec.n"
    assert [(column.name, column.priority) for column in stable.printer_columns] == [("N", 1)]


def test_a_definition_without_columns_prints_the_age(make_crd):
    """The reference's fallback column."""
    (info,) = types_from_crd(make_crd())
    assert [column.name for column in info.printer_columns] == ["Age"]
