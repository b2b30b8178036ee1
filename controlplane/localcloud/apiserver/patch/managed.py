"""managedFields: reading and writing the entries, and following ordinary writes.

Keeping them for every object makes each PATCH several times as expensive, and nobody reads most of them. So an object
gets managedFields with its first server-side apply, and from then on every write is followed. Who owned what before
is then reconstructed: fields in kubectl's last-applied annotation belong to kubectl's client-side apply, all others to
the manager `before-first-apply`, as API servers did that were upgraded from a release without managedFields.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.patch.fieldset import FieldSet, difference, intersection, union
from controlplane.localcloud.apiserver.patch.typed import compare, set_of
from controlplane.localcloud.apiserver.schema.types import TypeInfo
from controlplane.localcloud.clock import rfc3339

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BEFORE_FIRST_APPLY = "before-first-apply"
CLIENT_SIDE_APPLY = "kubectl-client-side-apply"
_MAX_UPDATERS = 10
_ANCIENT = "ancient-changes"
_NEVER_OWNED: FieldSet = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {
        ".": {},
        "f:name": {},
        "f:namespace": {},
        "f:creationTimestamp": {},
        "f:selfLink": {},
        "f:uid": {},
        "f:clusterName": {},
        "f:generation": {},
        "f:managedFields": {},
        "f:resourceVersion": {},
    },
}


@dataclass(frozen=True, slots=True)
class Manager:
    """Who owns fields: the key of a managedFields entry."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def __str__(self) -> str:
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return text if self.operation == "Apply" else f"{text} using {self.api_version}"


@dataclass(slots=True)
class Owned:
    """What one manager owns, and since when."""

    fields: FieldSet
    time: str


Managers = dict[Manager, Owned]


def read(obj: Object | None) -> Managers:
    """Read an object's managedFields; entries without fields are left out."""
    managers: Managers = {}
    for entry in ((obj or {}).get("metadata") or {}).get("managedFields") or ():
        fields = entry.get("fieldsV1")
        if not fields or not entry.get("manager"):
            continue
        operation = entry.get("operation", "Update")
        manager = Manager(entry["manager"], operation, entry.get("apiVersion", ""), entry.get("subresource", ""))
        managers[manager] = Owned(fields, entry.get("time", ""))
    return managers


def write(obj: Object, managers: Managers) -> None:
    """Write them into the object's metadata, in the server's order."""
    entries = []
    for manager, owned in sorted(managers.items(), key=_order):
        if not owned.fields:
            continue
        entry: dict[str, Any] = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": owned.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": owned.fields,
        }
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    metadata = dict(obj.get("metadata") or {})
    metadata.pop("managedFields", None)
    if entries:
        metadata["managedFields"] = entries
    obj["metadata"] = metadata


def _order(item: tuple[Manager, Owned]) -> tuple[str, str, str, str, str]:
    manager, owned = item
    return manager.operation, owned.time, manager.name, manager.api_version, manager.subresource


def ownable(info: TypeInfo, fields: FieldSet, subresource: str) -> FieldSet:
    """Leave out what cannot be owned: identity, and the part of the object that this endpoint does not write."""
    if subresource == "status":
        return {"f:status": fields["f:status"]} if "f:status" in fields else {}
    fields = difference(fields, _NEVER_OWNED)
    if "status" in info.subresources:
        fields.pop("f:status", None)
    return fields


def initial(info: TypeInfo, live: Object, applier: str, now: datetime) -> Managers:
    """Reconstruct who owned what of an object that was never followed."""
    everything = ownable(info, set_of(info.node, live), "")
    time = rfc3339(now)
    managers: Managers = {}
    applied = last_applied_set(info, live)
    if applied:
        applied = intersection(ownable(info, applied, ""), everything)
        # kubectl migrates its own client-side fields; doing it here lets its first server-side apply remove fields too.
        name, operation = (applier, "Apply") if applier == "kubectl" else (CLIENT_SIDE_APPLY, "Update")
        managers[Manager(name, operation, info.api_version)] = Owned(applied, time)
        everything = difference(everything, applied)
    managers[Manager(BEFORE_FIRST_APPLY, "Update", info.api_version)] = Owned(everything, time)
    if "status" in info.subresources and live.get("status"):
        status = ownable(info, set_of(info.node, live), "status")
        managers[Manager(BEFORE_FIRST_APPLY, "Update", info.api_version, "status")] = Owned(status, time)
    return managers


def last_applied_set(info: TypeInfo, live: Object) -> FieldSet:
    """Give the fields of kubectl's annotation, an empty set where there is none."""
    text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    try:
        value = json.loads(text) if text else None
    except ValueError:
        return {}
    return set_of(info.node, value) if isinstance(value, dict) else {}


def _is_reset(obj: Object) -> bool:
    return (obj.get("metadata") or {}).get("managedFields") == [{}]


def track_update(  # noqa: PLR0917 - the API server calls it in this order
    info: TypeInfo,
    old: Object | None,
    new: Object,
    manager: str,
    operation: str,
    now: datetime,
    subresource: str = "",
) -> None:
    """Follow an ordinary write in `new`'s managedFields, in place; objects that never saw an apply are left without.

    Call it after defaulting. `[{}]` in the request clears the managedFields; a request without any keeps the old ones.
    """
    metadata = new.setdefault("metadata", {})
    before = read(old)
    if _is_reset(new):
        write(new, {})
        return
    managers = before if subresource else (read(new) or before)
    if not managers:
        if "managedFields" in metadata:
            write(new, {})
        return
    difference_ = compare(info.node, _content(old), _content(new))
    gained = ownable(info, union(difference_.added, difference_.modified), subresource)
    lost = difference_.removed
    managers = _settle(managers, gained, lost, Manager(manager, operation, info.api_version, subresource), rfc3339(now))
    write(new, _capped(managers))


def _content(obj: Object | None) -> Object:
    if not obj:
        return {}
    metadata = obj.get("metadata") or {}
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _settle(managers: Managers, gained: FieldSet, lost: FieldSet, writer: Manager, time: str) -> Managers:
    result: Managers = {}
    for manager, owned in managers.items():
        fields = owned.fields
        if manager != writer and gained:
            fields = difference(fields, gained)
        if lost:
            fields = difference(fields, lost)
        if fields:
            result[manager] = Owned(fields, owned.time)
    if gained:
        present = result.get(writer)
        result[writer] = Owned(union(present.fields, gained) if present else gained, time)
    return result


def _capped(managers: Managers) -> Managers:
    updaters = sorted((item for item in managers.items() if item[0].operation == "Update"), key=_order)
    surplus = len(updaters) - _MAX_UPDATERS
    if surplus <= 0:
        return managers
    oldest = updaters[: surplus + 1]
    fields: FieldSet = {}
    for _, owned in oldest:
        fields = union(fields, owned.fields)
    result = {manager: owned for manager, owned in managers.items() if (manager, owned) not in oldest}
    result[Manager(_ANCIENT, "Update", oldest[0][0].api_version)] = Owned(fields, oldest[-1][1].time)
    return result
