"""HorizontalPodAutoscalers: what CPU figures ask for, what holds it back, and what is said when nothing can be read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.localcloud.clock import rfc3339
from controlplane.localcloud.controllers.horizontal import MeasuredCpu, Sample
from controlplane.localcloud.controllers.horizontal.calculation import CannotScaleError, Target, replicas_for
from controlplane.localcloud.controllers.horizontal.limits import History, settle

HPA = "horizontalpodautoscalers.autoscaling"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(hours=1)


class Usage:
    """Every Pod uses the same, except for those that are named."""

    def __init__(self, clock=None, milli=0):
        self.clock, self.milli, self.own = clock, milli, {}

    def cpu(self, _namespace, pod):
        milli = self.own.get(pod, self.milli)
        return None if milli is None else Sample(milli, self.clock.now() if self.clock else NOW)


def a_pod(name, *, ready=True, since=OLD, started=OLD, phase="Running", request="1", deleting=False):
    meta = {"name": name, "namespace": "default", "uid": name}
    if deleting:
        meta["deletionTimestamp"] = rfc3339(NOW)
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": rfc3339(since)}
    resources = {"requests": {"cpu": request}} if request else {}
    status = {"phase": phase, "startTime": rfc3339(started), "conditions": [condition]}
    spec = {"containers": [{"name": "app", "resources": resources}]}
    return {"metadata": meta, "spec": spec, "status": status}


HALF = Target(percent=50)


def proposal(used, target=HALF, current=None, **kinds):
    """Give what Pods `a`, `b`, ... ask for that use so much; what is said of them by name in `kinds` is different."""
    names = "abcdefgh"[: len(used)]
    pods = [a_pod(name, **kinds.get(name, {})) for name in names]
    usage = Usage()
    usage.own = dict(zip(names, used, strict=True))
    return replicas_for(
        len(used) if current is None else current,
        pods,
        lambda pod: usage.cpu("default", pod["metadata"]["name"]),
        target,
        NOW,
    )


STARTING = {"ready": False, "since": NOW - timedelta(minutes=1), "started": NOW - timedelta(minutes=1)}
PENDING = {"phase": "Pending", "ready": False}


@pytest.mark.parametrize(
    ("used", "more", "replicas"),
    [
        pytest.param([500, 500], {}, 2, id="as-it-should-be"),
        pytest.param([540, 540], {}, 2, id="within-the-tolerance"),
        pytest.param([450, 450], {}, 2, id="within-the-tolerance-below"),
        pytest.param([560, 560], {}, 3, id="beyond-the-tolerance"),
        pytest.param([1000, 1000], {}, 4, id="twice-as-much"),
        pytest.param([1000, 0], {}, 2, id="the-average-counts"),
        pytest.param([100, 100], {}, 1, id="little"),
        pytest.param([0, 0], {}, 0, id="nothing-at-all"),
        pytest.param([1000, None], {"b": PENDING}, 2, id="a-pending-one-takes-its-share-of-more"),
        pytest.param([1000, 1000, None], {"c": STARTING}, 4, id="who-only-starts-is-taken-for-idle"),
        pytest.param([1000, 900], {"b": STARTING}, 2, id="the-cpu-of-a-start-does-not-count"),
        pytest.param([200, None], {"b": STARTING}, 2, id="silence-speaks-against-fewer"),
        pytest.param([200, 200, None], {}, 3, id="missing-is-in-full-use-for-fewer"),
        pytest.param([1000, None], {}, 2, id="missing-is-idle-for-more"),
        pytest.param([1000, 1000, None, None], {}, 4, id="missing-ones-keep-the-number"),
        pytest.param([500, 5000], {"b": {"deleting": True}}, 2, id="who-goes-does-not-count"),
        pytest.param([500, 5000], {"b": {"phase": "Failed"}}, 2, id="who-failed-does-not-count"),
    ],
)
def test_what_cpu_asks_for(used, more, replicas):
    """The ratio to the target gives the number, and Pods that tell nothing never add to a change."""
    assert proposal(used, **more).replicas == replicas


def test_the_figures_of_the_status():
    """The share of what is requested is in whole percent, and the average in thousandths of a core."""
    found = proposal([333, 334])
    assert (found.percent, found.milli) == (33, 333)
    found = proposal([900, 900], Target(milli=300))
    assert (found.replicas, found.percent, found.milli) == (6, None, 900)


@pytest.mark.parametrize(
    ("used", "more", "text"),
    [
        pytest.param([None], {}, "no metrics returned from resource metrics API", id="no-samples"),
        pytest.param([900], {"a": STARTING}, "pods might be unready", id="only-who-starts"),
        pytest.param([900], {"a": {"request": ""}}, "missing request for cpu in container app of Pod a", id="request"),
    ],
)
def test_what_tells_nothing_is_said(used, more, text):
    """Without a sample or a request there is no number, and Kubernetes' own words say why."""
    with pytest.raises(CannotScaleError, match=text):
        proposal(used, **more)


