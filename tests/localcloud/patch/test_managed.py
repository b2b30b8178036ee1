"""managedFields of ordinary writes."""

import copy

from controlplane.localcloud.apiserver.patch import server_side_apply, track_update


def test_objects_without_an_apply_are_not_followed(config_map_type, make_config_map, now):
    """Most objects never get managedFields."""
    new = make_config_map({"a": "2"})
    track_update(config_map_type, make_config_map({"a": "1"}), new, "m", "Update", now)
    assert "managedFields" not in new["metadata"]


def test_a_write_takes_what_it_changes_and_removes_what_it_drops(config_map_type, make_config_map, now, owned):
    """Changed fields move to the writer, removed ones belong to nobody."""
    live = server_side_apply(config_map_type, None, make_config_map({"a": "1", "b": "1", "c": "1"}), "m", False, now)
    new = copy.deepcopy(live)
    new["data"] = {"a": "2", "b": "1", "d": "1"}
    track_update(config_map_type, live, new, "w", "Update", now)
    assert owned(new) == {"m/Apply": {"f:data": {"f:b": {}}}, "w/Update": {"f:data": {"f:a": {}, "f:d": {}}}}


def test_an_empty_entry_clears_the_fields(config_map_type, make_config_map, now):
    """`[{}]` is the way to forget all owners."""
    live = server_side_apply(config_map_type, None, make_config_map({"a": "1"}), "m", False, now)
    new = make_config_map({"a": "1"}, managedFields=[{}])
    track_update(config_map_type, live, new, "w", "Update", now)
    assert "managedFields" not in new["metadata"]


def test_a_put_without_managed_fields_keeps_them(config_map_type, make_config_map, now, owned):
    """A client that does not know them cannot lose them."""
    live = server_side_apply(config_map_type, None, make_config_map({"a": "1"}), "m", False, now)
    new = make_config_map({"a": "1"})
    track_update(config_map_type, live, new, "w", "Update", now)
    assert owned(new) == owned(live)


def test_a_status_write_owns_status_only(deployment_type, now, owned):
    """What the status endpoint cannot write it does not own."""
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "default"},
        "spec": {"replicas": 1},
    }
    live = server_side_apply(deployment_type, None, body, "m", False, now)
    new = {**copy.deepcopy(live), "status": {"readyReplicas": 1}}
    track_update(deployment_type, live, new, "controller", "Update", now, "status")
    assert owned(new)["controller/Update"] == {"f:status": {"f:readyReplicas": {}, ".": {}}}


def test_old_updaters_are_gathered(config_map_type, make_config_map, now, owned):
    """No more than ten updaters are remembered by name."""
    live = server_side_apply(config_map_type, None, make_config_map({"a": "1"}), "m", False, now)
    for number in range(12):
        new = copy.deepcopy(live)
        new["data"][f"k{number}"] = "1"
        track_update(config_map_type, live, new, f"w{number:02}", "Update", now.replace(minute=number))
        live = new
    names = set(owned(live))
    assert len(names) == 11
    assert "ancient-changes/Update" in names
