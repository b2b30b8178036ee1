"""Server-side apply where the recordings do not reach: newer behaviour, untracked objects, subresources, errors."""

import copy
import json

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.patch import server_side_apply, track_update
from controlplane.localcloud.apiserver.schema import apply_defaults, types_from_crd

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def _deployment(**spec):
    container = {"name": "c", "image": "nginx:1"}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
    }


def test_a_conflict_names_manager_and_field(deployment_type, now):
    """The 409 has the reference's text and one cause for each field."""
    live = server_side_apply(deployment_type, None, _deployment(replicas=1), "a", False, now)
    scaled = copy.deepcopy(live)
    scaled["spec"]["replicas"] = 5
    track_update(deployment_type, live, scaled, "kubectl", "Update", now)
    with pytest.raises(ApiError) as refused:
        server_side_apply(deployment_type, scaled, _deployment(replicas=2), "a", False, now)
    text = 'Apply failed with 1 conflict: conflict with "kubectl" using apps/v1: .spec.replicas'
    assert (refused.value.code, refused.value.reason, refused.value.message) == (409, "Conflict", text)
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "kubectl" using apps/v1',
        "field": ".spec.replicas",
    }
    assert refused.value.details == {"causes": [cause]}


def test_several_conflicts_are_grouped_by_manager(config_map_type, make_config_map, now):
    """Each manager is named once, its fields below."""
    live = server_side_apply(config_map_type, None, make_config_map({"a": "1", "b": "1"}), "m", False, now)
    with pytest.raises(ApiError) as refused:
        server_side_apply(config_map_type, live, make_config_map({"a": "2", "b": "2"}), "n", False, now)
    assert refused.value.message == 'Apply failed with 2 conflicts: conflicts with "m":\n- .data.a\n- .data.b'


def test_force_takes_the_fields(config_map_type, make_config_map, now, owned):
    """Forced fields change their owner."""
    live = server_side_apply(config_map_type, None, make_config_map({"a": "1", "b": "1"}), "m", False, now)
    forced = server_side_apply(config_map_type, live, make_config_map({"a": "2"}), "n", True, now)
    assert forced["data"] == {"a": "2", "b": "1"}
    assert owned(forced) == {"m/Apply": {"f:data": {"f:b": {}}}, "n/Apply": {"f:data": {"f:a": {}}}}


def test_an_apply_that_changes_nothing_gives_back_the_live_object(deployment_type, now):
    """Times do not move, so that nothing is stored."""
    live = server_side_apply(deployment_type, None, _deployment(), "a", False, now)
    apply_defaults(deployment_type, live)
    later = now.replace(hour=5)
    assert server_side_apply(deployment_type, live, _deployment(), "a", False, later) == live


def test_quantities_are_compared_by_value(deployment_type, now):
    """0.5 and 500m are the same, whatever was written."""
    body = _deployment()
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "0.5", "nvidia.com/gpu": 1}}
    live = server_side_apply(deployment_type, None, body, "a", False, now)
    other = copy.deepcopy(body)
    other["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "500m"}}
    applied = server_side_apply(deployment_type, live, other, "b", False, now)
    limits = applied["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "500m", "nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"foo": 1}, ".spec.foo: field not declared in schema", id="unknown field"),
        pytest.param(
            {"replicas": "x"},
            ".spec.replicas: expected numeric (int or float), got *value.valueUnstructured",
            id="wrong type",
        ),
        pytest.param(
            {"template": {"spec": {"containers": [{"name": "c"}, {"name": "c"}]}}},
            '.spec.template.spec.containers: duplicate entries for key [name="c"]',
            id="the same item twice",
        ),
    ],
)
def test_a_configuration_that_does_not_fit_the_schema(deployment_type, now, change, problem):
    """The text is the reference's, the code its unexplained 500."""
    with pytest.raises(ApiError) as refused:
        server_side_apply(deployment_type, None, _deployment(**change), "a", False, now)
    prefix = "failed to create typed patch object (default/d; apps/v1, Kind=Deployment): "
    assert (refused.value.code, refused.value.message) == (500, prefix + problem)


