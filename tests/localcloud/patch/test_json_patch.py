"""JSON patch."""

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.patch import json_patch


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        pytest.param([{"op": "add", "path": "/b", "value": 2}], {"a": [1, 2], "b": 2}, id="add a key"),
        pytest.param([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3]}, id="append"),
        pytest.param([{"op": "add", "path": "/a/0", "value": 0}], {"a": [0, 1, 2]}, id="insert"),
        pytest.param([{"op": "remove", "path": "/a/0"}], {"a": [2]}, id="remove an element"),
        pytest.param([{"op": "replace", "path": "/a", "value": "x"}], {"a": "x"}, id="replace"),
        pytest.param([{"op": "move", "from": "/a", "path": "/c"}], {"c": [1, 2]}, id="move"),
        pytest.param([{"op": "copy", "from": "/a/1", "path": "/c"}], {"a": [1, 2], "c": 2}, id="copy"),
        pytest.param([{"op": "add", "path": "/x~1y", "value": 1}], {"a": [1, 2], "x/y": 1}, id="escaped slash"),
        pytest.param([{"op": "add", "path": "/x~0y", "value": 1}], {"a": [1, 2], "x~y": 1}, id="escaped tilde"),
        pytest.param([{"op": "test", "path": "/a/1", "value": 2}], {"a": [1, 2]}, id="test that holds"),
        pytest.param([{"op": "test", "path": "/no", "value": None}], {"a": [1, 2]}, id="test of what is not there"),
        pytest.param([{"op": "replace", "path": "", "value": {}}], {}, id="replace the whole"),
    ],
)
def test_operations(operations, expected):
    """Operations do what RFC 6902 says, and leave the original alone."""
    original = {"a": [1, 2]}
    assert json_patch(original, operations) == expected
    assert original == {"a": [1, 2]}


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param({"op": "test", "path": "/a", "value": 2}, id="test fails"),
        pytest.param({"op": "test", "path": "/a", "value": True}, id="true is not one"),
        pytest.param({"op": "remove", "path": "/zz"}, id="remove what is not there"),
        pytest.param({"op": "replace", "path": "/zz", "value": 1}, id="replace what is not there"),
        pytest.param({"op": "add", "path": "/x/y", "value": 1}, id="add below what is not there"),
        pytest.param({"op": "add", "path": "/l/7", "value": 1}, id="insert beyond the end"),
        pytest.param({"op": "remove", "path": "/l/x"}, id="a word as index"),
        pytest.param({"op": "frobnicate", "path": "/a"}, id="unknown operation"),
        pytest.param({"op": "add", "path": "/a"}, id="no value"),
        pytest.param({"op": "add", "value": 1}, id="no path"),
        pytest.param({"op": "move", "path": "/a"}, id="no from"),
        pytest.param({"op": "remove", "path": "a"}, id="pointer without a slash"),
        pytest.param("x", id="no object"),
    ],
)
def test_a_patch_that_does_not_apply_is_unprocessable(operation):
    """What does not apply is 422 with the reference's text."""
    with pytest.raises(ApiError) as refused:
        json_patch({"a": 1, "l": [1]}, [operation])
    assert refused.value.code == 422
    assert refused.value.message == "the server rejected our request due to an error in our request"


def test_a_patch_that_is_no_list_is_a_bad_request():
    """A patch that cannot be decoded is 400."""
    with pytest.raises(ApiError, match=r"cannot unmarshal object into Go value of type jsonpatch.Patch") as refused:
        json_patch({}, {"op": "add"})
    assert refused.value.code == 400


def test_too_many_operations_are_refused():
    """More than ten thousand operations are too large a request."""
    with pytest.raises(ApiError) as refused:
        json_patch({}, [{"op": "add", "path": "/a", "value": 1}] * 10_001)
    assert refused.value.code == 413
