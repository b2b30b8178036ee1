"""OpenAPI v3: the index and one document per group version, as kubectl reads them.

kubectl needs three things of a document: the schemas with their group-version-kind for `explain` and for computing
strategic merge patches, the PATCH operation's `fieldValidation` parameter before it trusts the server to validate, and
the media types that PATCH accepts. Documents are made on request and not kept: they are large and rarely asked for.
"""

import copy
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema.definitions import raw_definitions, release
from controlplane.localcloud.apiserver.schema.types import EXTRA_DEFINITIONS, TypeInfo

_GVK = "x-kubernetes-group-version-kind"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_PATCHES = ("application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml")
_STRATEGIC = "application/strategic-merge-patch+json"
_SPECIAL: dict[str, Object] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}


def openapi_v3_index(types: Iterable[TypeInfo]) -> Object:
    """Give the index: one path for each group version, with a hash so that clients can cache."""
    groups: dict[str, list[TypeInfo]] = {}
    for info in types:
        groups.setdefault(f"apis/{info.api_version}" if info.group else "api/v1", []).append(info)
    return {
        "paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={_hash(of)}"} for path, of in groups.items()}
    }


def _hash(types: Sequence[TypeInfo]) -> str:
    text = release() + repr([(info, info.schema) for info in types])
    return hashlib.sha256(text.encode()).hexdigest()[:32].upper()


def openapi_v3_document(group: str, version: str, types: Iterable[TypeInfo]) -> Object:
    """Give the document of one group version; `types` may hold others, which are passed over."""
    served = [info for info in types if (info.group, info.version) == (group, version)]
    definitions = raw_definitions()
    schemas: dict[str, Object] = {}
    paths: dict[str, Object] = {}
    for info in served:
        name = schema_name(info)
        if info.custom:
            schemas[name] = _custom_schema(info)
            _collect(_META + "ObjectMeta", definitions, schemas)
        else:
            _collect(name, definitions, schemas)
        paths.update(_paths(info, name))
    _collect(_META + "DeleteOptions", definitions, schemas)
    for extra in EXTRA_DEFINITIONS:
        if extra.rsplit(".", 1)[-1] in ("Eviction", "Scale", "TokenRequest") and _used(extra, served):
            _collect(extra, definitions, schemas)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{release()}"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _used(definition: str, served: Sequence[TypeInfo]) -> bool:
    subresource = {"Eviction": "eviction", "Scale": "scale", "TokenRequest": "token"}[definition.rsplit(".", 1)[-1]]
    return any(subresource in info.subresources for info in served)


def schema_name(info: TypeInfo) -> str:
    """Name the schema as the server does: a custom resource's group is written backwards."""
    if not info.custom:
        return info.definition
    return ".".join([*reversed(info.group.split(".")), info.version, info.kind])


def _collect(name: str, definitions: dict[str, Any], schemas: dict[str, Object]) -> None:
    """Convert a definition and everything that it refers to."""
    pending = [name]
    while pending:
        current = pending.pop()
        if current in schemas or current not in definitions:
            continue
        schema = _SPECIAL.get(current)
        if schema is None:
            schema = _converted(definitions[current], pending)
        schemas[current] = schema


def _converted(schema: Any, pending: list[str]) -> Object:
    result: Object = {}
    for key, value in schema.items():
        if key == "$ref":
            name = value.rsplit("/", 1)[-1]
            pending.append(name)
            result["allOf"] = [{"$ref": f"#/components/schemas/{name}"}]
        elif key == "type":
            result["type"] = value[0] if isinstance(value, list) else value
        elif key == "properties":
            result[key] = {name: _converted(child, pending) for name, child in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            result[key] = _converted(value, pending)
        elif key == "oneOf":
            result[key] = [_converted(child, pending) for child in value]
        elif key == "enum":
            continue  # the constant apiVersion and kind of the published files; servers do not have it
        else:
            result[key] = value
    if set(result) == {"allOf"}:
        return dict(result["allOf"][0])
    return result


def _custom_schema(info: TypeInfo) -> Object:
    schema = copy.deepcopy(dict(info.schema or {}))
    schema.setdefault("type", "object")
    properties = schema.setdefault("properties", {})
    string = {"type": "string"}
    properties["apiVersion"] = {**string, "description": "APIVersion defines the versioned schema of this object."}
    properties["kind"] = {**string, "description": "Kind is the REST resource this object represents."}
    properties["metadata"] = {
        "allOf": [{"$ref": f"#/components/schemas/{_META}ObjectMeta"}],
        "description": "Standard object's metadata.",
    }
    schema[_GVK] = [_gvk(info)]
    return schema


def _gvk(info: TypeInfo) -> Object:
    return {"group": info.group, "kind": info.kind, "version": info.version}


def _paths(info: TypeInfo, schema: str) -> dict[str, Object]:
    root = f"/apis/{info.api_version}" if info.group else "/api/v1"
    base = f"{root}/namespaces/{{namespace}}/{info.plural}" if info.namespaced else f"{root}/{info.plural}"
    collection: Object = {"post": _operation(info, "post", schema, "create")}
    if "list" in info.verbs:
        collection["get"] = _operation(info, "list", schema)
        collection["delete"] = _operation(info, "deletecollection", schema)
    paths = {base: collection}
    if info.namespaced and "list" in info.verbs:
        paths[f"{root}/{info.plural}"] = {"get": _operation(info, "list", schema)}
    if "get" in info.verbs:
        one = {
            "get": _operation(info, "get", schema),
            "put": _operation(info, "put", schema, "update"),
            "patch": _operation(info, "patch", schema, "patch"),
            "delete": _operation(info, "delete", schema),
        }
        paths[f"{base}/{{name}}"] = one
        if "status" in info.subresources:
            status = {verb: one[verb] for verb in ("get", "put", "patch")}
            paths[f"{base}/{{name}}/status"] = status
    return paths


def _operation(info: TypeInfo, action: str, schema: str, writes: str = "") -> Object:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    operation: Object = {
        "operationId": f"{action}{info.group.title().replace('.', '')}{info.version.title()}{info.kind}",
        "parameters": [_query(name) for name in (("dryRun", "fieldManager", "fieldValidation") if writes else ())],
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
        "x-kubernetes-action": action,
        _GVK: _gvk(info),
    }
    if writes == "patch":
        operation["parameters"].append({**_query("force"), "schema": {"type": "boolean", "uniqueItems": True}})
        media = _PATCHES if info.custom else (*_PATCHES, _STRATEGIC)
        operation["requestBody"] = {"content": {kind: {"schema": {"type": "object"}} for kind in media}}
    elif writes:
        operation["requestBody"] = {"content": {"*/*": {"schema": reference}}}
    return operation


def _query(name: str) -> Object:
    return {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
