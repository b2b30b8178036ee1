"""Which objects a controller manages: it takes up orphans that its selector matches and lets go of what no longer does.

Adoption and release are patches guarded by the object's uid, so a namesake created in between is never touched.
"""

from collections.abc import Iterable
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.objects import (
    controller_of,
    controller_reference,
    is_deleting,
    key_of,
    labels_of,
    owners_of,
    uid_of,
)
from controlplane.localcloud.controllers.selectors import matches


def claim(informer: Informer, resource: str, owner: Object, selector: dict[str, Any]) -> list[Object]:
    """Give the objects the owner manages, after adopting and releasing."""
    namespace = owner["metadata"]["namespace"]
    seen: dict[str, Object] = {}
    for obj in (*informer.owned(resource, uid_of(owner)), *informer.select(resource, namespace, selector)):
        seen[uid_of(obj)] = obj
    return sorted(_claimed(informer, resource, owner, selector, seen.values()), key=key_of)


def _claimed(
    informer: Informer, resource: str, owner: Object, selector: dict[str, Any], candidates: Iterable[Object]
) -> Iterable[Object]:
    for obj in candidates:
        reference = controller_of(obj)
        fits = matches(selector, labels_of(obj))
        if reference is not None:
            if reference["uid"] != uid_of(owner):
                continue
            if fits or is_deleting(owner):
                yield obj
            else:
                _set_owners(informer, resource, obj, [o for o in owners_of(obj) if o["uid"] != uid_of(owner)])
        elif fits and not is_deleting(owner) and not is_deleting(obj):
            adopted = _set_owners(informer, resource, obj, [*owners_of(obj), controller_reference(owner)])
            if adopted is not None:
                yield adopted


def _set_owners(informer: Informer, resource: str, obj: Object, owners: list[Object]) -> Object | None:
    namespace, name = key_of(obj)
    patch = {
        "metadata": {
            "uid": uid_of(obj),
            "resourceVersion": obj["metadata"].get("resourceVersion"),
            "ownerReferences": owners or None,
        }
    }
    try:
        return informer.api.patch(resource, name, patch, namespace)
    except ApiError as error:
        if error.code == 404:
            return None
        raise
