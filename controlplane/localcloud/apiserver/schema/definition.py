"""Validation of CustomResourceDefinitions: their names, versions, and whether schemas are structural."""

import re
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.apiserver.schema import names
from controlplane.localcloud.apiserver.schema.errors import FieldError, forbidden, invalid, not_supported, required
from controlplane.localcloud.apiserver.schema.jsonpath import is_valid
from controlplane.localcloud.apiserver.schema.structural import check

_SCOPES = ("Cluster", "Namespaced")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_COLUMN_TYPES = ("integer", "number", "string", "boolean", "date")
_LIST_TYPES = ("atomic", "set", "map")
_VERSION = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


def validate_definition(crd: Object) -> list[FieldError]:
    """Complain about a definition."""
    spec = crd.get("spec") or {}
    found: list[FieldError] = []
    group, kinds = spec.get("group", ""), spec.get("names") or {}
    expected = f"{kinds.get('plural', '')}.{group}"
    name = (crd.get("metadata") or {}).get("name", "")
    if name != expected:
        found.append(invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    found += _group(group)
    if spec.get("scope") not in _SCOPES:
        scope = spec.get("scope", "")
        found.append(not_supported("spec.scope", scope, _SCOPES) if scope else required("spec.scope"))
    if spec.get("preserveUnknownFields"):
        found.append(
            invalid("spec.preserveUnknownFields", True, "must be false in order to use defaults in the schema")
        )
    found += _versions(spec.get("versions") or [])
    return found + _names(kinds)


def _group(group: str) -> list[FieldError]:
    if not group:
        return [required("spec.group")]
    found = [invalid("spec.group", group, text) for text in names.dns1123_subdomain(group)]
    if not found and "." not in group:
        found.append(invalid("spec.group", group, "should be a domain with at least one dot"))
    return found


def _names(kinds: Object) -> list[FieldError]:
    found: list[FieldError] = []
    for key in ("plural", "singular", "kind", "listKind"):
        value = kinds.get(key, "")
        if not value:
            found.append(required(f"spec.names.{key}"))
            continue
        checked = value.lower() if key in ("kind", "listKind") else value
        note = "may have mixed case, but should otherwise match: " if key in ("kind", "listKind") else ""
        found += [invalid(f"spec.names.{key}", value, note + text) for text in names.dns1035_label(checked)]
    for key in ("shortNames", "categories"):
        for index, value in enumerate(kinds.get(key) or ()):
            found += [invalid(f"spec.names.{key}[{index}]", value, text) for text in names.dns1035_label(value)]
    if kinds.get("kind") and kinds.get("kind") == kinds.get("listKind"):
        found.append(invalid("spec.names.listKind", kinds["listKind"], "kind and listKind may not be the same"))
    return found


def _versions(versions: list[Object]) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, version in enumerate(versions):
        here = f"spec.versions[{index}]"
        name = version.get("name", "")
        found += [invalid(f"{here}.name", name, text) for text in names.dns1035_label(name)]
        if name in seen:
            text = "must contain unique version names"
            found.append(invalid("spec.versions", [one.get("name") for one in versions], text))
        seen.add(name)
        found += _version(here, version, alone=len(versions) == 1)
    stored = sum(bool(version.get("storage")) for version in versions)
    if stored != 1:
        text = "must have exactly one version marked as storage version"
        found.append(invalid("spec.versions", [one.get("name") for one in versions], text))
    return found


def _version(here: str, version: Object, *, alone: bool) -> list[FieldError]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        return [required(f"{here}.schema.openAPIV3Schema", "schemas are required")]
    # The reference moves what all versions share to the top before it validates, and names the fields from there.
    place = "spec" if alone else here
    field = f"{'spec.validation' if alone else here + '.schema'}.openAPIV3Schema"
    found = structural(field, schema, root=True)
    if "metadata" in (schema.get("properties") or {}):
        allowed = {"type", "properties", "description"}
        extra = set(schema["properties"]["metadata"]) - allowed
        if extra:
            text = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            found.append(forbidden(f"{field}.properties[metadata]", text))
    for index, column in enumerate(version.get("additionalPrinterColumns") or ()):
        found += _column(f"{place}.additionalPrinterColumns[{index}]", column)
    return found + _scale(f"{place}.subresources.scale", (version.get("subresources") or {}).get("scale"))


def _column(field: str, column: Object) -> list[FieldError]:
    found: list[FieldError] = []
    if not column.get("name"):
        found.append(required(f"{field}.name"))
    kind, text = column.get("type", ""), f"must be one of {','.join(sorted(_COLUMN_TYPES))}"
    if not kind:
        found.append(required(f"{field}.type", text))
    elif kind not in _COLUMN_TYPES:
        found.append(invalid(f"{field}.type", kind, text))
    path = column.get("jsonPath", "")
    if not path:
        found.append(required(f"{field}.JSONPath"))
    else:
        found += _path(f"{field}.JSONPath", path)
    return found


def _path(field: str, path: str) -> list[FieldError]:
    if path.startswith(".") and is_valid(path):
        return []
    return [invalid(field, path, "must be a simple json path starting with .")]


def _scale(field: str, scale: Any) -> list[FieldError]:
    if scale is None:
        return []
    found: list[FieldError] = []
    for key, start in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        path = scale.get(key, "")
        wrong = _path(f"{field}.{key}", path) if path else [required(f"{field}.{key}")]
        if not wrong and not path.startswith(start):
            wrong = [invalid(f"{field}.{key}", path, f"should be a json path under {start.rstrip('.')}")]
        found += wrong
    return found


def structural(field: str, schema: Any, *, root: bool = False) -> list[FieldError]:
    """Complain about a schema that does not say the type of everything it mentions."""
    if not isinstance(schema, dict):
        return []
    found: list[FieldError] = []
    kind = schema.get("type", "")
    flexible = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not kind and (root or not flexible):
        text = "must not be empty at the root" if root else "must not be empty for specified object fields"
        found.append(required(f"{field}.type", text))
    elif root and kind != "object":
        found.append(invalid(f"{field}.type", kind, "must be object at the root"))
    elif kind and kind not in _TYPES:
        found.append(not_supported(f"{field}.type", kind, _TYPES))
    found += _children(field, schema, kind)
    found += _lists(field, schema)
    if "pattern" in schema and not _is_pattern(schema["pattern"]):
        found.append(invalid(f"{field}.pattern", schema["pattern"], "must be a valid regular expression, but isn't"))
    if "default" in schema:
        wrong = check(schema, schema["default"], "")
        found += [FieldError(error.reason, f"{field}.default", error.value, error.detail) for error in wrong]
    for junctor in ("allOf", "anyOf", "oneOf"):
        for index, child in enumerate(schema.get(junctor) or ()):
            found += _value_only(f"{field}.{junctor}[{index}]", child, schema)
    if schema.get("not") is not None:
        found += _value_only(f"{field}.not", schema["not"], schema)
    return found


def _children(field: str, schema: Object, kind: str) -> list[FieldError]:
    found: list[FieldError] = []
    extra = schema.get("additionalProperties")
    if schema.get("properties") and extra is not None:
        text = "additionalProperties and properties are mutual exclusive"
        found.append(forbidden(f"{field}.additionalProperties", text))
    if extra is False:
        found.append(forbidden(f"{field}.additionalProperties", "additionalProperties cannot be set to false"))
    for key, child in (schema.get("properties") or {}).items():
        found += structural(f"{field}.properties[{key}]", child)
    if isinstance(extra, dict):
        found += structural(f"{field}.additionalProperties", extra)
    items = schema.get("items")
    if kind == "array" and items is None:
        found.append(required(f"{field}.items", "must be specified"))
    elif isinstance(items, list):
        found.append(forbidden(f"{field}.items", "items must be a schema object and not an array"))
    elif isinstance(items, dict):
        found += structural(f"{field}.items", items)
    return found


def _lists(field: str, schema: Object) -> list[FieldError]:
    kind = schema.get("x-kubernetes-list-type")
    found: list[FieldError] = []
    if kind is not None and kind not in _LIST_TYPES:
        found.append(not_supported(f"{field}.x-kubernetes-list-type", kind, _LIST_TYPES))
    keys = schema.get("x-kubernetes-list-map-keys") or []
    if kind == "map" and not keys:
        text = "must not be empty if x-kubernetes-list-type is map"
        found.append(required(f"{field}.x-kubernetes-list-map-keys", text))
    items = schema.get("items") or {}
    for key in keys:
        if key not in (items.get("properties") or {}):
            text = "entries must all be names of item properties"
            found.append(invalid(f"{field}.x-kubernetes-list-map-keys", keys, text))
        elif key not in (items.get("required") or ()) and "default" not in items["properties"][key]:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            found.append(required(f"{field}.items.properties[{key}].default", text))
    if schema.get("uniqueItems"):
        text = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(forbidden(f"{field}.uniqueItems", text))
    return found


def _value_only(field: str, child: Any, parent: Object) -> list[FieldError]:
    """Check that a junctor only restricts values: types and defaults belong to the structure."""
    if not isinstance(child, dict):
        return []
    found: list[FieldError] = []
    junctor = field.rpartition(".")[2].partition("[")[0]
    for key in ("type", "default", "additionalProperties", "nullable", "title", "description"):
        if key in child and not (key == "type" and parent.get("x-kubernetes-int-or-string")):
            text = f"must be {'empty' if key != 'default' else 'undefined'} to be structural"
            found.append(forbidden(f"{field}.{key}", text))
    for name, nested in (child.get("properties") or {}).items():
        if name not in (parent.get("properties") or {}):
            text = f"because it is defined in {field.replace('spec.validation.', '')}.properties[{name}]"
            owner = field.rpartition(f".{junctor}")[0]
            found.append(required(f"{owner}.properties[{name}]", text))
        else:
            found += _value_only(f"{field}.properties[{name}]", nested, parent["properties"][name])
    return found


def _is_pattern(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def validate_definition_update(old: Object, new: Object) -> list[FieldError]:
    """Complain about changes that would orphan stored objects."""
    before, after = old.get("spec") or {}, new.get("spec") or {}
    found: list[FieldError] = []
    fixed = [key for key in ("group", "scope") if before.get(key) != after.get(key)]
    found += [invalid(f"spec.{key}", after.get(key), names.IMMUTABLE) for key in fixed]
    for key in ("plural", "kind"):
        was, now = (before.get("names") or {}).get(key), (after.get("names") or {}).get(key)
        if was != now:
            found.append(invalid(f"spec.names.{key}", now, names.IMMUTABLE))
    served = {version.get("name") for version in after.get("versions") or ()}
    missing = [name for name in (old.get("status") or {}).get("storedVersions") or () if name not in served]
    for index, name in enumerate(missing):
        text = "must appear in spec.versions"
        found.append(invalid(f"status.storedVersions[{index}]", name, text))
    return found
