"""Custom ComputeClasses: a ladder of shapes inside one cluster, the first of which that can be had is taken.

As far as they say what to make: GPU type and count, Spot, flex-start, machine type or family, zones. Reservations,
storage, priority scores and active migration are not imitated; a rule that needs one is tried without it.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.localcloud.apiserver.api import Api, ApiError, Object
from controlplane.localcloud.autopilot import names
from controlplane.localcloud.autopilot.pods import capacity_type, gpus, wanted
from controlplane.localcloud.scenario import FLEX_START, ON_DEMAND, SPOT

RESOURCE = "computeclasses.cloud.google.com"
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": RESOURCE},
    "spec": {
        "group": "cloud.google.com",
        "scope": "Cluster",
        "names": {
            "kind": "ComputeClass",
            "listKind": "ComputeClassList",
            "plural": "computeclasses",
            "singular": "computeclass",
            "shortNames": ["cc", "ccs"],
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                **_OPEN,
                                "properties": {
                                    "priorities": {"type": "array", "items": _OPEN},
                                    "whenUnsatisfiable": {
                                        "type": "string",
                                        "enum": ["DoNotScaleUp", "ScaleUpAnyway"],
                                        "default": "DoNotScaleUp",
                                    },
                                },
                            },
                            "status": _OPEN,
                        },
                    }
                },
            }
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Rung:
    """One kind of node that would do: a GPU type and count (or none), sold how, with what else is asked of it."""

    accelerator: str
    count: int
    capacity: str
    machine_type: str = ""
    machine_family: str = ""
    zones: tuple[str, ...] = ()


class ComputeClasses:
    """Serves the kind, and reads a class that a Pod names."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def run(self) -> None:
        """Have the kind served until cancelled."""
        if self._api.find("customresourcedefinitions.apiextensions.k8s.io", RESOURCE) is None:
            self._api.create("customresourcedefinitions.apiextensions.k8s.io", _CRD)
        await asyncio.Event().wait()

    def named_by(self, spec: Mapping[str, Any]) -> Object | None:
        """Give the custom class that a Pod selects, if it does and there is one."""
        name = custom_class(spec)
        if not name:
            return None
        try:
            return self._api.find(RESOURCE, name)
        except ApiError:
            return None  # the kind is not served yet

    def rungs(self, spec: Mapping[str, Any]) -> list[Rung]:
        """Give what would do for a Pod, in order: its class's rules, or what it selects itself."""
        found = self.named_by(spec)
        if found is not None:
            return list(_ladder(found.get("spec") or {}))
        if custom_class(spec):
            return []
        count = next(iter(wanted(spec, names.ACCELERATOR_COUNT)), "")
        capacity = capacity_type(spec)
        return [
            Rung(accelerator, (int(count) if count.isdigit() else gpus(spec)) if accelerator else 0, capacity)
            for accelerator in wanted(spec, names.ACCELERATOR) or ("",)
        ]


def custom_class(spec: Mapping[str, Any]) -> str:
    """Give the name of the custom class that a Pod selects, or nothing."""
    return next((name for name in wanted(spec, names.COMPUTE_CLASS) if name not in names.BUILT_IN_CLASSES), "")


def has_gpu_rule(found: Object | None) -> bool:
    """Say whether a class can give GPUs at all."""
    rules = ((found or {}).get("spec") or {}).get("priorities") or []
    return any(rule.get("gpu") for rule in rules)


def _ladder(spec: Mapping[str, Any]) -> Iterable[Rung]:
    for rule in spec.get("priorities") or []:
        gpu = rule.get("gpu") or {}
        flex = (rule.get("flexStart") or {}).get("enabled")
        yield Rung(
            accelerator=str(gpu.get("type") or ""),
            count=int(gpu.get("count") or 1) if gpu else 0,
            capacity=SPOT if rule.get("spot") else FLEX_START if flex else ON_DEMAND,
            machine_type=str(rule.get("machineType") or ""),
            machine_family=str(rule.get("machineFamily") or ""),
            zones=tuple((rule.get("location") or {}).get("zones") or ()),
        )
    if spec.get("whenUnsatisfiable") == "ScaleUpAnyway":
        yield Rung("", 0, ON_DEMAND)
