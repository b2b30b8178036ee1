"""Subresources that are no plain part of their object: scale, binding, eviction, a ServiceAccount's token."""

import re
from typing import Any

from controlplane.localcloud.apiserver.accounts import AccountTokens
from controlplane.localcloud.apiserver.api import ApiError, Object, PatchKind
from controlplane.localcloud.apiserver.checks import check_name, told_as_patch
from controlplane.localcloud.apiserver.deletion import Deletion
from controlplane.localcloud.apiserver.errors import (
    bad_request,
    conflict,
    method_not_allowed,
    modified,
    no_such_path,
    not_found,
    too_many_requests,
)
from controlplane.localcloud.apiserver.options import DeleteOptions, WriteOptions
from controlplane.localcloud.apiserver.patch import json_patch, merge_patch
from controlplane.localcloud.apiserver.records import Record
from controlplane.localcloud.apiserver.registry import shelf_name
from controlplane.localcloud.apiserver.schema import FieldError, TypeInfo, decode_extra
from controlplane.localcloud.apiserver.schema.errors import invalid_error
from controlplane.localcloud.apiserver.selectors import matches_label_selector, selector_text
from controlplane.localcloud.apiserver.store import Store
from controlplane.localcloud.apiserver.writes import Writes, own_copy
from controlplane.localcloud.clock import Clock, rfc3339

SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
_MANY_BUDGETS = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


