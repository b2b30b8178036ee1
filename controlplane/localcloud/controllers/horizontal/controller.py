"""HorizontalPodAutoscaler: looks every fifteen seconds, and sets the scale of its target to what its metrics ask for.

What it does and says is that of kube-controller-manager (pkg/controller/podautoscaler/horizontal.go). Its memory of
recommendations ends with the process, as there; after a start it therefore scales down no sooner than in five minutes.
"""

from collections.abc import Iterable
from datetime import datetime

from controlplane.localcloud.apiserver.api import ApiError, Change, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.horizontal.limits import WITHIN, History, settle
from controlplane.localcloud.controllers.horizontal.metrics import Found, MetricError, Scene, read
from controlplane.localcloud.controllers.horizontal.samples import PodMetrics, Sample
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import clone, is_deleting, key_of, with_condition
from controlplane.localcloud.controllers.runtime import Controller, Key

RESOURCE = "horizontalpodautoscalers.autoscaling"
SYNC_SECONDS = 15.0
_SCALABLE = {
    ("apps", "Deployment"): "deployments.apps",
    ("apps", "ReplicaSet"): "replicasets.apps",
    ("apps", "StatefulSet"): "statefulsets.apps",
    ("", "ReplicationController"): "replicationcontrollers",
}
Condition = tuple[str, bool, str, str]


