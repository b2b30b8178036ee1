"""Reading objects of whatever shape: others may write what we look at, and nothing may fall over that."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from importlib import resources
from typing import Any

import yaml

from controlplane.model import naming
from controlplane.model.service import ServiceSpec

Found = Mapping[str, Any]


@cache
def _parsed(name: str) -> dict[str, Any]:
    text = resources.files("ingress").joinpath("manifests", f"{name}.yaml").read_text("utf-8")
    value: dict[str, Any] = yaml.safe_load(text)
    return value


def load(name: str) -> dict[str, Any]:
    """Give a manifest of this package as a structure of one's own."""
    return deepcopy(_parsed(name))


def mapping(holder: Found, key: str) -> Found:
    """Give a mapping in a mapping; an empty one where there is none."""
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def annotation(found: Found | None, key: str) -> str:
    """Give an annotation; empty where there is none."""
    return str(mapping(mapping(found or {}, "metadata"), "annotations").get(key, ""))


def named(spec: ServiceSpec, found: Sequence[Found]) -> Found | None:
    """Give the object that has the service's name and namespace."""
    for candidate in found:
        metadata = mapping(candidate, "metadata")
        if metadata.get("name") == spec.name and metadata.get("namespace") == spec.namespace:
            return candidate
    return None


def managed(found: Sequence[Found]) -> list[Found]:
    """Give those that carry our label, of whatever service."""
    label = naming.LABEL_MANAGED_BY
    return [o for o in found if mapping(mapping(o, "metadata"), "labels").get(label) == naming.FIELD_MANAGER]


def going(found: Found | None) -> bool:
    """Say whether an object is being deleted."""
    return bool(mapping(found or {}, "metadata").get("deletionTimestamp"))


def metadata(spec: ServiceSpec, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Give the metadata of an object of the service: its name, our labels, and annotations where there are any."""
    made: dict[str, Any] = {
        "name": spec.name,
        "namespace": spec.namespace,
        "labels": naming.service_labels(spec.name),
    }
    return made | ({"annotations": dict(annotations)} if annotations is not None else {})


def bookkeeping(spec: ServiceSpec, spec_hash: str, fence: int) -> dict[str, str]:
    """Give the annotations by which we know what we wrote, and who wrote it."""
    return {
        naming.ANNOTATION_SPEC_HASH: spec_hash,
        naming.ANNOTATION_FENCE: str(fence),
        naming.ANNOTATION_OWNER_UID: spec.uid,
    }
