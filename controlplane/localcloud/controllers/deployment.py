"""Deployment: rolls from one ReplicaSet to the next, keeps the old ones for undoing, and reports how it goes."""

from collections.abc import Iterable, Sequence
from typing import NoReturn

from controlplane.localcloud.apiserver.api import ApiError, Change, Object
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers import pods, progress, revisions, rollout
from controlplane.localcloud.controllers.adoption import claim
from controlplane.localcloud.controllers.events import EventRecorder
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import (
    annotations_of,
    clone,
    condition,
    controller_of,
    is_controlled_by,
    is_deleting,
    key_of,
    labels_of,
    own_key,
    uid_of,
)
from controlplane.localcloud.controllers.runtime import Controller, Key
from controlplane.localcloud.controllers.scaling import namespace_is_ending
from controlplane.localcloud.controllers.selectors import is_empty, matches

RESOURCE = "deployments.apps"
REPLICA_SETS = "replicasets.apps"


class DeploymentController:
    """Reconciles Deployments."""

    def __init__(self, informer: Informer, clock: Clock, recorder: EventRecorder) -> None:
        self._informer = informer
        self._api = informer.api
        self._clock = clock
        self._recorder = recorder
        self.loop = Controller(
            "deployment",
            informer,
            clock,
            sources={RESOURCE: own_key, REPLICA_SETS: self._keys_of_set, "pods": self._keys_of_pod},
            reconcile=self.reconcile,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self.loop.run()

    def _keys_of_set(self, change: Change) -> Iterable[Key]:
        rs = change.object
        namespace = rs["metadata"]["namespace"]
        owner = controller_of(rs)
        if owner is not None:
            return [(namespace, owner["name"])] if owner["kind"] == "Deployment" else []
        if change.type == "DELETED":
            return []
        deployments = self._informer.in_namespace(namespace, RESOURCE)
        return [key_of(d) for d in deployments if matches(d["spec"].get("selector"), labels_of(rs))]

    def _keys_of_pod(self, change: Change) -> Iterable[Key]:
        """Tell Recreate that an old Pod is gone; ReplicaSets report everything else."""
        if change.type != "DELETED":
            return []
        owner = controller_of(change.object)
        namespace = change.object["metadata"]["namespace"]
        if owner is None or owner["kind"] != "ReplicaSet":
            return []
        rs = self._api.find(REPLICA_SETS, owner["name"], namespace)
        above = controller_of(rs) if rs else None
        return [(namespace, above["name"])] if above else []

    async def reconcile(self, key: Key) -> float | None:
        """Bring one Deployment closer to what it asks for."""
        deployment = self._api.find(RESOURCE, key[1], key[0])
        if deployment is None:
            return None
        if is_empty(deployment["spec"].get("selector")):
            self._recorder.record(
                deployment,
                "Warning",
                "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required.",
            )
            return None
        sets = claim(self._informer, REPLICA_SETS, deployment, deployment["spec"]["selector"])
        if is_deleting(deployment):
            self._report_counts(deployment, sets, revisions.find_new(deployment, sets))
            return None
        deployment = self._note_pause(deployment)
        if deployment["spec"].get("paused") or rollout.scaled_elsewhere(deployment, sets):
            self._hold(deployment, sets)
            return None
        if rollout.is_rolling(deployment):
            return self._roll(deployment, sets)
        return self._recreate(deployment, sets)

    # --- the ways to bring it about

    def _hold(self, deployment: Object, sets: list[Object]) -> None:
        """Scale without rolling on: paused, or spec.replicas changed."""
        new = revisions.find_new(deployment, sets)
        old = _without(sets, new)
        if new is not None:
            deployment, new = self._adjust_new(deployment, new, old)
        for resize in rollout.rescale(deployment, new, old):
            self._resize(deployment, resize.replica_set, resize.replicas)
        if deployment["spec"].get("paused"):
            self._forget_old(deployment, old)
        self._report_counts(deployment, *self._fresh(deployment))

    def _roll(self, deployment: Object, sets: list[Object]) -> float | None:
        deployment, new, old = self._ensure_new(deployment, sets)
        present = rollout.replicas_of(new)
        wanted = rollout.replicas_of(deployment)
        if present != wanted:
            goal = wanted if present > wanted else rollout.size_of_new(deployment, [*old, new], present)
            if self._resize(deployment, new, goal):
                return self._report(deployment, *self._fresh(deployment))
        elif self._resize(deployment, new, wanted):  # the size annotations alone
            new = self._reread(new)
        for resize in rollout.shrink_old(deployment, new, old):
            self._resize(deployment, resize.replica_set, resize.replicas)
        return self._finish(deployment, old)

    def _recreate(self, deployment: Object, sets: list[Object]) -> float | None:
        """Stop everything old, wait until it is gone, then start the new."""
        new = revisions.find_new(deployment, sets)
        old = _without(sets, new)
        shrunk = [self._resize(deployment, rs, 0) for rs in old if rollout.replicas_of(rs) > 0]
        if any(shrunk) or self._old_pods_run(old):
            return self._report(deployment, *self._fresh(deployment))
        deployment, new, old = self._ensure_new(deployment, sets)
        self._resize(deployment, new, rollout.replicas_of(deployment))
        return self._finish(deployment, old)

    def _old_pods_run(self, old: Sequence[Object]) -> bool:
        return any(not pods.is_finished(pod) for rs in old for pod in self._informer.owned("pods", uid_of(rs)))

    def _finish(self, deployment: Object, old: Sequence[Object]) -> float | None:
        sets, new = self._fresh(deployment)
        status = progress.counted(deployment, sets, new, self._clock.now())
        if progress.is_complete(deployment, status):
            self._forget_old(deployment, [self._reread(rs) for rs in old])
        return self._report(deployment, sets, new)

    def _forget_old(self, deployment: Object, old: Sequence[Object]) -> None:
        limit = deployment["spec"].get("revisionHistoryLimit")
        if limit is None:
            return
        for rs in revisions.superseded(old, int(limit)):
            namespace, name = key_of(rs)
            try:
                self._api.delete(REPLICA_SETS, name, namespace, propagation="Background", uid=uid_of(rs))
            except ApiError as error:
                if error.code != 404:
                    raise

    # --- the newest ReplicaSet

    def _ensure_new(self, deployment: Object, sets: list[Object]) -> tuple[Object, Object, list[Object]]:
        new = revisions.find_new(deployment, sets)
        old = _without(sets, new)
        if new is not None:
            deployment, new = self._adjust_new(deployment, new, old)
        else:
            deployment, new = self._create_new(deployment, sets)
        return deployment, new, old

    def _adjust_new(self, deployment: Object, new: Object, old: Sequence[Object]) -> tuple[Object, Object]:
        """Make the ReplicaSet that has the present template the newest revision."""
        annotations = revisions.annotations_for(deployment, new, revisions.next_revision(old))
        min_ready = int(deployment["spec"].get("minReadySeconds") or 0)
        if annotations != annotations_of(new) or int(new["spec"].get("minReadySeconds") or 0) != min_ready:
            body = clone(new)
            body["metadata"]["annotations"] = annotations
            body["spec"]["minReadySeconds"] = min_ready
            new = self._api.update(REPLICA_SETS, body)
        deployment = self._take_revision(deployment, new)
        if condition(deployment.get("status"), "Progressing") is None:
            message = f'Found new replica set "{new["metadata"]["name"]}"'
            deployment = self._condition(deployment, progress.progressing("True", "FoundNewReplicaSet", message))
        return deployment, new

    def _create_new(self, deployment: Object, old: list[Object]) -> tuple[Object, Object]:
        collisions = int((deployment.get("status") or {}).get("collisionCount") or 0)
        body = revisions.new_replica_set(deployment, revisions.next_revision(old), collisions)
        size = rollout.size_of_new(deployment, old, 0)
        body["spec"]["replicas"] = size
        name = body["metadata"]["name"]
        try:
            new = self._informer.create(REPLICA_SETS, body, deployment["metadata"]["namespace"])
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return self._name_taken(deployment, name, collisions)
            self._creation_failed(deployment, name, error)
        if size > 0:
            self._say_scaled(deployment, name, 0, size)
        deployment = self._take_revision(deployment, new)
        message = f'Created new replica set "{name}"'
        return self._condition(deployment, progress.progressing("True", "NewReplicaSetCreated", message)), new

    def _name_taken(self, deployment: Object, name: str, collisions: int) -> tuple[Object, Object]:
        """Use the namesake if it is ours after all; else have the next look use another hash."""
        namesake = self._api.get(REPLICA_SETS, name, deployment["metadata"]["namespace"])
        template = deployment["spec"]["template"]
        if is_controlled_by(namesake, deployment) and revisions.same_template(namesake["spec"]["template"], template):
            return deployment, namesake
        body = clone(deployment)
        body["status"] = {**(body.get("status") or {}), "collisionCount": collisions + 1}
        self._api.update(RESOURCE, body, subresource="status")
        raise ApiError(409, "AlreadyExists", f"the hash of {name} collides with another ReplicaSet")

    def _creation_failed(self, deployment: Object, name: str, error: ApiError) -> NoReturn:
        if not namespace_is_ending(error):
            message = f'Failed to create new replica set "{name}": {error.message}'
            self._condition(deployment, progress.progressing("False", "ReplicaSetCreateError", message))
            self._recorder.record(deployment, "Warning", "ReplicaSetCreateError", message)
        raise error

    def _take_revision(self, deployment: Object, new: Object) -> Object:
        revision = annotations_of(new).get(revisions.REVISION)
        if revision is None or annotations_of(deployment).get(revisions.REVISION) == revision:
            return deployment
        namespace, name = key_of(deployment)
        patch = {"metadata": {"annotations": {revisions.REVISION: revision}, "uid": uid_of(deployment)}}
        return self._api.patch(RESOURCE, name, patch, namespace)

    # --- writes

    def _resize(self, deployment: Object, rs: Object, size: int) -> bool:
        """Set size and size annotations; say whether anything had to be written."""
        before = rollout.replicas_of(rs)
        wanted = rollout.size_annotations(deployment)
        noted = all(annotations_of(rs).get(name) == value for name, value in wanted.items())
        if before == size and noted:
            return False
        body = clone(self._reread(rs))
        body["spec"]["replicas"] = size
        body["metadata"]["annotations"] = {**annotations_of(body), **wanted}
        self._api.update(REPLICA_SETS, body)
        if before != size:
            self._say_scaled(deployment, rs["metadata"]["name"], before, size)
        return before != size

    def _say_scaled(self, deployment: Object, name: str, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {name} from {before} to {after}"
        self._recorder.record(deployment, "Normal", "ScalingReplicaSet", message)

    def _note_pause(self, deployment: Object) -> Object:
        """Tell that a pause stops the clock of the rollout's deadline, and that resuming starts it anew."""
        current = condition(deployment.get("status"), "Progressing")
        if not progress.has_deadline(deployment):
            return deployment
        if current is not None and current["reason"] == "ProgressDeadlineExceeded":
            return deployment
        was_paused = current is not None and current["reason"] == "DeploymentPaused"
        if deployment["spec"].get("paused") and not was_paused:
            verdict = progress.progressing("Unknown", "DeploymentPaused", "Deployment is paused")
        elif not deployment["spec"].get("paused") and was_paused:
            verdict = progress.progressing("Unknown", "DeploymentResumed", "Deployment is resumed")
        else:
            return deployment
        return self._condition(deployment, verdict)

    def _condition(self, deployment: Object, verdict: Object) -> Object:
        body = clone(deployment)
        status = body.setdefault("status", {})
        status["conditions"] = progress.with_deployment_condition(
            status.get("conditions") or [], verdict, self._clock.now()
        )
        return self._write_status(deployment, status)

    def _report_counts(self, deployment: Object, sets: Sequence[Object], new: Object | None) -> None:
        self._write_status(deployment, progress.counted(deployment, sets, new, self._clock.now()))

    def _report(self, deployment: Object, sets: Sequence[Object], new: Object | None) -> float | None:
        now = self._clock.now()
        status = progress.counted(deployment, sets, new, now)
        status = progress.judged(deployment, status, sets, new, now)
        self._write_status(deployment, status)
        return progress.recheck_after(deployment, status, now)

    def _write_status(self, deployment: Object, status: Object) -> Object:
        if status == (deployment.get("status") or {}):
            return deployment
        body = clone(deployment)
        body["status"] = status
        return self._api.update(RESOURCE, body, subresource="status")

    # --- reads

    def _reread(self, rs: Object) -> Object:
        namespace, name = key_of(rs)
        return self._api.find(REPLICA_SETS, name, namespace) or rs

    def _fresh(self, deployment: Object) -> tuple[list[Object], Object | None]:
        """Give the ReplicaSets as they are after this pass's writes."""
        sets = [rs for rs in self._informer.owned(REPLICA_SETS, uid_of(deployment)) if is_controlled_by(rs, deployment)]
        return sets, revisions.find_new(deployment, sets)


def _without(sets: Sequence[Object], new: Object | None) -> list[Object]:
    return [rs for rs in sets if new is None or uid_of(rs) != uid_of(new)]
