"""The arithmetic of rollouts, by example."""

import pytest

from controlplane.localcloud.controllers.revisions import same_template, template_hash
from controlplane.localcloud.controllers.rollout import fenceposts, resolve, shrink_old


def replica_set(name, replicas, available):
    meta = {"name": name, "creationTimestamp": f"2026-01-01T00:00:0{name[-1]}Z", "annotations": {}}
    return {"metadata": meta, "spec": {"replicas": replicas}, "status": {"availableReplicas": available}}


def deployment(replicas, surge="25%", unavailable="25%", kind="RollingUpdate"):
    strategy = {"type": kind, "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {"metadata": {"name": "web"}, "spec": {"replicas": replicas, "strategy": strategy}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        pytest.param(10, "25%", "25%", (3, 2), id="up-and-down"),
        pytest.param(1, "25%", "25%", (1, 0), id="one-replica"),
        pytest.param(3, 0, "25%", (0, 1), id="never-both-nothing"),
        pytest.param(4, "100%", 0, (4, 0), id="blue-green"),
        pytest.param(0, "25%", "25%", (0, 1), id="no-replicas"),
    ],
)
def test_percentages_round_as_kubernetes_rounds_them(replicas, surge, unavailable, expected):
    """Surge up, unavailability down."""
    assert fenceposts(deployment(replicas, surge, unavailable)) == expected


def test_recreate_has_no_fenceposts():
    """Recreate knows no surge."""
    assert fenceposts(deployment(4, kind="Recreate")) == (0, 0)


@pytest.mark.parametrize(("value", "up", "number"), [(3, True, 3), ("50%", True, 3), ("50%", False, 2)])
def test_int_or_percentage(value, up, number):
    """A number is itself; a percentage is a share of five here."""
    assert resolve(value, 5, round_up=up) == number


@pytest.mark.parametrize(
    ("new", "old", "sizes"),
    [
        pytest.param((1, 0), [("old-1", 4, 4)], {"old-1": 3}, id="one-may-be-missing"),
        pytest.param((2, 0), [("old-1", 3, 3)], {}, id="budget-is-used-up"),
        pytest.param((2, 2), [("old-1", 3, 3)], {"old-1": 1}, id="new-ones-are-available"),
        pytest.param((1, 0), [("old-1", 2, 2), ("old-2", 2, 0)], {"old-2": 1}, id="the-unhealthy-go-first"),
        pytest.param(
            (1, 1), [("old-1", 2, 2), ("old-2", 1, 3)], {"old-1": 1}, id="a-stale-status-counts-no-pod-that-is-gone"
        ),
    ],
)
def test_old_replica_sets_shrink_as_far_as_availability_allows(new, old, sizes):
    """Four replicas, one of them may be missing, one surplus."""
    sets = [replica_set(*entry) for entry in old]
    resized = shrink_old(deployment(4, 1, 1), replica_set("new-9", *new), sets)
    assert {r.replica_set["metadata"]["name"]: r.replicas for r in resized} == sizes


def test_the_hash_tells_templates_apart_and_spells_no_words():
    """Equal templates hash alike whatever the order of their keys; a collision counter gives another hash."""
    one = {"spec": {"a": 1, "b": 2}, "metadata": {"labels": {"x": "y"}}}
    other = {"metadata": {"labels": {"x": "y"}}, "spec": {"b": 2, "a": 1}}
    assert template_hash(one, 0) == template_hash(other, 0) != template_hash(one, 1)
    assert not set(template_hash(one, 0)) & set("aeiou013")
    labelled = {**one, "metadata": {"labels": {"x": "y", "pod-template-hash": "z"}}}
    assert same_template(one, labelled)
    assert not same_template(one, {**one, "spec": {"a": 2, "b": 2}})
