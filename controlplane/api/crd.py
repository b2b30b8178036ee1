"""The CustomResourceDefinitions, made from the same models that check a file, so that the two cannot disagree.

`structural.py` brings what pydantic says into the form that a definition takes. The status is ours to write and its
schema is open, so that an older definition takes what a newer program tells.
"""

import json
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

NAME = f"gpuservices.{GROUP}"
FLEET_CRD_NAME = f"fleets.{GROUP}"
BATCH_CRD_NAME = f"gpubatches.{GROUP}"
_TEXT = {"type": "string"}
_CONDITION = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": _TEXT,
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": _TEXT,
        "message": _TEXT,
        "observedGeneration": {"type": "integer"},
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
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}, "scale": _scale()},
        "additionalPrinterColumns": [
            *(_column(*column) for column in _COLUMNS),
            *({**_column(*column), "priority": 1} for column in _WIDE_COLUMNS),
        ],
        "schema": {"openAPIV3Schema": _schema()},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "gpuservices",
                "singular": "gpuservice",
                "kind": KIND,
                "listKind": f"{KIND}List",
                "shortNames": ["gpus"],
                "categories": ["all"],
            },
            "versions": [version],
        },
    }
    return _unshared(definition)


def fleet_definition() -> dict[str, Any]:
    """Give the CRD of Fleet, cluster-scoped, whose one object is named `default`."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in _FLEET_COLUMNS],
        "schema": {"openAPIV3Schema": _fleet_schema()},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": FLEET_CRD_NAME},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {
                "plural": "fleets",
                "singular": "fleet",
                "kind": FLEET_KIND,
                "listKind": f"{FLEET_KIND}List",
                "categories": ["all"],
            },
            "versions": [version],
        },
    }
    return _unshared(definition)


def batch_definition() -> dict[str, Any]:
    """Give the CRD of GPUBatch."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in _BATCH_COLUMNS],
        "schema": {"openAPIV3Schema": _batch_schema()},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": BATCH_CRD_NAME},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": "gpubatches",
                "singular": "gpubatch",
                "kind": BATCH_KIND,
                "listKind": f"{BATCH_KIND}List",
                "shortNames": ["gpub"],
                "categories": ["all"],
            },
            "versions": [version],
        },
    }
    return _unshared(definition)


def definitions() -> list[dict[str, Any]]:
    """Give the CRDs of every kind of ours."""
    return [custom_resource_definition(), fleet_definition(), batch_definition()]


def _unshared(definition: dict[str, Any]) -> dict[str, Any]:
    """Give it without shared parts, so that YAML shows no anchors."""
    plain: dict[str, Any] = json.loads(json.dumps(definition))
    return plain


def _scale() -> dict[str, str]:
    return {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}


def _column(name: str, kind: str, path: str, description: str) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path}
    return {**column, "description": description} if description else column


def _schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "GPUService runs a GPU web application wherever GPUs can be had, behind one address.",
        "required": ["spec"],
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object"},
            "spec": spec_schema(),
            "status": _status_schema(),
        },
    }


def _status_schema() -> dict[str, Any]:
    texts = dict.fromkeys(("ready", "regions", "accelerators", "hourlyCost", "address"), _TEXT)
    return {
        "type": "object",
        "description": "What stands now. Written by GPU Hunter; status.memory is its own.",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            **texts,
            "observedGeneration": {"type": "integer"},
            "replicas": {"type": "integer"},
            "conditions": _CONDITIONS,
        },
    }


def _batch_schema() -> dict[str, Any]:
    texts = dict.fromkeys(("phase", "done", "workers", "regions", "accelerators", "cost", "hourlyCost"), _TEXT)
    return {
        "type": "object",
        "description": "GPUBatch renders the pictures of a parameters file once, wherever GPUs can be had.",
        "required": ["spec"],
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object"},
            "spec": structural(GPUBatchSpec),
            "status": {
                "type": "object",
                "description": "How far it is. Written by GPU Hunter; status.memory is its own.",
                "x-kubernetes-preserve-unknown-fields": True,
                "properties": {
                    **texts,
                    "observedGeneration": {"type": "integer"},
                    "failed": {"type": "integer"},
                    "conditions": _CONDITIONS,
                },
            },
        },
    }


def _fleet_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "Fleet says which clusters of the project belong, how they are reached and which may be made.",
        "required": ["spec"],
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object", "properties": {"name": {"type": "string", "pattern": f"^{FLEET_NAME}$"}}},
            "spec": structural(FleetObject),
            "status": _fleet_status_schema(),
        },
    }


def _fleet_status_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "The clusters as the last pass saw them. Written by GPU Hunter; status.memory is its own.",
        "x-kubernetes-preserve-unknown-fields": True,
        "properties": {
            **dict.fromkeys(("clusters", "onDemand"), _TEXT),
            "observedGeneration": {"type": "integer"},
            "conditions": _CONDITIONS,
        },
    }


def spec_schema() -> dict[str, Any]:
    """Give the structural schema of `spec` of a GPUService."""
    return structural(GPUServiceSpec)
