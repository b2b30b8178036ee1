"""From raw objects to facts: what belongs to which placement, and what old news must not say."""

from datetime import UTC, datetime

import pytest

from controlplane.gateways.instants import event_time, micro_time, parse_instant
from controlplane.gateways.workloads import RawMember, left_out, needs_events, workloads_by_service
from controlplane.model import naming
from controlplane.model.offering import Accelerator, Capacity, ClusterRef, Offering, RefusalClass

REF = ClusterRef("us-central1", "gpu-1")
OFFERING = Offering(REF, Accelerator("nvidia-l4"), Capacity.SPOT)
LABELS = naming.placement_labels("web", OFFERING)
CREATED = "2026-11-01T12:00:00Z"


def deployment(replicas=1, **status):
    return {
        "metadata": {
            "name": "web-l4-spot", "namespace": "default", "uid": "d", "resourceVersion": "5", "labels": LABELS,
            "creationTimestamp": CREATED, "annotations": {naming.ANNOTATION_FENCE: "3"},
        },
        "spec": {"replicas": replicas},
        "status": status,
    }  # fmt: skip


def pod(uid="p", *, node=None, ready=False, labels=LABELS, metadata=None, **status):
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": CREATED}
        for kind, holds in (("PodScheduled", node), ("Ready", ready))
        if holds
    ]
    base = {"name": f"web-{uid}", "namespace": "default", "uid": uid, "labels": labels, "creationTimestamp": CREATED}
    return {
        "metadata": {**base, **(metadata or {})},
        "spec": {"nodeName": node} if node else {},
        "status": {"conditions": conditions, **status},
    }


def event(message, reason="FailedScaleUp", uid="p", at="2026-11-01T12:01:00Z", **times):
    return {
        "involvedObject": {"uid": uid, "kind": "Pod"},
        "reason": reason,
        "message": message,
        **(times or {"lastTimestamp": at}),
    }


def fact(*pods, events=(), nodes=(), deployments=None):
    found = workloads_by_service(REF, RawMember(deployments or [deployment()], pods, events, nodes))
    return found["default", "web"][0]


def refusals(*events, pods=None):
    return [r.refusal for r in fact(*(pods or [pod()]), events=events).refusals]


STOCK_OUT, QUOTA, BACKOFF = "GCE out of resources", "GCE quota exceeded", "1 in backoff after failed scale-up"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([event(STOCK_OUT)], [RefusalClass.STOCK_OUT]),
        ([event(STOCK_OUT, uid="earlier")], []),
        ([event(STOCK_OUT, at="2026-11-01T11:59:00Z")], []),
        ([event(BACKOFF, "NotTriggerScaleUp")], [RefusalClass.BACKING_OFF]),
        ([event(QUOTA), event(BACKOFF, "NotTriggerScaleUp")], [RefusalClass.QUOTA_REGION]),
        ([event("0/3 nodes are available", "FailedScheduling")], []),
        ([event(STOCK_OUT, eventTime="2026-11-01T12:02:00.000001Z", lastTimestamp=None)], [RefusalClass.STOCK_OUT]),
        ([event(STOCK_OUT, eventTime=None, lastTimestamp=None)], []),
    ],
    ids=[
        "its own", "of an earlier Pod", "before the Pod", "back-off alone", "back-off keeps its cause", "still waiting",
        "without lastTimestamp", "without any time",
    ],
)  # fmt: skip
def test_which_events_count(events, expected):
    """Only Events of this very Pod since it exists, and only those that refuse something."""
    assert refusals(*events) == expected


def test_a_scheduled_pod_was_not_refused():
    """Once the Pod has its node, what was refused to it before is no news."""
    assert refusals(event(STOCK_OUT), pods=[pod(node="n1")]) == []


def test_times_of_an_event():
    """The newest of the times that are set counts, whichever component wrote them."""
    assert event_time({"lastTimestamp": None, "series": {"lastObservedTime": CREATED}}) == parse_instant(CREATED)
    assert event_time({"metadata": {"creationTimestamp": CREATED}}) == parse_instant(CREATED)
    assert event_time({"lastTimestamp": "nonsense"}) is None


