"""The fingerprints that tell whether what stands in a cluster is what the spec wants.

Autopilot rewrites Pod templates at admission, so a live template can never be compared with the one we would apply.
What can be compared is a hash of the inputs: the renderers stamp it as an annotation (`ANNOTATION_SPEC_HASH`), the
decision computes it again from the spec. Both call these functions, so they cannot disagree.

A renderer must depend on nothing but what is hashed here; whoever changes what a renderer makes of the same inputs
raises `RENDERING`, which rolls every placement once, or `WIRING`, which writes every ingress once.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from controlplane.model.offering import Offering
from controlplane.model.service import IngressKind, ServiceSpec

RENDERING = 2
WIRING = 1
SCALING = 1
_NOT_OF = {
    IngressKind.MULTI_CLUSTER_INGRESS: frozenset(
        {"kind", "static_address_name", "https.certificate_map", "iap.client_id"}
    ),
    IngressKind.MULTI_CLUSTER_GATEWAY: frozenset({"kind", "static_address"}),
}
_LATER = frozenset({"https", "security_policy", "iap"})
"""What an earlier release did not know; unset, it leaves the fingerprint as it was, and nothing is rewired."""


def spec_template_hash(spec: ServiceSpec, offering: Offering) -> str:
    """Give the fingerprint of a placement's Deployment: the app's container, the offering and the rendering.

    The replica count is not part of it: scaling is no rollout.
    """
    known = spec.fingerprints.get(offering.key)
    if known is None:
        known = _digest([RENDERING, spec.namespace, spec.name, _plain(spec.pod), offering.key])
        spec.fingerprints[offering.key] = known
    return known


def autoscaling_hash(spec: ServiceSpec) -> str:
    """Give the fingerprint of what placements are scaled by; the bounds are no part of it, for they are seen."""
    known = spec.fingerprints.get("autoscaling")
    if known is None:
        scaled = spec.autoscaling
        known = _digest([SCALING, scaled and [scaled.target_cpu, _plain(scaled.metrics)]])
        spec.fingerprints["autoscaling"] = known
    return known


def ingress_spec_hash(spec: ServiceSpec, kind: IngressKind | None = None) -> str:
    """Give the fingerprint of the ingress objects of a kind, apart from the list of clusters.

    What the other kind alone takes is no part of it, so that preparing a move rewrites nothing. Kind None is the
    spec's own.
    """
    kind = kind or spec.ingress.kind
    known = spec.fingerprints.get(f"ingress {kind}")
    if known is None:
        settings = _without(_plain(spec.ingress), _NOT_OF[kind])
        settings = {key: value for key, value in settings.items() if value is not None or key not in _LATER}
        known = _digest([WIRING, spec.namespace, spec.name, settings, spec.pod.port])
        spec.fingerprints[f"ingress {kind}"] = known
    return known


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _without(settings: Mapping[str, Any], names: frozenset[str], at: str = "") -> dict[str, Any]:
    """Leave out what is named, also inside of a section (`section.key`)."""
    return {
        key: _without(value, names, f"{at}{key}.") if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if f"{at}{key}" not in names
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value
