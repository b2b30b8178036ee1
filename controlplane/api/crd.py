"""The CustomResourceDefinitions, made from the same models that check a file, so that the two cannot disagree.

`structural.py` brings what pydantic says into the form that a definition takes. The status is ours to write and its
schema is open, so that an older definition takes what a newer program tells.
"""

import json
from collections.abc import Iterable
from typing import Any

from controlplane.api.checking import VERSION
from controlplane.api.fleet import KIND as FLEET_KIND
from controlplane.api.fleet import FleetObject
from controlplane.api.gpubatch import KIND as BATCH_KIND
from controlplane.api.gpubatch import GPUBatchSpec
from controlplane.api.gpuservice import GPUServiceSpec
from controlplane.api.parse import KIND
from controlplane.api.structural import structural
from controlplane.model.fleet import FLEET_NAME
from controlplane.model.naming import GROUP

_TEXT = {"type": "string"}
_INTEGER = {"type": "integer"}
_Column = tuple[str, str, str, str]
_CONDITION = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": _TEXT,
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": _TEXT,
        "message": _TEXT,
        "observedGeneration": _INTEGER,
        "lastTransitionTime": {"type": "string", "format": "date-time"},
    },
}
_CONDITIONS = {
    "type": "array",
    "items": _CONDITION,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}
_COLUMNS = (
    ("Ready", "string", ".status.ready", "Replicas that serve, of those wanted"),
    ("Regions", "string", ".status.regions", "Regions that hold replicas"),
    ("GPUs", "string", ".status.accelerators", "GPU types held"),
    ("$/h", "string", ".status.hourlyCost", "Cost in USD an hour at the known prices"),
    ("Address", "string", ".status.address", "Where the service answers"),
    ("Age", "date", ".metadata.creationTimestamp", ""),
)
_FLEET_COLUMNS = (
    ("Clusters", "string", ".status.clusters", "Members that can be used, of those that belong"),
    ("OnDemand", "string", ".status.onDemand", "Clusters that exist because passes created them, of the most allowed"),
    ("Age", "date", ".metadata.creationTimestamp", ""),
)
_BATCH_COLUMNS = (
    ("Phase", "string", ".status.phase", "How far it is"),
    ("Done", "string", ".status.done", "Pictures rendered, of all"),
    ("Failed", "integer", ".status.failed", "Pictures that failed for good"),
    ("Workers", "string", ".status.workers", "Workers that render, of those wanted"),
    ("Regions", "string", ".status.regions", "Regions that rendered or render"),
    ("$", "string", ".status.cost", "USD spent so far at the known prices"),
    ("Age", "date", ".metadata.creationTimestamp", ""),
)
_WIDE_COLUMNS = (("Policy", "string", ".spec.policy.preset", "What is valued: low cost, or availability"),)


def custom_resource_definition() -> dict[str, Any]:
    """Give the CRD of GPUService as `kubectl apply` takes it."""
    names = {"plural": "gpuservices", "singular": "gpuservice", "kind": KIND, "shortNames": ["gpus"]}
    scale = {"scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}}
    return _definition(names, "Namespaced", _schema(), _COLUMNS, wide=_WIDE_COLUMNS, subresources=scale)


def fleet_definition() -> dict[str, Any]:
    """Give the CRD of Fleet, cluster-scoped, whose one object is named `default`."""
    names = {"plural": "fleets", "singular": "fleet", "kind": FLEET_KIND}
    return _definition(names, "Cluster", _fleet_schema(), _FLEET_COLUMNS)


def batch_definition() -> dict[str, Any]:
    """Give the CRD of GPUBatch."""
    names = {"plural": "gpubatches", "singular": "gpubatch", "kind": BATCH_KIND, "shortNames": ["gpub"]}
    return _definition(names, "Namespaced", _batch_schema(), _BATCH_COLUMNS)


def definitions() -> list[dict[str, Any]]:
    """Give the CRDs of every kind of ours."""
    return [custom_resource_definition(), fleet_definition(), batch_definition()]


def _definition(
    names: dict[str, Any],
    scope: str,
    schema: dict[str, Any],
    columns: Iterable[_Column],
    *,
    wide: Iterable[_Column] = (),
    subresources: dict[str, Any] | None = None,
) -> dict[str, Any]:
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}, **(subresources or {})},
        "additionalPrinterColumns": [
            *(_column(*column) for column in columns),
            *({**_column(*column), "priority": 1} for column in wide),
        ],
        "schema": {"openAPIV3Schema": schema},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": scope,
            "names": {**names, "listKind": f"{names['kind']}List", "categories": ["all"]},
            "versions": [version],
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(definition))  # without shared parts, so that YAML shows no anchors
    return plain


def _column(name: str, kind: str, path: str, description: str) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "description": description} if description else column


def _object(
    description: str, spec: dict[str, Any], status: dict[str, Any], metadata: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object", **(metadata or {})},
            "spec": spec,
            "status": status,
        },
    }


def _status(description: str, *texts: str, **others: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": f"{description} Written by GPU Hunter; status.memory is its own.",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            **dict.fromkeys(texts, _TEXT),
            "observedGeneration": _INTEGER,
            **others,
            "conditions": _CONDITIONS,
        },
    }


def _schema() -> dict[str, Any]:
    texts = ("ready", "regions", "accelerators", "hourlyCost", "address")
    return _object(
        "GPUService runs a GPU web application wherever GPUs can be had, behind one address.",
        spec_schema(),
        _status("What stands now.", *texts, replicas=_INTEGER),
    )


def _batch_schema() -> dict[str, Any]:
    texts = ("phase", "done", "workers", "regions", "accelerators", "cost", "hourlyCost")
    return _object(
        "GPUBatch renders the pictures of a parameters file once, wherever GPUs can be had.",
        structural(GPUBatchSpec),
        _status("How far it is.", *texts, failed=_INTEGER),
    )


def _fleet_schema() -> dict[str, Any]:
    return _object(
        "Fleet says which clusters of the project belong, how they are reached and which may be made.",
        structural(FleetObject),
        _status("The clusters as the last pass saw them.", "clusters", "onDemand"),
        metadata={"properties": {"name": {"type": "string", "pattern": f"^{FLEET_NAME}$"}}},
    )


def spec_schema() -> dict[str, Any]:
    """Give the structural schema of `spec` of a GPUService."""
    return structural(GPUServiceSpec)