class Subresources:
    """What is posted to, read from and written to parts of objects."""

    def __init__(self, store: Store, writes: Writes, deletion: Deletion, accounts: AccountTokens, clock: Clock) -> None:
        self._store = store
        self._writes = writes
        self._deletion = deletion
        self._accounts = accounts
        self._clock = clock

    def create(
        self, info: TypeInfo, namespace: str, name: str, subresource: str, body: Any, *, options: WriteOptions
    ) -> Object:
        """Post to a subresource."""
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized: not an object")
        if info.resource == "pods" and subresource == "binding":
            return self._bind(info, namespace, name, body, options)
        if info.resource == "pods" and subresource == "eviction":
            body = decode_extra("io.k8s.api.policy.v1.Eviction", body)
            return self._evict(info, namespace, name, body, options)
        if info.resource == "serviceaccounts" and subresource == "token":
            self._live(info, namespace, name)
            body = decode_extra("io.k8s.api.authentication.v1.TokenRequest", body)
            return self._accounts.request(namespace, name, body)
        if subresource in info.subresources:
            raise method_not_allowed()
        raise no_such_path()

    def scale(self, info: TypeInfo, namespace: str, name: str) -> Object:
        """Give an object's Scale."""
        return self._scale_of(info, self._live(info, namespace, name))

    def update_scale(self, info: TypeInfo, namespace: str, name: str, body: Any, options: WriteOptions) -> Object:
        """Replace an object's Scale."""
        live = self._live(info, namespace, name)
        return self._scale_of(info, self._set_scale(info, live, body, options))

    def patch_scale(
        self, info: TypeInfo, namespace: str, name: str, kind: PatchKind, patch: Any, *, options: WriteOptions
    ) -> Object:
        """Patch an object's Scale; a Scale is so small that a strategic merge or an apply is a merge."""
        live = self._live(info, namespace, name)
        before = self._scale_of(info, live)
        after = json_patch(before, patch) if kind == "json" else merge_patch(before, patch)
        with told_as_patch(patch):
            return self._scale_of(info, self._set_scale(info, live, after, options))

    def _live(self, info: TypeInfo, namespace: str, name: str) -> Record:
        record = self._store.find(shelf_name(info), (namespace, name))
        if record is None:
            raise not_found(info.resource, name)
        return record

    def _scale_of(self, info: TypeInfo, record: Record) -> Object:
        obj, paths = record.object, info.scale
        if paths is None:
            raise no_such_path()
        metadata = obj["metadata"]
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        status: Object = {"replicas": _get(obj, paths.status_replicas) or 0}
        if info.custom:
            selector = _get(obj, paths.selector) if paths.selector else None
        else:
            wanted = (obj.get("spec") or {}).get("selector")
            selector = selector_text(wanted if "matchLabels" in (wanted or {}) or "matchExpressions" in (wanted or {})
                                     else {"matchLabels": wanted})  # fmt: skip
        if selector:
            status["selector"] = selector
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: metadata[key] for key in kept if key in metadata},
            "spec": {"replicas": _get(obj, paths.replicas) or 0},
            "status": status,
        }

    def _set_scale(self, info: TypeInfo, live: Record, scale: Any, options: WriteOptions) -> Record:
        metadata = live.object["metadata"]
        name = metadata["name"]
        if not isinstance(scale, dict) or info.scale is None:
            raise bad_request("the object provided is unrecognized (must be of type Scale)")
        scale = decode_extra("io.k8s.api.autoscaling.v1.Scale", scale)
        check_name(name, (scale.get("metadata") or {}).get("name") or name)
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        if replicas < 0:
            error = FieldError("FieldValueInvalid", "spec.replicas", replicas, "must be greater than or equal to 0")
            raise invalid_error("autoscaling", "Scale", name, [error])
        version = (scale.get("metadata") or {}).get("resourceVersion")
        if version and version != metadata["resourceVersion"]:
            raise modified(info.resource, name)
        obj = own_copy(live.object)
        _set(obj, info.scale.replicas, replicas)
        return self._writes.replace(info, live, obj, options)

    def _bind(self, info: TypeInfo, namespace: str, name: str, body: Object, options: WriteOptions) -> Object:
        live = self._live(info, namespace, name)
        node = (body.get("target") or {}).get("name")
        if not node:
            error = FieldError("FieldValueRequired", "target.name", "", "")
            raise invalid_error("", "Binding", name, [error])
        present = live.object["spec"].get("nodeName")
        if live.object["metadata"].get("deletionTimestamp"):
            raise conflict("pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host")
        if present:
            raise conflict("pods/binding", name, f'pod {name} is already assigned to node "{present}"')
        obj = own_copy(live.object)
        obj["spec"]["nodeName"] = node
        status = obj.setdefault("status", {})
        others = [one for one in status.get("conditions") or () if one["type"] != "PodScheduled"]
        now = rfc3339(self._clock.now())
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
        status["conditions"] = [*others, scheduled]
        annotations = (body.get("metadata") or {}).get("annotations")
        if annotations:
            obj["metadata"].setdefault("annotations", {}).update(annotations)
        if not options.dry_run:
            self._writes.store_as_is(info, live, obj)
        return SUCCESS

    def _evict(self, info: TypeInfo, namespace: str, name: str, body: Object, options: WriteOptions) -> Object:
        live = self._live(info, namespace, name)
        wanted = body.get("deleteOptions") or {}
        preconditions = wanted.get("preconditions") or {}
        dry_run = options.dry_run or wanted.get("dryRun") == ["All"]
        if not _leaves_freely(live.object):
            self._spend_budget(live.object, dry_run=dry_run)
        grace, propagation = wanted.get("gracePeriodSeconds"), wanted.get("propagationPolicy")
        uid, version = preconditions.get("uid"), preconditions.get("resourceVersion")
        self._deletion.delete(
            info, namespace, name, DeleteOptions(options.user, propagation, grace, uid, version, dry_run)
        )
        return SUCCESS

    def _spend_budget(self, pod: Object, *, dry_run: bool) -> None:
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        budgets = [
            record
            for record in self._store.objects("poddisruptionbudgets.policy", metadata["namespace"])
            if matches_label_selector(record.object["spec"].get("selector"), labels)
        ]
        if len(budgets) > 1:
            raise ApiError(500, "InternalError", _MANY_BUDGETS)
        if not budgets:
            return
        budget = budgets[0].object
        status = budget.get("status") or {}
        if (status.get("observedGeneration") or 0) < (budget["metadata"].get("generation") or 0):
            message = f"The disruption budget {budget['metadata']['name']} is still being processed by the server."
            raise _refused(message, retry_after=10)
        if (status.get("disruptionsAllowed") or 0) <= 0:
            message = (
                f"The disruption budget {budget['metadata']['name']} needs {status.get('desiredHealthy', 0)} healthy "
                f"pods and has {status.get('currentHealthy', 0)} currently"
            )
            raise _refused(message, retry_after=0)
        if dry_run:
            return
        disrupted = {**(status.get("disruptedPods") or {}), metadata["name"]: rfc3339(self._clock.now())}
        spent = {**status, "disruptionsAllowed": status["disruptionsAllowed"] - 1, "disruptedPods": disrupted}
        info = self._writes.type_of("poddisruptionbudgets.policy")
        self._writes.store_as_is(info, budgets[0], {**own_copy(budget), "status": spent})


def _refused(message: str, *, retry_after: int) -> ApiError:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": message}]}
    if retry_after:
        details["retryAfterSeconds"] = retry_after
    return too_many_requests(_VIOLATES, retry_after=retry_after or 1, details=details)


def _leaves_freely(pod: Object) -> bool:
    """Say whether a budget does not protect the Pod: it runs no more, not yet, or is leaving already."""
    phase = (pod.get("status") or {}).get("phase")
    return phase in ("Succeeded", "Failed", "Pending") or bool(pod["metadata"].get("deletionTimestamp"))


def _parts(path: str) -> list[str]:
    return [part for part in re.split(r"[.\[\]'\"]+", path) if part]


def _get(obj: Any, path: str) -> Any:
    for part in _parts(path):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def _set(obj: Object, path: str, value: Any) -> None:
    *parents, last = _parts(path)
    for part in parents:
        obj = obj.setdefault(part, {})
    obj[last] = value
