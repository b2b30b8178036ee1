"""Server-side apply: the applied configuration is merged, ownership is settled, conflicts are told.

The order is the reference implementation's: merge onto the live object, take away what this manager applied last time
and nobody owns now, compare with the live object, and refuse changes of fields that others own unless forced.
"""

import json
from datetime import datetime
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object
from controlplane.localcloud.apiserver.patch.fieldset import (
    FieldSet,
    difference,
    intersection,
    path_text,
    paths,
    union,
)
from controlplane.localcloud.apiserver.patch.managed import (
    LAST_APPLIED,
    Manager,
    Managers,
    Owned,
    initial,
    last_applied_set,
    ownable,
    read,
    write,
)
from controlplane.localcloud.apiserver.patch.typed import compare, merge, misfit, set_of, without
from controlplane.localcloud.apiserver.schema.errors import bad_request
from controlplane.localcloud.apiserver.schema.gojson import json_kind
from controlplane.localcloud.apiserver.schema.types import TypeInfo
from controlplane.localcloud.apiserver.schema.walk import decode, unknown_fields
from controlplane.localcloud.clock import rfc3339

Conflicts = dict[Manager, FieldSet]


def server_side_apply(  # noqa: PLR0917 - the API server calls it in this order
    info: TypeInfo,
    live: Object | None,
    applied: Any,
    manager: str,
    force: bool,  # a parameter of the request
    now: datetime,
    subresource: str = "",
) -> Object:
    """Give the object after the apply, with managedFields; 409 on conflicts.

    Neither argument is changed. An apply that changes nothing gives back an object equal to `live`. Defaulting and
    validation are the caller's, afterwards.
    """
    wanted = _readable(info, applied)
    metadata = wanted.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields"):
        raise ApiError(400, "BadRequest", "metadata.managedFields must be nil")
    base = _without_managed(live) if live is not None else _identity(wanted)
    managers = read(live)
    if not managers and live is not None:
        managers = initial(info, live, manager, now)
    me = _applier(managers, manager, info.api_version, subresource)
    last = managers[me].fields if me in managers else {}
    mine = ownable(info, set_of(info.node, wanted), subresource)
    merged = _merged(info, base, wanted, last=last, mine=mine, managers=managers, me=me, subresource=subresource)
    conflicts = _settle(info, base if live is not None else {}, merged, managers, me)
    if conflicts and not force and not _allowed(info, live, conflicts, manager):
        raise conflict_error(conflicts)
    if manager == "kubectl":
        merged = _with_last_applied(merged, applied)  # after the settling: nobody's ownership of it changes
    time = rfc3339(now)
    if not (live is not None and me in managers and managers[me].fields == mine and not conflicts and merged == base):
        managers[me] = Owned(mine, time)
    result = dict(merged)
    write(result, managers)
    return result


def _applier(managers: Managers, name: str, api_version: str, subresource: str) -> Manager:
    for manager in managers:
        if manager.name == name and manager.operation == "Apply" and manager.subresource == subresource:
            if manager.api_version == api_version:
                return manager
            managers[Manager(name, "Apply", api_version, subresource)] = managers.pop(manager)
            break
    return Manager(name, "Apply", api_version, subresource)


def _readable(info: TypeInfo, applied: Any) -> Object:
    if not isinstance(applied, dict):
        text = f"json: cannot unmarshal {json_kind(applied)} into Go value of type map[string]interface {{}}"
        raise bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {text}")
    unknown = unknown_fields(info, applied)
    if unknown:
        first = unknown[0].removeprefix('unknown field "').removesuffix('"')
        raise _untyped(info, applied, f".{first}: field not declared in schema")
    problem = misfit(info.node, applied, "")
    if problem:
        raise _untyped(info, applied, problem)
    decoded: Object = decode(info, applied)
    return decoded


def _untyped(info: TypeInfo, applied: Object, problem: str) -> ApiError:
    metadata = applied.get("metadata") or {}
    version = f"{info.group}/{info.version}" if info.group else f"/{info.version}"
    place = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {version}, Kind={info.kind}"
    return ApiError(500, "", f"failed to create typed patch object ({place}): {problem}")


def _without_managed(live: Object) -> Object:
    metadata = live.get("metadata") or {}
    return {**live, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _identity(wanted: Object) -> Object:
    return {key: wanted[key] for key in ("apiVersion", "kind") if key in wanted}


def _merged(
    info: TypeInfo,
    base: Object,
    wanted: Object,
    *,
    last: FieldSet,
    mine: FieldSet,
    managers: Managers,
    me: Manager,
    subresource: str,
) -> Object:
    if subresource == "status":
        wanted = {key: value for key, value in wanted.items() if key in ("apiVersion", "kind", "status")}
    elif "status" in info.subresources:
        wanted = {key: value for key, value in wanted.items() if key != "status"}
    merged = merge(info.node, base, wanted)
    if not last:
        return dict(merged)
    kept = mine
    for manager, owned in managers.items():
        if manager != me:
            kept = union(kept, owned.fields)
    # Identity is never owned, so it can never be taken away; metadata itself stays with it.
    kept = union(kept, {"f:metadata": {".": {}}})
    return dict(without(info.node, merged, last, kept) or {})


def _settle(info: TypeInfo, base: Object, merged: Object, managers: Managers, me: Manager) -> Conflicts:
    changes = compare(info.node, base, merged)
    taken = union(changes.modified, changes.added)
    conflicts: Conflicts = {}
    for manager, owned in list(managers.items()):
        if manager == me:
            continue
        clash = intersection(owned.fields, taken) if taken else {}
        fields = owned.fields
        if clash:
            conflicts[manager] = clash
            fields = difference(fields, clash)
        if changes.removed:
            fields = difference(fields, changes.removed)
        if not fields:
            del managers[manager]
        elif fields is not owned.fields:
            managers[manager] = Owned(fields, owned.time)
    return conflicts


def _allowed(info: TypeInfo, live: Object | None, conflicts: Conflicts, manager: str) -> bool:
    """Let kubectl take over what its own client-side apply had set."""
    if manager != "kubectl" or live is None:
        return False
    mine = last_applied_set(info, live)
    return bool(mine) and not any(difference(clash, mine) for clash in conflicts.values())


def _with_last_applied(merged: Object, applied: Object) -> Object:
    """Keep kubectl's annotation true where an object has one, so that client-side apply still works afterwards."""
    annotations = (merged.get("metadata") or {}).get("annotations") or {}
    if LAST_APPLIED not in annotations:
        return merged
    metadata = dict(applied.get("metadata") or {})
    own = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != LAST_APPLIED}
    metadata["annotations"] = own
    text = json.dumps({**applied, "metadata": metadata}, separators=(",", ":"), sort_keys=True) + "\n"
    return {
        **merged,
        "metadata": {**merged["metadata"], "annotations": {**annotations, LAST_APPLIED: text}},
    }


def conflict_error(conflicts: Conflicts) -> ApiError:
    """Give the 409 with the reference's text and one cause for each field."""
    found = [
        (str(manager), path_text(path))
        for manager, fields in sorted(conflicts.items(), key=lambda item: str(item[0]))
        for path in paths(fields)
    ]
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": path}
        for manager, path in found
    ]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {found[0][1]}"
    else:
        lines: list[str] = []
        for manager, path in found:
            heading = f"conflicts with {manager}:"
            if heading not in lines:
                lines.append(heading)
            lines.append(f"- {path}")
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, details={"causes": causes})