class HorizontalController:
    """Reconciles HorizontalPodAutoscalers."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder, metrics: PodMetrics) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self._metrics = metrics
        self._specs: dict[Key, Object] = {}
        self._histories: dict[str, History] = {}
        self.loop = Controller(
            "horizontal-pod-autoscaler", informer, clock, sources={RESOURCE: self._keys_of}, reconcile=self.reconcile
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _keys_of(self, change: Change) -> Iterable[Key]:
        """Look at once at what is new or wanted otherwise; our own status is no reason to."""
        key = key_of(change.object)
        if change.type == "DELETED":
            self._specs.pop(key, None)
            self._histories.pop(change.object["metadata"]["uid"], None)
            return ()
        if self._specs.get(key) == change.object["spec"]:
            return ()
        self._specs[key] = change.object["spec"]
        return (key,)

    async def reconcile(self, key: Key) -> float | None:
        """Look at one; give when to look again."""
        scaler = self._api.find(RESOURCE, key[1], key[0])
        if scaler is None or is_deleting(scaler):
            return None
        _Look(self._api_of(scaler), scaler).run()
        return SYNC_SECONDS

    def _api_of(self, scaler: Object) -> "_Hands":
        history = self._histories.setdefault(scaler["metadata"]["uid"], History())
        return _Hands(self._informer, self._recorder, self._metrics, history, self._clock.now())


class _Hands:
    """What a look at one autoscaler works with."""

    def __init__(
        self, informer: Informer, recorder: EventRecorder, metrics: PodMetrics, history: History, now: datetime
    ) -> None:
        self.informer, self.recorder, self.metrics, self.history, self.now = informer, recorder, metrics, history, now

    def sample(self, pod: Object) -> Sample | None:
        return self.metrics.cpu(*key_of(pod))


class _Look:
    """One look at one autoscaler: what it finds and says on the way, and the status at its end."""

    def __init__(self, hands: _Hands, scaler: Object) -> None:
        self._hands, self._scaler, self._spec = hands, scaler, scaler["spec"]
        self._old = scaler.get("status") or {}
        self._status: Object = {**self._old, "conditions": list(self._old.get("conditions") or [])}
        self._told: list[Object] = []

    def run(self) -> None:
        try:
            self._scale()
        finally:
            if self._status != self._old:
                body = clone(self._scaler)
                body["status"] = self._status
                self._hands.informer.api.update(RESOURCE, body, subresource="status")

    def _scale(self) -> None:
        target = self._target()
        if target is None:
            return
        current = int(target[1]["spec"].get("replicas", 1))
        self._condition("AbleToScale", True, "SucceededGetScale", _ABLE)
        if not self._hands.history.recommended:
            self._hands.history.recommended.append((self._hands.now, current))
        least, most = int(self._spec.get("minReplicas") or 1), int(self._spec["maxReplicas"])
        if current == 0:
            self._condition("ScalingActive", False, "ScalingDisabled", _DISABLED)
            self._report(current, current)
        elif current > most:
            self._rescale(target, current, most, "Current number of replicas above Spec.MaxReplicas")
        elif current < least:
            self._rescale(target, current, least, "Current number of replicas below Spec.MinReplicas")
        else:
            self._by_metrics(target, current)

    def _target(self) -> tuple[str, Object] | None:
        reference, namespace = self._spec["scaleTargetRef"], self._scaler["metadata"]["namespace"]
        group = reference.get("apiVersion", "").rpartition("/")[0]
        resource = _SCALABLE.get((group, reference["kind"]))
        found = self._hands.informer.api.find(resource, reference["name"], namespace) if resource else None
        if resource is not None and found is not None:
            return resource, found
        plural = resource or f"{reference['kind'].lower()}s"
        text = f'{plural} "{reference["name"]}" not found'
        if resource is None:
            text = f"no matches for kind {reference['kind']!r} in group {group!r}".replace("'", '"')
        self._event("FailedGetScale", text)
        whole = f"the HPA controller was unable to get the target's current scale: {text}"
        self._condition("AbleToScale", False, "FailedGetScale", whole)
        return None

    def _by_metrics(self, target: tuple[str, Object], current: int) -> None:
        namespace = self._scaler["metadata"]["namespace"]
        pods = self._hands.informer.select("pods", namespace, target[1]["spec"]["selector"])
        scene = Scene(namespace, current, pods, self._hands.sample, self._hands.now)
        found, failed = self._read(scene)
        asked = max((each.replicas for each in found), default=0)
        if failed and (not found or asked < current):
            count = len(self._spec["metrics"])
            text = f"invalid metrics ({len(failed)} invalid out of {count}), first error is: {failed[0].whole}"
            unable = f"the HPA was unable to compute the replica count: {failed[0].text}"
            self._condition("ScalingActive", False, failed[0].reason, unable)
            self._event("FailedComputeMetricsReplicas", text)
            self._report(current, int(self._old.get("desiredReplicas") or 0), found)
            return
        best = next(each for each in found if each.replicas == asked)
        valid = f"the HPA was able to successfully calculate a replica count from {best.name}"
        self._condition("ScalingActive", True, "ValidMetricFound", valid)
        outcome = settle(self._hands.history, self._spec, current, asked, self._hands.now)
        self._condition("AbleToScale", True, *outcome.held)
        self._condition("ScalingLimited", outcome.limited != WITHIN, *outcome.limited)
        reason = (
            "All metrics below target" if asked < current else ""
        )  # what was held before may count yet, without one
        reason = f"{best.name} above target" if asked > current else reason
        self._rescale(target, current, outcome.replicas, reason, found)

    def _read(self, scene: Scene) -> tuple[list[Found], list[MetricError]]:
        found: list[Found] = []
        failed: list[MetricError] = []
        for metric in self._spec["metrics"]:
            try:
                found.append(read(metric, scene))
            except MetricError as error:
                self._event(error.reason, error.text)
                failed.append(error)
        return found, failed

    def _rescale(
        self, target: tuple[str, Object], current: int, wanted: int, reason: str, found: list[Found] | None = None
    ) -> None:
        if wanted == current:
            self._report(current, wanted, found)
            return
        resource, obj = target
        namespace, name = key_of(obj)
        version = {"resourceVersion": obj["metadata"]["resourceVersion"]}
        try:
            self._hands.informer.api.patch(
                resource, name, {"metadata": version, "spec": {"replicas": wanted}}, namespace, subresource="scale",
                user="horizontal-pod-autoscaler",
            )  # fmt: skip
        except ApiError as error:
            self._event("FailedRescale", f"New size: {wanted}; reason: {reason}; error: {error.message}")
            text = f"the HPA controller was unable to update the target scale: {error.message}"
            self._condition("AbleToScale", False, "FailedUpdateScale", text)
            self._report(current, current, found)
            return
        text = f"the HPA controller was able to update the target scale to {wanted}"
        self._condition("AbleToScale", True, "SucceededRescale", text)
        self._event("SuccessfulRescale", f"New size: {wanted}; reason: {reason}", kind="Normal")
        self._hands.history.changes.append((self._hands.now, wanted - current))
        self._report(current, wanted, found)
        self._status["lastScaleTime"] = rfc3339(self._hands.now)

    def _report(self, current: int, wanted: int, found: list[Found] | None = None) -> None:
        self._status |= {"currentReplicas": current, "desiredReplicas": wanted}
        if found is not None:
            self._status["currentMetrics"] = [each.status for each in found]

    def _event(self, reason: str, text: str, *, kind: str = "Warning") -> None:
        self._hands.recorder.record(self._scaler, "Normal" if kind == "Normal" else "Warning", reason, text)

    def _condition(self, kind: str, holds: bool, reason: str, message: str) -> None:
        verdict = {"type": kind, "status": str(holds), "reason": reason, "message": message}
        self._status["conditions"] = with_condition(self._status["conditions"], verdict, self._hands.now)


_ABLE = "the HPA controller was able to get the target's current scale"
_DISABLED = "scaling is disabled since the replica count of the target is zero"
