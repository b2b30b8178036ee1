"""An HTTP request, read: where it points, what it asks for, what its body says.

This stands in the hot path of every call, so it is plain string work over the ASGI scope.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson
import yaml

from controlplane.localcloud.apiserver.api import PatchKind
from controlplane.localcloud.apiserver.authorization import User
from controlplane.localcloud.apiserver.errors import bad_request, too_large, unsupported_media_type
from controlplane.localcloud.apiserver.options import DeleteOptions, WriteOptions
from controlplane.localcloud.apiserver.protobuf import MEDIA_TYPE as PROTOBUF
from controlplane.localcloud.apiserver.protobuf import decode as decode_protobuf
from controlplane.localcloud.apiserver.reads import ListOptions
from controlplane.localcloud.apiserver.schema import FieldError
from controlplane.localcloud.apiserver.schema.errors import invalid_error
from controlplane.localcloud.faults import Receive, Scope

JSON, YAML = "application/json", "application/yaml"
PATCHES: Mapping[str, PatchKind] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
    "application/apply-patch+cbor": "apply",
}
NOBODY = User("system:anonymous", ("system:unauthenticated",))
_LARGEST_BODY = 3 * 1024 * 1024
_LONGEST_MANAGER = 128
_POLICIES = ("Foreground", "Background", "Orphan")


@dataclass(frozen=True, slots=True)
class Target:
    """What a path under /api or /apis names."""

    group: str
    version: str
    plural: str = ""
    namespace: str | None = None
    name: str = ""
    subresource: str = ""
    rest: str = ""
    watches: bool = False


class Request:
    """One request; the body is read on demand."""

    __slots__ = ("body", "headers", "method", "path", "query", "receive", "scope", "user")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        raw = scope["query_string"]
        self.query: dict[str, str] = dict(parse_qsl(raw.decode(), keep_blank_values=True)) if raw else {}
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.body = b""
        self.user = NOBODY

    def header(self, name: bytes) -> str:
        """Give a header by its lower-case name."""
        return self.headers.get(name, b"").decode("latin-1")

    async def read(self) -> None:
        """Read the body."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client left before its body was read")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > _LARGEST_BODY:
                raise too_large(_LARGEST_BODY)
            if not message.get("more_body"):
                break
        self.body = parts[0] if len(parts) == 1 else b"".join(parts)

    def object(self, kind: str) -> Any:
        """Give the body as an object, whatever format it has."""
        content_type = self.header(b"content-type").partition(";")[0].strip() or JSON
        if content_type == PROTOBUF:
            return decode_protobuf(self.body)
        if content_type == JSON:
            return _json(self.body, kind)
        if content_type in (YAML, "application/x-yaml"):
            return _yaml(self.body)
        raise unsupported_media_type(JSON, YAML, PROTOBUF)

    def patch(self, kind: str) -> tuple[PatchKind, Any]:
        """Give the kind of patch and the patch."""
        content_type = self.header(b"content-type").partition(";")[0].strip()
        patch_kind = PATCHES.get(content_type)
        if patch_kind is None or content_type.endswith("cbor"):
            raise unsupported_media_type(*(one for one in PATCHES if not one.endswith("cbor")))
        return patch_kind, _yaml(self.body) if patch_kind == "apply" else _json(self.body, kind)

    def flag(self, name: str) -> bool:
        """Read a boolean parameter as apimachinery does: whatever is there means yes, but for two words."""
        return name in self.query and self.query[name].lower() not in ("false", "0")

    def integer(self, name: str) -> int | None:
        """Read a number."""
        text = self.query.get(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None

    def list_options(self, name: str = "") -> ListOptions:
        """Read the parameters of a list; a name in the path is a field selector."""
        query = self.query
        fields = query.get("fieldSelector", "")
        if name:
            fields = f"metadata.name={name}" + (f",{fields}" if fields else "")
        if not query:
            return ListOptions(field_selector=fields)
        self.integer("timeoutSeconds")
        return ListOptions(
            query.get("labelSelector", ""),
            fields,
            query.get("resourceVersion", ""),
            query.get("resourceVersionMatch", ""),
            max(self.integer("limit") or 0, 0),
            query.get("continue", ""),
        )

    def write_options(self, user: str, kind: str) -> WriteOptions:
        """Read the parameters of a write."""
        query = self.query
        validation = query.get("fieldValidation") or "Warn"
        if validation not in ("Ignore", "Warn", "Strict"):
            text = 'supported values: "Ignore", "Strict", "Warn"'
            error = FieldError("FieldValueNotSupported", "fieldValidation", validation, text)
            raise invalid_error("meta.k8s.io", kind, "", [error])
        force = self.flag("force")
        manager = query.get("fieldManager", "")
        if kind == "PatchOptions" and not manager and "apply-patch" in self.header(b"content-type"):
            error = FieldError("FieldValueRequired", "fieldManager", "", "is required for apply patch")
            raise invalid_error("meta.k8s.io", kind, "", [error])
        if kind == "PatchOptions" and force and "apply-patch" not in self.header(b"content-type"):
            error = FieldError("FieldValueForbidden", "force", "", "may not be specified for non-apply patch")
            raise invalid_error("meta.k8s.io", kind, "", [error])
        if len(manager.encode()) > _LONGEST_MANAGER:
            why = f"may not be more than {_LONGEST_MANAGER} bytes"
            raise invalid_error("meta.k8s.io", kind, "", [FieldError("FieldValueTooLong", "fieldManager", "", why)])
        if not manager:
            manager = self.header(b"user-agent").partition("/")[0][:_LONGEST_MANAGER] or "unknown"
        dry_run = self._dry_run(query.get("dryRun"), kind)
        return WriteOptions(user, manager, dry_run, validation, force)

    def _dry_run(self, value: Any, kind: str) -> bool:
        if value in (None, "", []):
            return False
        if value in ("All", ["All"]):
            return True
        shown = value if isinstance(value, str) else value[0]
        error = FieldError("FieldValueNotSupported", "dryRun", shown, 'supported values: "All"')
        raise invalid_error("meta.k8s.io", kind, "", [error])

    def delete_options(self, user: str) -> DeleteOptions:
        """Read DeleteOptions from the body, or from the query where there is none."""
        body = self.object("DeleteOptions") if self.body else {}
        if not isinstance(body, dict):
            raise bad_request("the object provided is unrecognized (must be of type DeleteOptions)")
        query = self.query
        propagation: Any = body.get("propagationPolicy") or query.get("propagationPolicy") or None
        if propagation not in (None, *_POLICIES):
            text = 'supported values: "Foreground", "Background", "Orphan", "nil"'
            error = FieldError("FieldValueNotSupported", "propagationPolicy", propagation, text)
            raise invalid_error("meta.k8s.io", "DeleteOptions", "", [error])
        if (orphans := body.get("orphanDependents")) is not None:
            if propagation is not None:
                text = "orphanDependents and deletionPropagation cannot be both set"
                error = FieldError("FieldValueInvalid", "propagationPolicy", propagation, text)
                raise invalid_error("meta.k8s.io", "DeleteOptions", "", [error])
            propagation = "Orphan" if orphans else "Background"
        check_delete_options(body)
        grace = body.get("gracePeriodSeconds")
        if grace is None:
            grace = self.integer("gracePeriodSeconds")
        preconditions = body.get("preconditions") or {}
        return DeleteOptions(
            user,
            propagation,
            max(int(grace), 0) if grace is not None else None,
            preconditions.get("uid"),
            preconditions.get("resourceVersion"),
            self._dry_run(body.get("dryRun") or query.get("dryRun"), "DeleteOptions"),
        )


def _json(body: bytes, kind: str) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        shown = body[:200].decode(errors="replace")
        raise bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
            f"json parse error: {error} ({shown})"
        ) from None