UP = {"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}]}
DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}]}
SLOW = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("behavior", "past", "current", "wanted", "replicas", "held", "limited"),
    [
        pytest.param(None, [], 3, 3, 3, "ReadyForNewScale", "DesiredWithinRange", id="as-it-is"),
        pytest.param(None, [], 1, 9, 4, "ReadyForNewScale", "ScaleUpLimit", id="four-at-least"),
        pytest.param(None, [], 4, 9, 8, "ReadyForNewScale", "ScaleUpLimit", id="doubled-at-most"),
        pytest.param(None, [], 8, 30, 10, "ReadyForNewScale", "TooManyReplicas", id="the-maximum"),
        pytest.param(None, [], 5, 1, 2, "ReadyForNewScale", "TooFewReplicas", id="the-minimum"),
        pytest.param(None, [(299, 5)], 5, 2, 5, "ScaleDownStabilized", "DesiredWithinRange", id="five-minutes"),
        pytest.param(None, [(301, 5)], 5, 2, 2, "ReadyForNewScale", "DesiredWithinRange", id="are-over"),
        pytest.param({"scaleUp": UP}, [], 2, 9, 6, "ReadyForNewScale", "ScaleUpLimit", id="pods-a-period"),
        pytest.param({"scaleDown": DOWN | {"stabilizationWindowSeconds": 0}}, [(10, 8)], 8, 2, 4,
                     "ReadyForNewScale", "ScaleDownLimit", id="half-a-minute"),
        pytest.param({"scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0}}, [], 8, 2, 8,
                     "ReadyForNewScale", "ScaleDownLimit", id="never-down"),
        pytest.param({"scaleDown": DOWN}, [(299, 8)], 8, 2, 8, "ScaleDownStabilized", "DesiredWithinRange",
                     id="five-minutes-by-default"),
        pytest.param({"scaleUp": UP | {"stabilizationWindowSeconds": 60}}, [(30, 2)], 2, 5, 2, "ScaleUpStabilized",
                     "DesiredWithinRange", id="not-up-at-once"),
    ],
)  # fmt: skip
def test_what_is_made_of_a_recommendation(behavior, past, current, wanted, replicas, held, limited):
    """Windows, rates and bounds hold a recommendation back, and each is named."""
    spec = {"minReplicas": 2, "maxReplicas": 10} | ({"behavior": behavior} if behavior else {})
    history = History([(ago(seconds), number) for seconds, number in past])
    outcome = settle(history, spec, current, wanted, NOW)
    assert (outcome.replicas, outcome.held[0], outcome.limited[0]) == (replicas, held, limited)


def test_what_was_changed_within_the_period_counts_against_the_rate():
    """A rate of one a minute is one a minute, however often it is looked."""
    history = History(changes=[(ago(30), 1)])
    spec = {"minReplicas": 1, "maxReplicas": 10, "behavior": {"scaleUp": SLOW}}
    assert settle(history, spec, 3, 9, NOW).replicas == 3
    history.changes = [(ago(61), 1)]
    assert settle(history, spec, 3, 9, NOW).replicas == 4


