"""What of a changed CustomResourceDefinition would break those who use the one before.

Objects outlive programs: they stand in etcd as an earlier release's schema admitted them, and in people's files. So
within a version nothing may be taken away or narrowed, and no default may change its meaning; what must be new is a new
version (`controlplane/decisions/0019-resources-evolve-by-adding.md`). A test compares with what was released last.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
_NAMES = ("kind", "plural", "singular")
_LOWER = ("minimum", "minLength", "minItems")
_UPPER = ("maximum", "maxLength", "maxItems")
_NOTHING: Json = {}


def incompatible(before: Json, after: Json) -> list[str]:
    """Give what a CRD takes away from users of the one before, a line each with its place; none when it only adds."""
    old, new = before["spec"], after["spec"]
    found = [f"{key} changed" for key in ("group", "scope") if old[key] != new[key]]
    found += [f"names.{key} changed" for key in _NAMES if old["names"].get(key) != new["names"].get(key)]
    versions = {version["name"]: version for version in new["versions"]}
    for version in old["versions"]:
        name, later = version["name"], versions.get(version["name"])
        if later is None:
            found.append(f"{name} is gone; keep it, served or not, for as long as objects may be stored as it")
            continue
        if version["served"] and not later["served"]:
            found.append(f"{name} is not served any more; convert what is stored first")
        if version.get("subresources", _NOTHING).keys() - later.get("subresources", _NOTHING).keys():
            found.append(f"{name} lost a subresource")
        schemas = (each["schema"]["openAPIV3Schema"] for each in (version, later))
        found += (f"{name} {line}" for line in _node("", *schemas))
    return found


def _node(place: str, old: Json, new: Json) -> Iterator[str]:
    yield from (f"{place or 'the whole'}: {line}" for line in _itself(old, new))
    before, after = old.get("properties", _NOTHING), new.get("properties", _NOTHING)
    for name, child in before.items():
        at = f"{place}.{name}" if place else name
        if name not in after:
            yield f"{at}: is gone"
        else:
            yield from _node(at, child, after[name])
    if "items" in old and "items" in new:
        yield from _node(f"{place}[]", old["items"], new["items"])


def _itself(old: Json, new: Json) -> Iterator[str]:
    """Compare two schemas without what is inside them."""
    for key in ("type", "format", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"):
        if old.get(key) != new.get(key):
            yield f"{key} changed from {old.get(key)} to {new.get(key)}"
    defaulted = {name for name, child in new.get("properties", _NOTHING).items() if "default" in child}
    for name in sorted({*new.get("required", ())} - {*old.get("required", ())} - defaulted):
        yield f"{name} is required now"
    if old.get("default") != new.get("default") and ("default" in old or not _harmless(new)):
        yield f"the default changed from {old.get('default')!r} to {new.get('default')!r}"
    yield from _values(old, new)
    yield from _bounds(old, new)


def _values(old: Json, new: Json) -> Iterator[str]:
    if "enum" in new and ("enum" not in old or set(map(str, old["enum"])) - set(map(str, new["enum"]))):
        yield "some values are not allowed any more"
    if "pattern" in new and old.get("pattern") != new["pattern"]:
        yield f"the pattern is another: {new['pattern']}"
    if old.get("nullable") and not new.get("nullable"):
        yield "null is not allowed any more"
    if old.get("x-kubernetes-preserve-unknown-fields") and not new.get("x-kubernetes-preserve-unknown-fields"):
        yield "unknown fields are not kept any more"


def _bounds(old: Json, new: Json) -> Iterator[str]:
    for key in _LOWER:
        if key in new and (key not in old or new[key] > old[key]):
            yield f"{key} is {new[key]} now"
    for key in _UPPER:
        if key in new and (key not in old or new[key] < old[key]):
            yield f"{key} is {new[key]} now"
    for key in ("exclusiveMinimum", "exclusiveMaximum"):
        if new.get(key) and not old.get(key):
            yield f"{key} is set now"


def _harmless(schema: Json) -> bool:
    """Tell whether a default that was not there says no more than an absent section does: `{}`."""
    return schema.get("default") == {}