def test_managed_fields_may_not_be_applied(config_map_type, make_config_map, now):
    """Ownership is the server's to write."""
    with pytest.raises(ApiError, match=r"metadata.managedFields must be nil"):
        server_side_apply(config_map_type, None, make_config_map({}, managedFields=[{"manager": "x"}]), "m", False, now)


def test_an_object_that_was_never_followed_belongs_to_before_first_apply(config_map_type, make_config_map, now):
    """A different value conflicts; the same value is shared, and nothing of it is removed later."""
    live = make_config_map({"a": "1", "b": "1"})
    with pytest.raises(ApiError, match=r'conflict with "before-first-apply" using v1: .data.a'):
        server_side_apply(config_map_type, live, make_config_map({"a": "2"}), "m", False, now)
    shared = server_side_apply(config_map_type, live, make_config_map({"a": "1"}), "m", False, now)
    dropped = server_side_apply(config_map_type, shared, make_config_map(), "m", False, now)
    assert dropped["data"] == {"a": "1", "b": "1"}


def test_kubectl_takes_over_its_own_client_side_apply(config_map_type, make_config_map, now):
    """Fields of the last-applied annotation can be changed and removed without a conflict."""
    before = make_config_map({"a": "1", "b": "1"})
    live = make_config_map({"a": "1", "b": "1"}, annotations={LAST_APPLIED: json.dumps(before)})
    applied = server_side_apply(config_map_type, live, make_config_map({"a": "2"}), "kubectl", False, now)
    assert applied["data"] == {"a": "2"}
    annotation = json.loads(applied["metadata"]["annotations"][LAST_APPLIED])
    assert annotation["data"] == {"a": "2"}


def test_another_manager_conflicts_with_client_side_apply(config_map_type, make_config_map, now):
    """The fields of the annotation belong to kubectl's client-side apply."""
    before = make_config_map({"a": "1"})
    live = make_config_map({"a": "1"}, annotations={LAST_APPLIED: json.dumps(before)})
    with pytest.raises(ApiError, match=r'conflict with "kubectl-client-side-apply" using v1: .data.a'):
        server_side_apply(config_map_type, live, make_config_map({"a": "2"}), "m", False, now)


def test_status_has_managers_of_its_own(deployment_type, now, owned):
    """An apply to status owns status alone, one to the object never does."""
    live = server_side_apply(deployment_type, None, {**_deployment(), "status": {"replicas": 7}}, "a", False, now)
    assert "status" not in live
    body = {**_deployment(replicas=9), "status": {"replicas": 2}}
    applied = server_side_apply(deployment_type, live, body, "s", False, now, "status")
    assert applied["status"] == {"replicas": 2}
    assert "replicas" not in applied["spec"]
    assert owned(applied)["s/Apply"] == {"f:status": {"f:replicas": {}}}
    assert [entry.get("subresource") for entry in applied["metadata"]["managedFields"]] == [None, "status"]


def test_custom_resources_merge_by_their_schema(now, owned):
    """Lists of type map merge by key, lists without a type are replaced."""
    item = {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": {"type": "string"}}}
    spec = {
        "type": "object",
        "properties": {
            "keyed": {
                "type": "array",
                "items": item,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
            },
            "plain": {"type": "array", "items": {"type": "string"}},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
    }
    crd = {
        "spec": {
            "group": "e.io",
            "scope": "Cluster",
            "names": {"kind": "Gpu", "plural": "gpus"},
            "versions": [version],
        }
    }
    (info,) = types_from_crd(crd)

    def gpu(**spec):
        return {"apiVersion": "e.io/v1", "kind": "Gpu", "metadata": {"name": "g"}, "spec": spec}

    live = server_side_apply(info, None, gpu(keyed=[{"k": "a", "v": "1"}], plain=["x"]), "m", False, now)
    applied = server_side_apply(info, live, gpu(keyed=[{"k": "b", "v": "2"}]), "n", False, now)
    assert applied["spec"]["keyed"] == [{"k": "a", "v": "1"}, {"k": "b", "v": "2"}]
    with pytest.raises(ApiError, match=r'conflict with "m": .spec.plain'):
        server_side_apply(info, applied, gpu(plain=["y"]), "n", False, now)
    assert owned(applied)["n/Apply"] == {"f:spec": {"f:keyed": {'k:{"k":"b"}': {".": {}, "f:k": {}, "f:v": {}}}}}