def scaler(metrics=None, **spec):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
    body = {"minReplicas": 1, "maxReplicas": 4, "scaleTargetRef": target, "metrics": metrics or [cpu], **spec}
    meta = {"name": "web", "namespace": "default"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": body}


def requesting(manifest, cpu="1"):
    manifest["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    return manifest


class Later:
    """Gives the figures of a clock that is known only once the cluster runs."""

    def __init__(self):
        self.usage = Usage()

    def cpu(self, namespace, pod):
        return self.usage.cpu(namespace, pod)


def started(cluster):
    """Say of all Pods that run since when they do."""
    for pod in cluster.pods():
        if "startTime" not in pod["status"] and pod["status"]["phase"] == "Running":
            cluster.status(pod, {"startTime": rfc3339(cluster.clock.now())})


def test_a_deployment_grows_with_its_load_and_shrinks_five_minutes_after(scenario, deployment):
    """Load doubles it at the next look, and gone load takes it back when it has been gone for five minutes."""
    metrics = Later()

    async def story(cluster):
        metrics.usage = Usage(cluster.clock, 1000)
        cluster.apply("deployments.apps", requesting(deployment(replicas=1)))
        await cluster.run_pods()
        started(cluster)
        await cluster.pass_time(600)
        cluster.apply(HPA, scaler())
        await cluster.settle()
        assert cluster.get("deployments.apps", "web")["spec"]["replicas"] == 2
        status = cluster.get(HPA, "web")["status"]
        assert (status["currentReplicas"], status["desiredReplicas"]) == (1, 2)
        assert status["currentMetrics"][0]["resource"]["current"] == {"averageUtilization": 100, "averageValue": "1"}
        assert status["lastScaleTime"] == rfc3339(cluster.clock.now())
        assert cluster.messages("SuccessfulRescale") == [
            "New size: 2; reason: cpu resource utilization (percentage of request) above target"
        ]
        await cluster.run_pods()
        started(cluster)
        metrics.usage.milli = 100
        await cluster.pass_time(280)
        assert cluster.get("deployments.apps", "web")["spec"]["replicas"] == 2
        assert cluster.condition(HPA, "web", "AbleToScale")["reason"] == "ScaleDownStabilized"
        await cluster.pass_time(60)
        assert cluster.get("deployments.apps", "web")["spec"]["replicas"] == 1
        assert "New size: 1; reason: All metrics below target" in cluster.messages("SuccessfulRescale")

    scenario(story, metrics=metrics)


@pytest.mark.parametrize(
    ("replicas", "bounds", "becomes", "reason"),
    [
        pytest.param(6, {}, 4, "Current number of replicas above Spec.MaxReplicas", id="too-many"),
        pytest.param(1, {"minReplicas": 3}, 3, "Current number of replicas below Spec.MinReplicas", id="too-few"),
    ],
)
def test_the_bounds_hold_whatever_is_measured(scenario, deployment, replicas, bounds, becomes, reason):
    """Without any metric the bounds are kept all the same."""

    async def story(cluster):
        cluster.apply("deployments.apps", deployment(replicas=replicas))
        cluster.apply(HPA, scaler(**bounds))
        await cluster.settle()
        assert cluster.get("deployments.apps", "web")["spec"]["replicas"] == becomes
        assert cluster.messages("SuccessfulRescale") == [f"New size: {becomes}; reason: {reason}"]

    scenario(story)


PODS = {"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "5"}}}
EXTERNAL = {
    "type": "External",
    "external": {
        "metric": {"name": "queue", "selector": {"matchLabels": {"a": "b"}}},
        "target": {"type": "Value", "value": "5"},
    },
}
OBJECT = {
    "type": "Object",
    "object": {
        "metric": {"name": "hits"},
        "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "web"},
        "target": {"type": "Value", "value": "5"},
    },
}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 50}},
}
NO_ADAPTER = "no custom metrics API (custom.metrics.k8s.io) registered"


@pytest.mark.parametrize(
    ("metric", "reason", "text"),
    [
        pytest.param(PODS, "FailedGetPodsMetric", f"unable to get metric queue: {{}}: {NO_ADAPTER}", id="Pods"),
        pytest.param(OBJECT, "FailedGetObjectMetric", f"unable to get metric hits: Service on default web/{{}}: "
                     f"{NO_ADAPTER}", id="Object"),
        pytest.param(EXTERNAL, "FailedGetExternalMetric",
                     "unable to get external metric default/queue/&LabelSelector{MatchLabels:map[string]string"
                     "{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external "
                     "metrics API: the server could not find the requested resource "
                     "(get queue.external.metrics.k8s.io)", id="External"),
        pytest.param(MEMORY, "FailedGetResourceMetric", "failed to get memory utilization: unable to get metrics for "
                     "resource memory: no metrics returned from resource metrics API", id="memory"),
    ],
)  # fmt: skip
def test_a_metric_that_is_not_there_is_said_as_kubernetes_says_it(scenario, deployment, metric, reason, text):
    """The condition and the Events name it, and nothing is scaled."""
    text = text.replace("{}: n", "unable to fetch metrics from custom metrics API: n")

    async def story(cluster):
        cluster.apply("deployments.apps", requesting(deployment(replicas=2)))
        cluster.apply(HPA, scaler([metric]))
        await cluster.run_pods()
        condition = cluster.condition(HPA, "web", "ScalingActive")
        assert (condition["status"], condition["reason"]) == ("False", reason)
        assert condition["message"] == f"the HPA was unable to compute the replica count: {text}"
        assert cluster.messages(reason) == [text]
        (whole,) = cluster.messages("FailedComputeMetricsReplicas")
        assert whole.startswith("invalid metrics (1 invalid out of 1), first error is: failed to get ")
        assert cluster.get("deployments.apps", "web")["spec"]["replicas"] == 2

    scenario(story)


