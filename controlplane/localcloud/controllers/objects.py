"""Small questions about Kubernetes objects that every controller asks: who owns this, which condition, how old.

Objects are plain dicts shared with the store, so everything here reads; what is to be changed is copied first.
"""

import copy
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Change, Object
from controlplane.localcloud.clock import rfc3339
from controlplane.localcloud.controllers.runtime import Key


def key_of(obj: Object) -> Key:
    """Give (namespace, name)."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def own_key(change: Change) -> Iterable[Key]:
    """Say that a change concerns the changed object itself."""
    return (key_of(change.object),)


def uid_of(obj: Object) -> str:
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def is_deleting(obj: Object) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def owners_of(obj: Object) -> list[Object]:
    return obj["metadata"].get("ownerReferences") or []


def controller_of(obj: Object) -> Object | None:
    """Give the owner reference whose holder manages this object, if there is one."""
    return next((owner for owner in owners_of(obj) if owner.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid_of(owner)


def controller_reference(owner: Object) -> Object:
    """Give the reference that makes `owner` the manager of an object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def parse_time(text: str | None) -> datetime | None:
    """Read a metav1.Time or MicroTime; an unreadable one counts as absent."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def created_at(obj: Object) -> datetime:
    return parse_time(obj["metadata"].get("creationTimestamp")) or datetime.max.replace(tzinfo=UTC)


def age_order(obj: Object) -> tuple[datetime, str]:
    """Give the sort key that puts the oldest first and breaks ties by name, as Kubernetes does."""
    return created_at(obj), str(obj["metadata"]["name"])


def condition(status: Mapping[str, Any] | None, kind: str) -> Object | None:
    """Give the condition of this type from a status."""
    return next((c for c in (status or {}).get("conditions") or [] if c.get("type") == kind), None)


def condition_is(obj: Object, kind: str, value: str = "True") -> bool:
    found = condition(obj.get("status"), kind)
    return found is not None and found.get("status") == value


def with_condition(conditions: Iterable[Object], new: Object, now: datetime) -> list[Object]:
    """Give the conditions with `new` in place; the transition time stays where the status value stays."""
    kept = list(conditions)
    old = next((c for c in kept if c["type"] == new["type"]), None)
    stamp = rfc3339(now)
    if old is not None and old["status"] == new["status"]:
        stamp = old.get("lastTransitionTime") or stamp
    fresh = {**new, "lastTransitionTime": stamp}
    if old is None:
        return [*kept, fresh]
    return [fresh if c is old else c for c in kept]


def clone(obj: Object) -> Object:
    """Give a copy that may be changed."""
    return copy.deepcopy(obj)


def nonzero(**counts: int | None) -> Object:
    """Give the counts that are not zero, since Kubernetes leaves zero counts out of a status."""
    return {name: count for name, count in counts.items() if count}