def _yaml(body: bytes) -> Any:
    try:
        if body.lstrip()[:1] in (b"{", b"["):
            return orjson.loads(body)
        return yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:
        raise bad_request(f"error decoding YAML: {error}") from None


def check_delete_options(body: dict[str, Any]) -> None:
    """Refuse DeleteOptions whose fields have other types than they should."""
    preconditions = body.get("preconditions")
    fields: list[tuple[str, Any, type, str]] = [
        ("gracePeriodSeconds", body.get("gracePeriodSeconds"), int, "int64"),
        ("orphanDependents", body.get("orphanDependents"), bool, "bool"),
        ("propagationPolicy", body.get("propagationPolicy"), str, "v1.DeletionPropagation"),
        ("dryRun", body.get("dryRun"), list, "[]string"),
        ("preconditions", preconditions, dict, "v1.Preconditions"),
    ]
    if isinstance(preconditions, dict):
        fields += [
            (f"preconditions.{key}", preconditions.get(key), str, "string") for key in ("uid", "resourceVersion")
        ]
    for name, value, wanted, shown in fields:
        if value is not None and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
            raise bad_request(
                'DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal '
                f"into Go struct field DeleteOptions.{name} of type {shown}"
            )


def target(path: str) -> Target | None:
    """Read a path under /api/v1 or /apis/GROUP/VERSION; None for any other."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 2 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 3 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    watches = bool(rest) and rest[0] == "watch"
    if watches:
        rest = rest[1:]
    if not rest:
        return Target(group, version)
    namespace: str | None = None
    if (
        rest[0] == "namespaces"
        and len(rest) > 2
        and not (not group and len(rest) == 3 and rest[2] in ("status", "finalize"))
    ):
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, "", "", ""][:3]
    return Target(group, version, plural, namespace, name, subresource, "/".join(rest[3:]), watches)