@pytest.mark.parametrize(
    ("milli", "becomes"), [pytest.param(1000, 4, id="more"), pytest.param(100, 2, id="fewer-is-not-risked")]
)
def test_of_two_metrics_one_that_is_missing_lets_it_grow_only(scenario, deployment, milli, becomes):
    """What can be read decides on more, and never on fewer while another cannot."""
    metrics = Later()

    async def story(cluster):
        metrics.usage = Usage(cluster.clock, milli)
        cluster.apply("deployments.apps", requesting(deployment(replicas=2)))
        await cluster.run_pods()
        started(cluster)
        await cluster.pass_time(600)
        cluster.apply(HPA, scaler([*scaler()["spec"]["metrics"], PODS]))
        await cluster.pass_time(400)
        assert cluster.get("deployments.apps", "web")["spec"]["replicas"] == becomes

    scenario(story, metrics=metrics)


def test_a_target_that_is_gone_or_switched_off_is_left_alone(scenario, deployment):
    """No target is AbleToScale False; a target of no replicas is one that a person has switched off."""

    async def story(cluster):
        cluster.apply(HPA, scaler())
        await cluster.settle()
        assert cluster.condition(HPA, "web", "AbleToScale")["reason"] == "FailedGetScale"
        assert cluster.messages("FailedGetScale") == ['deployments.apps "web" not found']
        cluster.apply("deployments.apps", deployment(replicas=0))
        await cluster.pass_time(16)
        assert cluster.condition(HPA, "web", "ScalingActive")["reason"] == "ScalingDisabled"
        assert cluster.get("deployments.apps", "web")["spec"]["replicas"] == 0

    scenario(story)


def test_without_news_nothing_is_written(scenario, deployment, idle):
    """A steady load costs a look every fifteen seconds and no write."""
    metrics = Later()

    async def story(cluster):
        metrics.usage = Usage(cluster.clock, 500)
        cluster.apply("deployments.apps", requesting(deployment(replicas=2)))
        await cluster.run_pods()
        started(cluster)
        cluster.apply(HPA, scaler())
        await cluster.pass_time(900)
        assert await idle(cluster, 300) == 0

    scenario(story, metrics=metrics)


def test_replicas_that_an_autoscaler_set_stay_when_who_applied_them_lets_go(scenario, deployment):
    """After the hand-over the number has another owner, and an apply without it changes nothing."""

    async def story(cluster):
        whole = deployment(replicas=3)

        def apply(body, manager):
            return cluster.api.patch(
                "deployments.apps", "web", body, "default", kind="apply", field_manager=manager, force=True
            )

        apply(whole, "owner")
        identity = {key: whole[key] for key in ("apiVersion", "kind", "metadata")}
        apply({**identity, "spec": {"replicas": 3}}, "handover")
        del whole["spec"]["replicas"]
        assert apply(whole, "owner")["spec"]["replicas"] == 3
        cluster.apply(HPA, scaler(minReplicas=4))
        await cluster.settle()
        assert apply(whole, "owner")["spec"]["replicas"] == 4
        managers = cluster.get("deployments.apps", "web")["metadata"]["managedFields"]
        owners = [m["manager"] for m in managers if "f:replicas" in m.get("fieldsV1", {}).get("f:spec", {})]
        assert owners == ["horizontal-pod-autoscaler"]

    scenario(story)


class Moment:
    """A clock that is set by hand."""

    def __init__(self):
        self.at = 0.0

    def monotonic(self):
        return self.at

    def now(self):
        return NOW + timedelta(seconds=self.at)


def test_what_processes_use_is_a_rate_between_two_looks():
    """A Pod has a sample from its second look on, and none while its processes began anew or nobody asks."""
    used, clock, asked = {("default", "a"): 5.0}, Moment(), [True]
    meter = MeasuredCpu(lambda: used, clock, wanted=lambda: asked[0])
    meter.measure()
    assert meter.cpu("default", "a") is None
    clock.at, used["default", "a"], used["default", "b"] = 10.0, 9.0, 7.0
    meter.measure()
    assert meter.cpu("default", "a") == Sample(400, NOW + timedelta(seconds=10), 10.0)
    assert meter.cpu("default", "b") is None
    clock.at, used["default", "a"] = 20.0, 1.0
    meter.measure()
    assert meter.cpu("default", "a") is None
    assert meter.cpu("default", "b") == replace(Sample(0, NOW), at=NOW + timedelta(seconds=20), window=10.0)
    asked[0] = False
    meter.measure()
    assert meter.cpu("default", "b") is None