def test_micro_times_always_have_a_fraction():
    """API servers refuse a MicroTime without one, which whole seconds would give."""
    assert micro_time(datetime(2026, 11, 1, 12, tzinfo=UTC)) == "2026-11-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("made", "nodes", "expected"),
    [
        (pod(node="n1", reason="Preempting", phase="Failed"), [], True),
        (pod(node="n1", reason="NodeShutdown", phase="Failed"), [], True),
        (pod(node="n1"), [{"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "cloud.google.com/impending-node-termination"}]}}], True),  # noqa: E501
        (pod(node="n1"), [{"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "nvidia.com/gpu"}]}}], False),
        (pod(node="n1", reason="OOMKilled", phase="Failed"), [], False),
        (pod(node="n1", ready=True), [], False),
    ],
    ids=["preempting", "node shut down", "notice on the node", "another taint", "out of memory", "well"],
)  # fmt: skip
def test_preemption(made, nodes, expected):
    """Spot preemption is told by the Pod's reason or the notice on its node, and by nothing else."""
    assert fact(made, nodes=nodes).pods[0].preempted is expected


def test_pod_facts():
    """Scheduled, ready, waiting and restarts are different facts, and the zone is the node's."""
    status = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "restartCount": 4}
    node = {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "us-central1-a"}}}
    seen = fact(pod(node="n1", containerStatuses=[status]), nodes=[node]).pods[0]
    assert (seen.scheduled, seen.ready, seen.restarts, seen.waiting_reason) == (True, False, 4, "CrashLoopBackOff")
    assert seen.zone == "us-central1-a"
    going = fact(pod(node="n1", ready=True, metadata={"deletionTimestamp": CREATED})).pods[0]
    assert going.terminating
    assert not going.ready


@pytest.mark.parametrize(
    ("deployments", "pods", "incomplete"),
    [
        ([], [], False),
        ([], [pod()], True),
        ([deployment()], [pod(ready=True)], False),
        ([deployment(readyReplicas=2)], [pod(ready=True)], True),
        ([deployment(readyReplicas=1)], [], True),
        ([], [pod(metadata={"deletionTimestamp": CREATED})], False),
        ([], [pod(phase="Failed")], False),
    ],
    ids=["nothing", "Pod alone", "both", "fewer Pods", "no Pods", "Pod going", "Pod over"],
)
def test_lists_that_contradict_each_other(deployments, pods, incomplete):
    """What one list must have left out is noticed; what is normal for a moment is not complained of."""
    assert bool(left_out(deployments, pods)) is incomplete


@pytest.mark.parametrize(
    ("pods", "namespaces"),
    [([pod(ready=True)], set()), ([pod()], {"default"}), ([], {"default"})],
    ids=["all ready", "one waits", "none there"],
)
def test_events_are_read_where_something_is_missing(pods, namespaces):
    """A cluster in which all is well is not asked for Events."""
    assert needs_events([deployment()], pods) == namespaces


@pytest.mark.parametrize(
    ("metadata", "status", "rolled_out"),
    [
        pytest.param({}, {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}, True, id="whole"),
        pytest.param(
            {"generation": 3}, {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1}, False, id="unseen"
        ),
        pytest.param({}, {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1}, False, id="old-one-beside"),
        pytest.param({}, {"observedGeneration": 2, "replicas": 1}, False, id="none-yet"),
        pytest.param({}, {}, False, id="nothing-told"),
    ],
)
def test_a_deployment_is_rolled_out_when_all_its_pods_have_its_template(metadata, status, rolled_out):
    """The status of a template before, which looks whole, does not count for the one that was applied last."""
    body = {**deployment(), "status": status}
    body["metadata"] |= {"generation": 2, **metadata}
    (fact,) = workloads_by_service(REF, RawMember([body], []))["default", "web"]
    assert fact.rolled_out is rolled_out
