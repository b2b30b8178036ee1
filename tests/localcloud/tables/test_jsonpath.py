"""The JSONPath of printer columns."""

import pytest

from controlplane.localcloud.apiserver.schema.jsonpath import is_valid
from controlplane.localcloud.apiserver.tables import find

_OBJECT = {
    "spec": {"n": 3, "names": ["a", "b", "c"], "ports": [{"name": "x", "port": 1}, {"name": "y", "port": 2}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Live", "status": "False"}]},
    "metadata": {"annotations": {"a.b/c": "v"}},
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(".spec.n", [3], id="field"),
        pytest.param("{.spec.n}", [3], id="braces"),
        pytest.param(".spec.names[1]", ["b"], id="index"),
        pytest.param(".spec.names[-1]", ["c"], id="negative index"),
        pytest.param(".spec.names[0:2]", ["a", "b"], id="slice"),
        pytest.param(".spec.ports[*].port", [1, 2], id="wildcard"),
        pytest.param('.status.conditions[?(@.type=="Ready")].status', ["True"], id="filter"),
        pytest.param(".status.conditions[?(@.type!='Ready')].status", ["False"], id="negated filter"),
        pytest.param(r".metadata.annotations.a\.b/c", ["v"], id="escaped dots"),
        pytest.param(".metadata.annotations['a.b/c']", ["v"], id="quoted key"),
        pytest.param("..port", [1, 2], id="descent"),
        pytest.param(".spec.nothing.here", [], id="what is not there"),
        pytest.param(".spec.names[9]", [], id="beyond the end"),
    ],
)
def test_find(path, expected):
    """Values are found in order; what is missing is no error."""
    assert find(path, _OBJECT) == expected


@pytest.mark.parametrize("path", [".a[", ".a b", ".a[?(x)]"])
def test_broken_expressions(path):
    """A definition with such a column is refused."""
    assert not is_valid(path)
    assert find(path, _OBJECT) == []
