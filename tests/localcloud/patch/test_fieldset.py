"""The algebra of field sets, held to sets of paths."""

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.localcloud.apiserver.patch.fieldset import difference, insert, intersection, path_text, paths, union

_PATHS = st.sets(st.lists(st.sampled_from(["f:a", "f:b", 'k:{"n":1}']), min_size=1, max_size=4).map(tuple), max_size=8)


def _set_of(members):
    result = {}
    for path in members:
        insert(result, path)
    return result


@settings(max_examples=200, deadline=None)
@given(_PATHS, _PATHS)
def test_operations_are_those_of_sets(left, right):
    """Union, intersection and difference agree with Python's on the paths."""
    one, two = _set_of(left), _set_of(right)
    assert set(paths(one)) == left
    assert set(paths(union(one, two))) == left | right
    assert set(paths(intersection(one, two))) == left & right
    assert set(paths(difference(one, two))) == left - right
    assert (set(paths(one)), set(paths(two))) == (left, right)


def test_paths_read_as_conflicts_name_them():
    """Fields with dots, items with their keys, elements of sets with their value."""
    path = ("f:spec", "f:ports", 'k:{"containerPort":80,"protocol":"TCP"}', "f:name")
    assert path_text(path) == '.spec.ports[containerPort=80,protocol="TCP"].name'
    assert path_text(("f:metadata", "f:finalizers", 'v:"a/b"')) == '.metadata.finalizers[="a/b"]'
