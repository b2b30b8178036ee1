"""Watches: what they begin with, what they tell, how they end."""


def maps(ns):
    return f"/api/v1/namespaces/{ns}/configmaps"


def told(events):
    return [(event["type"], event["object"]["metadata"].get("name")) for event in events]


def version(http, ns):
    return http.get(maps(ns)).json()["metadata"]["resourceVersion"]


def test_watch_from_a_version(http, ns):
    """A watch from a version tells every change since, in order."""
    rv = version(http, ns)
    http.create(maps(ns), {"metadata": {"name": "a"}})
    http.patch(f"{maps(ns)}/a", "merge", {"data": {"x": "1"}})
    http("DELETE", f"{maps(ns)}/a")
    events = http.watch(maps(ns), resourceVersion=rv)
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert events[0]["object"]["kind"] == "ConfigMap"


def test_watch_without_a_version(http, ns):
    """A watch without a version begins with what is there."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    assert ("ADDED", "a") in told(http.watch(maps(ns)))


def test_watch_one_object(http, ns):
    """A watch of one name is a field selector."""
    rv = version(http, ns)
    http.create(maps(ns), {"metadata": {"name": "a"}})
    http.create(maps(ns), {"metadata": {"name": "b"}})
    selected = http.watch(maps(ns), resourceVersion=rv, fieldSelector="metadata.name=b")
    assert told(selected) == [("ADDED", "b")]


def test_watch_with_labels(http, ns):
    """An object that comes to match is ADDED, one that stops matching is DELETED."""
    http.create(maps(ns), {"metadata": {"name": "a"}})
    rv = version(http, ns)
    http.patch(f"{maps(ns)}/a", "merge", {"metadata": {"labels": {"l": "x"}}})
    http.patch(f"{maps(ns)}/a", "merge", {"data": {"k": "v"}})
    http.patch(f"{maps(ns)}/a", "merge", {"metadata": {"labels": {"l": "y"}}})
    http.patch(f"{maps(ns)}/a", "merge", {"data": {"k": "w"}})
    events = http.watch(maps(ns), resourceVersion=rv, labelSelector="l=x")
    assert told(events) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


def test_watch_as_table(http, ns):
    """A watch can tell Tables of one row."""
    rv = version(http, ns)
    http.create(maps(ns), {"metadata": {"name": "a"}})
    http.create(maps(ns), {"metadata": {"name": "b"}})
    events = http.watch(maps(ns), resourceVersion=rv, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    assert [event["object"]["rows"][0]["cells"][0] for event in events] == ["a", "b"]
    assert events[0]["object"]["columnDefinitions"]
    assert not events[1]["object"]["columnDefinitions"]


def test_watch_of_all_namespaces(http, ns):
    """A watch without a namespace tells of all."""
    rv = version(http, ns)
    http.create(maps(ns), {"metadata": {"name": "everywhere"}})
    assert ("ADDED", "everywhere") in told(http.watch("/api/v1/configmaps", resourceVersion=rv))


def test_watch_by_path(http, ns):
    """The old /watch/ paths still work."""
    rv = version(http, ns)
    http.create(maps(ns), {"metadata": {"name": "a"}})
    path = f"/api/v1/watch/namespaces/{ns}/configmaps"
    assert ("ADDED", "a") in told(http.watch(path, resourceVersion=rv))


def test_watch_list(http, ns, since):
    """With sendInitialEvents a watch gives what is there and then a bookmark that marks the end."""
    since(1, 32)
    http.create(maps(ns), {"metadata": {"name": "a"}})
    query = {
        "sendInitialEvents": "true",
        "allowWatchBookmarks": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
    events = http.watch(maps(ns), **query)
    assert told(events)[0] == ("ADDED", "a")
    end = events[1]
    assert end["type"] == "BOOKMARK"
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert end["object"]["metadata"]["resourceVersion"].isdigit()


def test_watch_list_needs_bookmarks(http, ns, since):
    """A watch with sendInitialEvents and without bookmarks is 422."""
    since(1, 32)
    events = http.watch(maps(ns), sendInitialEvents="true", resourceVersionMatch="NotOlderThan")
    assert events[0]["code"] == 422


def test_deleted_event_has_a_newer_version(http, ns):
    """The DELETED event carries the version of the deletion, so that a watch can go on from it."""
    made = http.create(maps(ns), {"metadata": {"name": "a"}})
    http("DELETE", f"{maps(ns)}/a")
    event = http.watch(maps(ns), resourceVersion=made["metadata"]["resourceVersion"])[0]
    assert event["type"] == "DELETED"
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
    assert http.watch(maps(ns), resourceVersion=event["object"]["metadata"]["resourceVersion"]) == []


def test_a_watch_ends_with_a_bookmark(http, ns, since):
    """Shortly before its end a quiet watch says how far it is, so that the next one goes on from there."""
    since(1, 27)
    path = f"/api/v1/namespaces/{ns}/configmaps"
    version = http("GET", path).json()["metadata"]["resourceVersion"]
    http.create(path, {"metadata": {"name": "other"}})
    wanted = {"fieldSelector": "metadata.name=none", "resourceVersion": version}
    events = http.watch(path, seconds=5, allowWatchBookmarks="true", **wanted)
    assert [event["type"] for event in events][-1:] == ["BOOKMARK"]
