"""What one entry of `spec.metrics` comes to: CPU is measured here; what an adapter would have to bring is not there.

The texts are those of a cluster that has a metrics server and no adapter for custom or external metrics.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.quantity import parse_quantity
from controlplane.localcloud.controllers.horizontal.calculation import CannotScaleError, Target, replicas_for
from controlplane.localcloud.controllers.horizontal.samples import Sample

NO_CUSTOM = "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered"
NO_EXTERNAL = "unable to fetch metrics from external metrics API: the server could not find the requested resource"


@dataclass(frozen=True, slots=True)
class Found:
    """What a metric asks for, its name for people, and its entry of the status."""

    replicas: int
    name: str
    status: Object


class MetricError(Exception):
    """A metric that tells nothing: the reason of its Event, the text, and what the whole says of it."""

    def __init__(self, reason: str, text: str, whole: str) -> None:
        super().__init__(text)
        self.reason, self.text, self.whole = reason, text, whole


@dataclass(frozen=True, slots=True)
class Scene:
    """What metrics are read of: the Pods of a target that has so many replicas."""

    namespace: str
    current: int
    pods: Sequence[Object]
    sample_of: Callable[[Object], Sample | None]
    now: datetime

    def sampler(self, resource: str) -> Callable[[Object], Sample | None]:
        """Give who knows what Pods use of a resource: of anything but CPU, nobody does."""
        return self.sample_of if resource == "cpu" else lambda _: None


def read(metric: Object, scene: Scene) -> Found:
    """Give what a metric asks for. Raises MetricError."""
    kind = metric["type"]
    if kind == "Resource":
        return _resource(metric["resource"], scene)
    if kind == "Pods":
        name = metric["pods"]["metric"]["name"]
        text = f"unable to get metric {name}: {NO_CUSTOM}"
        raise MetricError("FailedGetPodsMetric", text, f"failed to get pods metric value: {text}")
    if kind == "Object":
        name, where = metric["object"]["metric"]["name"], metric["object"]["describedObject"]
        text = f"unable to get metric {name}: {where['kind']} on {scene.namespace} {where['name']}/{NO_CUSTOM}"
        raise MetricError("FailedGetObjectMetric", text, f"failed to get object metric value: {text}")
    if kind == "External":
        name, selector = metric["external"]["metric"]["name"], metric["external"]["metric"].get("selector")
        missing = f"{NO_EXTERNAL} (get {name}.external.metrics.k8s.io)"
        text = f"unable to get external metric {scene.namespace}/{name}/{_selector(selector)}: {missing}"
        raise MetricError("FailedGetExternalMetric", text, f"failed to get {name} external metric value: {text}")
    name = metric["containerResource"]["name"]
    text = f"failed to get {name} usage: unable to get metrics for resource {name}: no metrics returned from resource metrics API"  # noqa: E501 - as Kubernetes has it
    raise MetricError("FailedGetContainerResourceMetric", text, f"failed to get {name} container metric value: {text}")


def _resource(resource: Object, scene: Scene) -> Found:
    name, target = resource["name"], resource["target"]
    percent = target.get("averageUtilization")
    what = f"{name} resource utilization (percentage of request)" if percent else f"{name} resource"
    wanted = Target(percent) if percent else Target(None, _milli(target["averageValue"]))
    try:
        found = replicas_for(scene.current, scene.pods, scene.sampler(name), wanted, scene.now, resource=name)
    except CannotScaleError as error:
        text = f"failed to get {name} {'utilization' if percent else 'usage'}: {error}"
        whole = f"failed to get {name} resource metric value: {text}"
        raise MetricError("FailedGetResourceMetric", text, whole) from error
    current: Object = {"averageValue": f"{found.milli}m"}
    if found.percent is not None:
        current["averageUtilization"] = found.percent
    return Found(found.replicas, what, {"type": "Resource", "resource": {"name": name, "current": current}})


def _milli(quantity: object) -> int:
    return max(1, math.ceil(parse_quantity(quantity) * 1000))


def _selector(selector: Object | None) -> str:
    """Write a selector as Go does."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "MatchExpressions:[]LabelSelectorRequirement{}"
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},{expressions},}}"
