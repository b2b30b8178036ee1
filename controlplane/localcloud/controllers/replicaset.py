"""ReplicaSet: keeps the wanted number of Pods, and says in its status how many are ready and available."""

from datetime import datetime

from controlplane.localcloud.apiserver.api import ApiError, Change, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers import pods
from controlplane.localcloud.controllers.adoption import claim
from controlplane.localcloud.controllers.backoff import Backoff
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import (
    clone,
    condition,
    controller_of,
    is_deleting,
    key_of,
    labels_of,
    own_key,
    uid_of,
)
from controlplane.localcloud.controllers.runtime import Controller, Key
from controlplane.localcloud.controllers.scaling import namespace_is_ending, slow_start
from controlplane.localcloud.controllers.selectors import is_empty, matches

RESOURCE = "replicasets.apps"
BURST = 500


class ReplicaSetController:
    """Reconciles ReplicaSets."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self._backoff = Backoff()
        self.loop = Controller(
            "replicaset",
            informer,
            clock,
            sources={RESOURCE: own_key, "pods": self._keys_of_pod},
            reconcile=self.reconcile,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _keys_of_pod(self, change: Change) -> list[Key]:
        """Give the ReplicaSet that manages the Pod; an orphan concerns every one that could adopt it."""
        pod = change.object
        namespace = pod["metadata"]["namespace"]
        owner = controller_of(pod)
        if owner is not None:
            return [(namespace, owner["name"])] if owner["kind"] == "ReplicaSet" else []
        if change.type == "DELETED":
            return []
        sets = self._informer.in_namespace(namespace, RESOURCE)
        return [key_of(rs) for rs in sets if matches(rs["spec"].get("selector"), labels_of(pod))]

    async def reconcile(self, key: Key) -> float | None:
        """Bring one ReplicaSet closer to what it asks for."""
        rs = self._api.find(RESOURCE, key[1], key[0])
        if rs is None or is_empty(rs["spec"].get("selector")):
            self._backoff.forget(key)
            return None
        claimed = claim(self._informer, "pods", rs, rs["spec"]["selector"])
        active = [pod for pod in claimed if pods.is_active(pod)]
        failure: ApiError | None = None
        if not is_deleting(rs):
            failure = self._manage(rs, active)
            active = [pod for pod in self._informer.owned("pods", uid_of(rs)) if pods.is_active(pod)]
        waiting = self._report(rs, active, failure)
        if failure is not None:
            return self._backoff.failed(key)
        self._backoff.forget(key)
        return waiting

    def _manage(self, rs: Object, active: list[Object]) -> ApiError | None:
        surplus = len(active) - int(rs["spec"].get("replicas", 1))
        if surplus < 0:
            return slow_start(min(-surplus, BURST), lambda: self._create_pod(rs))
        if surplus > 0:
            crowd = self._companions(rs)
            victims = pods.deletion_order(active, self._clock.now(), lambda pod: crowd.get(_node(pod), 0))
            return self._delete_pods(rs, victims[:surplus])
        return None

    def _create_pod(self, rs: Object) -> ApiError | None:
        namespace = rs["metadata"]["namespace"]
        try:
            pod = self._informer.create("pods", pods.from_template(rs["spec"]["template"], rs), namespace)
        except ApiError as error:
            if not namespace_is_ending(error):
                self._recorder.record(rs, "Warning", "FailedCreate", f"Error creating: {error.message}")
            return error
        self._recorder.record(rs, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        return None

    def _delete_pods(self, rs: Object, victims: list[Object]) -> ApiError | None:
        failure: ApiError | None = None
        for pod in victims:
            namespace, name = key_of(pod)
            try:
                self._api.delete("pods", name, namespace, uid=uid_of(pod))
            except ApiError as error:
                if error.code != 404:
                    self._recorder.record(rs, "Warning", "FailedDelete", f"Error deleting: {error.message}")
                    failure = error
            else:
                self._recorder.record(rs, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        return failure

    def _companions(self, rs: Object) -> dict[str, int]:
        """Count, by node, the active Pods of all ReplicaSets of the same owner."""
        owner = controller_of(rs)
        family = self._informer.owned(RESOURCE, owner["uid"]) if owner else [rs]
        crowd: dict[str, int] = {}
        for member in family:
            for pod in self._informer.owned("pods", uid_of(member)):
                if pods.is_active(pod):
                    crowd[_node(pod)] = crowd.get(_node(pod), 0) + 1
        return crowd

    def _report(self, rs: Object, active: list[Object], failure: ApiError | None) -> float | None:
        """Write the status when it changed; give the seconds until the next Pod becomes available."""
        present = self._api.find(RESOURCE, rs["metadata"]["name"], rs["metadata"]["namespace"])
        if present is None or uid_of(present) != uid_of(rs):
            return None
        now = self._clock.now()
        min_ready = int(rs["spec"].get("minReadySeconds") or 0)
        waits = [pods.seconds_to_available(pod, min_ready, now) for pod in active]
        status = replicaset_status(present, active, waits, failure, now)
        # The generation reported is the one that was acted on, not one that came in between.
        status["observedGeneration"] = rs["metadata"].get("generation", 1)
        if status != (present.get("status") or {}):
            body = clone(present)
            body["status"] = status
            self._api.update(RESOURCE, body, subresource="status")
        return min((wait for wait in waits if wait), default=None)


def replicaset_status(
    rs: Object, active: list[Object], waits: list[float | None], failure: ApiError | None, now: datetime
) -> Object:
    """Give the status that these Pods amount to."""
    template_labels = (rs["spec"]["template"].get("metadata") or {}).get("labels") or {}
    counts = {
        "fullyLabeledReplicas": sum(1 for pod in active if template_labels.items() <= labels_of(pod).items()),
        "readyReplicas": sum(1 for wait in waits if wait is not None),
        "availableReplicas": sum(1 for wait in waits if wait == 0),
    }
    status: Object = {"replicas": len(active), **{name: count for name, count in counts.items() if count}}
    old = rs.get("status") or {}
    conditions = [c for c in old.get("conditions") or [] if c["type"] != "ReplicaFailure"]
    if failure is not None:
        known = condition(old, "ReplicaFailure")
        reason = "FailedCreate" if int(rs["spec"].get("replicas", 1)) > len(active) else "FailedDelete"
        fresh = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": failure.message}
        # A known failure keeps its first text: the texts hold generated Pod names, and each write would be a new try.
        same = known is not None and known.get("reason") == reason
        conditions.append(known if known is not None and same else {**fresh, "lastTransitionTime": rfc3339(now)})
    if conditions:
        status["conditions"] = conditions
    return status


def _node(pod: Object) -> str:
    return str(pod["spec"].get("nodeName") or "")
