"""Reading `application/vnd.kubernetes.protobuf`, which imperative kubectl commands post.

`kubectl create namespace`, `run`, `expose` and their kin send protobuf and do not fall back to JSON. The messages'
field numbers are kept as a table in `fields.txt`; the decoder walks the wire format and looks fields up, so that no
generated code is needed. Fields that the table does not know are skipped, as protobuf readers do.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Any

from controlplane.localcloud.apiserver.api import ApiError, Object

MAGIC = b"k8s\x00"
MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
Fields = dict[int, tuple[str, str]]

# Embedded structs: separate messages in protobuf, but part of their parent in JSON.
_INLINE = frozenset(
    {
        "handler",
        "volumeSource",
        "persistentVolumeSource",
        "ephemeralContainerCommon",
        "localObjectReference",
        "ingressRuleValue",
    }
)
# Go writes plain zero values, which mean "unset"; these are pointers, whose zero is a value.
_MEANINGFUL_ZERO = frozenset({
    "replicas", "parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds",
    "suspend", "partition", "terminationGracePeriodSeconds", "gracePeriodSeconds", "revisionHistoryLimit",
    "progressDeadlineSeconds", "minReplicas", "successfulJobsHistoryLimit", "failedJobsHistoryLimit",
    "startingDeadlineSeconds", "tolerationSeconds", "priority", "value", "automountServiceAccountToken",
    "enableServiceLinks", "shareProcessNamespace", "optional", "controller", "blockOwnerDeletion", "privileged",
    "readOnlyRootFilesystem", "allowPrivilegeEscalation", "runAsNonRoot", "runAsUser", "runAsGroup", "fsGroup",
    "defaultMode", "mode", "expirationSeconds", "allocateLoadBalancerNodePorts",
    "immutable", "backoffLimitPerIndex", "maxFailedIndexes", "stabilizationWindowSeconds", "allowVolumeExpansion",
    "port", "ready", "serving", "terminating",
})  # fmt: skip
_HOLLOW = frozenset(
    {"status", "resources", "strategy", "updateStrategy", "loadBalancer", "source", "template", "rollout"}
)


def decode(body: bytes) -> Object:
    """Give the object in the envelope as JSON would have it; ApiError 400 or 415 where it cannot be read."""
    if not body.startswith(MAGIC):
        raise ApiError(400, "BadRequest", "provided data does not appear to be a protobuf message, expected prefix k8s")
    try:
        envelope = dict(_parse(memoryview(body)[4:]))
        meta = dict(_parse(envelope.get(1, memoryview(b""))))
        api_version, kind = _text(meta.get(1, b"")), _text(meta.get(2, b""))
        message = _message_name(api_version, kind)
        if message is None:
            raise ApiError(
                415,
                "UnsupportedMediaType",
                f"{kind} in version {api_version!r} is not understood as protobuf: send it as JSON",
            )
        return {"apiVersion": api_version, "kind": kind, **_message(message, envelope.get(2, memoryview(b"")))}
    except (ValueError, IndexError, TypeError) as error:
        raise ApiError(400, "BadRequest", f"the protobuf body cannot be read: {error}") from error


@lru_cache(maxsize=1)
def _table() -> dict[str, Fields]:
    table: dict[str, Fields] = {}
    text = resources.files(__package__).joinpath("fields.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, _, rest = line.partition("\t")
        fields: Fields = {}
        for part in rest.split("; ") if rest else ():
            number, field, kind = part.split(" ")
            fields[int(number)] = (field, kind)
        table[name] = fields
    return table


def _message_name(api_version: str, kind: str) -> str | None:
    if kind == "DeleteOptions":
        return "meta.DeleteOptions"
    group, _, version = api_version.rpartition("/")
    name = f"{group.split('.')[0] or 'core'}/{version}.{kind}"
    return name if name in _table() else None


def _text(value: Any) -> str:
    return bytes(value).decode()


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _parse(data: memoryview) -> list[tuple[int, Any]]:
    """Give the fields of one message as numbers and raw values."""
    found: list[tuple[int, Any]] = []
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        wire = tag & 7
        if wire == 0:
            value: Any
            value, position = _varint(data, position)
        elif wire == 2:
            length, position = _varint(data, position)
            if position + length > end:
                raise ValueError("it ends too early")
            value = data[position : position + length]
            position += length
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value = data[position : position + size]
            position += size
        else:
            raise ValueError(f"wire type {wire} is not in use")
        found.append((tag >> 3, value))
    return found


def _message(name: str, data: memoryview) -> Any:
    special = _SPECIAL.get(name)
    if special is not None:
        return special(data)
    fields = _table()[name]
    result: Object = {}
    for number, raw in _parse(data):
        known = fields.get(number)
        if known is not None:
            _store(result, *known, raw)
    return {key: value for key, value in result.items() if not _is_unset(key, value)}


def _store(result: Object, key: str, kind: str, raw: Any) -> None:
    if kind[0] == "[":
        result.setdefault(key, []).append(_value(kind[1:-1], raw))
    elif kind[0] == "{":
        entry = dict(_parse(raw))
        value_kind = kind[1:-1]
        empty: Any = 0 if value_kind in ("int", "bool") else memoryview(b"")
        result.setdefault(key, {})[_text(entry.get(1, b""))] = _value(value_kind, entry.get(2, empty))
    elif key in _INLINE:
        result.update(_value(kind, raw))
    else:
        result[key] = _value(kind, raw)


def _is_unset(key: str, value: Any) -> bool:
    if value is None or value == "":
        return True
    if isinstance(value, dict) and not value:
        return key in _HOLLOW
    return value in (0, False) and not isinstance(value, dict | list) and key not in _MEANINGFUL_ZERO


def _value(kind: str, raw: Any) -> Any:
    if kind == "string":
        return _text(raw)
    if kind == "int":
        return raw - (1 << 64) if raw >= 1 << 63 else raw
    if kind == "bool":
        return bool(raw)
    if kind == "bytes":
        return base64.b64encode(bytes(raw)).decode()
    if kind == "double":
        import struct

        return struct.unpack("<d", bytes(raw))[0]
    return _message(kind, raw)


def _time(data: memoryview) -> str | None:
    fields = dict(_parse(data))
    if not fields.get(1):
        return None  # Go's zero time
    return datetime.fromtimestamp(fields[1], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_time(data: memoryview) -> str | None:
    fields = dict(_parse(data))
    if not fields.get(1):
        return None
    instant = datetime.fromtimestamp(fields[1], UTC) + timedelta(microseconds=fields.get(2, 0) // 1000)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _int_or_string(data: memoryview) -> int | str:
    fields = dict(_parse(data))
    return _text(fields.get(3, b"")) if fields.get(1) else int(_value("int", fields.get(2, 0)))


def _quantity(data: memoryview) -> str:
    return _text(dict(_parse(data)).get(1, b"")) or "0"


def _raw_json(data: memoryview) -> Any:
    raw = bytes(dict(_parse(data)).get(1, b""))
    return json.loads(raw) if raw else None


_SPECIAL = {
    "meta.Time": _time,
    "meta.MicroTime": _micro_time,
    "meta.FieldsV1": _raw_json,
    "intstr.IntOrString": _int_or_string,
    "resource.Quantity": _quantity,
    "runtime.RawExtension": _raw_json,
}
