"""Events: counted, kept apart, combined, expired."""

import pytest

from controlplane.localcloud.controllers.events import EventRecorder


@pytest.fixture
def pod():
    """Give a Pod to speak of."""
    meta = {"name": "p", "namespace": "default", "uid": "u-1", "resourceVersion": "7"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta}


def test_the_same_event_again_raises_its_count(scenario, pod):
    """One Event with a count and two timestamps, not many Events."""

    async def story(cluster):
        recorder = EventRecorder(cluster.api, cluster.clock, "scheduler")
        recorder.record(pod, "Warning", "FailedScheduling", "no node")
        await cluster.pass_time(60)
        recorder.record(pod, "Warning", "FailedScheduling", "no node")
        (event,) = cluster.events()
        assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (
            2,
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:01:00Z",
        )
        assert event["involvedObject"]["uid"] == "u-1"
        assert event["source"] == {"component": "scheduler"}
        assert event["type"] == "Warning"

    scenario(story)


def test_different_events_at_one_instant_have_names_of_their_own(scenario, pod):
    """Two Events in the same instant are both kept."""

    async def story(cluster):
        recorder = EventRecorder(cluster.api, cluster.clock, "kubelet")
        recorder.record(pod, "Normal", "Pulled", "image is there")
        recorder.record(pod, "Normal", "Started", "container runs")
        assert {e["reason"] for e in cluster.events()} == {"Pulled", "Started"}

    scenario(story)


def test_very_many_texts_for_one_reason_are_combined(scenario, pod):
    """Texts that differ in a generated name do not flood the namespace."""

    async def story(cluster):
        recorder = EventRecorder(cluster.api, cluster.clock, "replicaset-controller")
        for number in range(50):
            recorder.record(pod, "Warning", "FailedCreate", f'pods "web-{number}" is forbidden')
        events = cluster.events("FailedCreate")
        assert len(events) == 11
        combined = next(e for e in events if e["message"].startswith("(combined from similar events): "))
        assert combined["count"] == 40
        assert "web-49" in combined["message"]

    scenario(story)


def test_events_go_an_hour_after_they_were_last_seen(scenario, pod):
    """An Event that is said again lives on."""

    async def story(cluster):
        recorder = EventRecorder(cluster.api, cluster.clock, "x")
        recorder.record(pod, "Normal", "Old", "once")
        recorder.record(pod, "Normal", "Kept", "twice")
        await cluster.pass_time(3000)
        recorder.record(pod, "Normal", "Kept", "twice")
        await cluster.pass_time(700)
        assert [e["reason"] for e in cluster.events()] == ["Kept"]
        recorder.record(pod, "Normal", "Old", "once")
        assert {e["reason"]: e["count"] for e in cluster.events()} == {"Kept": 2, "Old": 1}

    scenario(story)


def test_events_of_cluster_wide_objects_are_in_default(scenario):
    """An Event about a Node is kept in the namespace default."""

    async def story(cluster):
        recorder = EventRecorder(cluster.api, cluster.clock, "x")
        recorder.record(cluster.get("nodes", "node-1", ""), "Normal", "NodeReady", "up")
        assert cluster.messages("NodeReady") == ["up"]

    scenario(story)
