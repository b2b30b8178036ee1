"""Merge patch and strategic merge patch."""

import copy

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.patch import merge_patch, strategic_merge_patch


def _pod_spec(**spec):
    return {"spec": {"template": {"spec": spec}}}


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param({"a": None}, {"b": {"c": 1, "d": [1, 2]}}, id="null deletes"),
        pytest.param({"b": {"c": 2}}, {"a": 1, "b": {"c": 2, "d": [1, 2]}}, id="objects merge"),
        pytest.param({"b": {"d": [3]}}, {"a": 1, "b": {"c": 1, "d": [3]}}, id="lists are replaced"),
        pytest.param(
            {"a": {"x": {"y": None, "z": 1}}}, {"a": {"x": {"z": 1}}, "b": {"c": 1, "d": [1, 2]}}, id="nested"
        ),
        pytest.param([1], [1], id="not an object"),
    ],
)
def test_merge_patch(patch, expected):
    """RFC 7386, without changing the original."""
    original = {"a": 1, "b": {"c": 1, "d": [1, 2]}}
    before = copy.deepcopy(original)
    assert merge_patch(original, patch) == expected
    assert original == before


_CONTAINERS = [{"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]}, {"name": "b", "image": "b:1"}]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        pytest.param(
            {"containers": [{"name": "b", "image": "b:2"}]},
            [_CONTAINERS[0], {"name": "b", "image": "b:2"}],
            id="an item is found by its key",
        ),
        pytest.param(
            {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]},
            [{**_CONTAINERS[0], "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}, _CONTAINERS[1]],
            id="lists in items merge too",
        ),
        pytest.param({"containers": [{"name": "a", "$patch": "delete"}]}, [_CONTAINERS[1]], id="delete an item"),
        pytest.param(
            {"containers": [{"$patch": "replace"}, {"name": "z", "image": "z"}]},
            [{"name": "z", "image": "z"}],
            id="replace the list",
        ),
        pytest.param(
            {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]},
            [_CONTAINERS[1], _CONTAINERS[0]],
            id="order the list",
        ),
        pytest.param(
            {
                "$setElementOrder/containers": [{"name": "n"}, {"name": "a"}, {"name": "b"}],
                "containers": [{"name": "n", "image": "n"}],
            },
            [{"name": "n", "image": "n"}, *_CONTAINERS],
            id="a new item in front",
        ),
        pytest.param({"containers": [{"name": "a", "image": None}]}, [
            {"name": "a", "env": [{"name": "X", "value": "1"}]}, _CONTAINERS[1],
        ], id="null deletes in items"),
    ],
)  # fmt: skip
def test_strategic_lists(deployment_type, patch, expected):
    """Lists with a merge key are merged by it."""
    live = _pod_spec(containers=_CONTAINERS)
    patched = strategic_merge_patch(deployment_type, live, _pod_spec(**patch))
    assert patched["spec"]["template"]["spec"]["containers"] == expected
    assert live == _pod_spec(containers=_CONTAINERS)


def test_retain_keys_drop_the_other_members_of_a_union(deployment_type):
    """A volume's source is exchanged, not added."""
    live = _pod_spec(volumes=[{"name": "v", "emptyDir": {}}])
    patch = _pod_spec(volumes=[{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "x"}}])
    patched = strategic_merge_patch(deployment_type, live, patch)
    assert patched == _pod_spec(volumes=[{"name": "v", "configMap": {"name": "x"}}])


def test_primitive_lists_are_sets(config_map_type):
    """Finalizers are added, and taken away by directive."""
    live = {"metadata": {"finalizers": ["a/b", "c/d"]}}
    added = strategic_merge_patch(config_map_type, live, {"metadata": {"finalizers": ["e/f", "a/b"]}})
    assert added["metadata"]["finalizers"] == ["a/b", "c/d", "e/f"]
    removed = strategic_merge_patch(
        config_map_type, live, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}}
    )
    assert removed["metadata"]["finalizers"] == ["c/d"]


def test_map_directives(config_map_type):
    """`$patch` replaces or deletes a map."""
    live = {"data": {"a": "1"}, "metadata": {"labels": {"x": "y"}}}
    assert strategic_merge_patch(config_map_type, live, {"data": {"$patch": "replace", "b": "2"}})["data"] == {"b": "2"}
    assert "data" not in strategic_merge_patch(config_map_type, live, {"data": {"$patch": "delete"}})


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        pytest.param(
            _pod_spec(containers=[{"image": "x"}]),
            "map: map[image:x] does not contain declared merge key: name",
            id="item without its key",
        ),
        pytest.param({"spec": {"$patch": "x"}}, "unknown patch type: x in map: map[$patch:x]", id="unknown directive"),
    ],
)
def test_malformed_strategic_patches(deployment_type, patch, message):
    """A patch that makes no sense is told as the reference tells it."""
    with pytest.raises(ApiError) as refused:
        strategic_merge_patch(deployment_type, _pod_spec(containers=_CONTAINERS), patch)
    assert (refused.value.code, refused.value.message) == (500, message)
