"""From a Pod to the nodes that node auto-provisioning would make for it: machine type, labels, taints, allocatable.

A candidate is only one if the very Node that would come up fits the Pod by the scheduler's own rules, so that no node
is ever made that its Pod cannot use.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.autopilot import names
from controlplane.localcloud.autopilot.computeclass import Rung
from controlplane.localcloud.autopilot.fitting import misfits
from controlplane.localcloud.autopilot.pods import wanted
from controlplane.localcloud.scenario import FLEX_START, SPOT, ClusterSpec, MachineType
from controlplane.localcloud.stock.ledger import Pool, Stock

_KIB_PER_GIB = 1024 * 1024
# What GKE keeps of a node's memory: a share of each next part of it (in GiB), and 100 MiB for eviction.
_MEMORY_RESERVED = ((4, 0.25), (4, 0.20), (8, 0.10), (112, 0.06), (float("inf"), 0.02))
_CPU_RESERVED = ((1, 0.06), (1, 0.01), (2, 0.005), (float("inf"), 0.0025))
PODS_PER_NODE = 32
_EPHEMERAL_GIB = 122


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node that could be made: where, of what, sold how."""

    zone: str
    machine: MachineType
    capacity: str
    compute_class: str
    driver_version: str = ""

    @property
    def pool(self) -> Pool | None:
        """The stock that it draws on; machines without GPUs are never short."""
        return Pool(self.zone, self.machine.accelerator, self.capacity) if self.machine.accelerator else None

    @property
    def shape(self) -> tuple[str, ...]:
        """What is the same in all zones; the autoscaler backs off by it."""
        return (self.machine.accelerator or "", str(self.machine.gpus), self.capacity, self.compute_class)

    @property
    def node_pool(self) -> str:
        """The name of the node pool that auto-provisioning makes for the shape."""
        return f"nap-{_digest(*self.shape, self.machine.name, self.driver_version)}"

    def group(self, cluster: ClusterSpec) -> str:
        """Give the name of the managed instance group, without its `-grp`."""
        return f"gk3-{cluster.name[:30].rstrip('-')}-{self.node_pool}-{_digest(self.node_pool, self.zone)}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:8]


def plans(
    spec: Mapping[str, Any],
    rungs: Iterable[Rung],
    cluster: ClusterSpec,
    machine_types: Iterable[MachineType],
    stock: Stock,
) -> list[NodePlan]:
    """Give the nodes that would fit the Pod, in the order in which they are tried: rungs, then zones."""
    machine_types = tuple(machine_types)
    return [
        plan
        for rung in rungs
        for zone in cluster.zones
        if not rung.accelerator or stock.offers(zone, rung.accelerator)
        if not rung.zones or zone in rung.zones
        if (plan := _smallest(spec, rung, cluster, zone, machine_types)) is not None
    ]


def _smallest(
    spec: Mapping[str, Any], rung: Rung, cluster: ClusterSpec, zone: str, machine_types: tuple[MachineType, ...]
) -> NodePlan | None:
    for machine in machine_types:
        if not _is_of(machine, rung):
            continue
        gpu = bool(rung.accelerator)
        plan = NodePlan(
            zone=zone,
            machine=machine,
            capacity=rung.capacity,
            compute_class=next(iter(wanted(spec, names.COMPUTE_CLASS)), "Accelerator" if gpu else "autopilot"),
            driver_version=next(iter(wanted(spec, names.DRIVER_VERSION)), "default" if gpu else ""),
        )
        if not misfits(spec, node_object(plan, "template", cluster), {}):
            return plan
    return None


def _is_of(machine: MachineType, rung: Rung) -> bool:
    return (
        (machine.accelerator or "") == rung.accelerator
        and machine.gpus == rung.count
        and rung.machine_type in ("", machine.name)
        and rung.machine_family in ("", machine.family)
    )


def node_object(plan: NodePlan, name: str, cluster: ClusterSpec) -> Object:
    """Give the Node as it is once its VM has booted."""
    amounts = _amounts(plan.machine)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": _labels(plan, name, cluster)},
        "spec": {
            "providerID": f"gce://{cluster.project}/{plan.zone}/{name}",
            "taints": _taints(plan),
        },
        "status": {
            "capacity": {**amounts, "cpu": str(plan.machine.vcpus), "memory": _kib(plan.machine.memory_gib)},
            "allocatable": amounts,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "kubelet is posting ready status",
                }
            ],
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "Container-Optimized OS from Google",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kubeletVersion": "v1.37.0-gke.1000000",
                "kubeProxyVersion": "v1.37.0-gke.1000000",
                "kernelVersion": "6.12.0",
                "bootID": "",
                "machineID": "",
                "systemUUID": "",
            },
        },
    }


def _labels(plan: NodePlan, name: str, cluster: ClusterSpec) -> dict[str, str]:
    labels = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "cloud.google.com/gke-container-runtime": "containerd",
        "cloud.google.com/gke-os-distribution": "cos",
        "topology.gke.io/zone": plan.zone,
        names.INSTANCE_TYPE: plan.machine.name,
        names.REGION: cluster.region,
        names.ZONE: plan.zone,
        names.MACHINE_FAMILY: plan.machine.family,
        names.NODE_POOL: plan.node_pool,
        names.PROVISIONING: names.PROVISIONING_OF[plan.capacity],
        names.COMPUTE_CLASS: plan.compute_class,
    }
    if plan.machine.accelerator:
        labels[names.ACCELERATOR] = plan.machine.accelerator
        labels[names.ACCELERATOR_COUNT] = str(plan.machine.gpus)
        labels[names.DRIVER_VERSION] = plan.driver_version
    if plan.capacity == SPOT:
        labels[names.SPOT_LABEL] = "true"
    if plan.capacity == FLEX_START:
        labels[names.FLEX] = "true"
    return labels


def _taints(plan: NodePlan) -> list[Object]:
    taints = []
    if plan.machine.accelerator:
        taints.append({"key": names.GPU, "value": "present", "effect": "NoSchedule"})
    if plan.compute_class not in names.BUILT_IN_CLASSES:
        # The Pod cannot know on which rung it lands, so the class's taint stands for those of the capacity types.
        return [*taints, {"key": names.COMPUTE_CLASS, "value": plan.compute_class, "effect": "NoSchedule"}]
    if plan.capacity == SPOT:
        taints.append({"key": names.SPOT_LABEL, "value": "true", "effect": "NoSchedule"})
    if plan.capacity == FLEX_START:
        taints.append({"key": names.FLEX, "value": "true", "effect": "NoSchedule"})
    return taints


def _amounts(machine: MachineType) -> dict[str, str]:
    millicpu = int(machine.vcpus * 1000 - _reserved(machine.vcpus, _CPU_RESERVED) * 1000)
    memory = machine.memory_gib - _reserved(machine.memory_gib, _MEMORY_RESERVED) - 100 / 1024
    amounts = {
        "cpu": f"{millicpu}m",
        "memory": _kib(memory),
        "ephemeral-storage": f"{_EPHEMERAL_GIB}Gi",
        "pods": str(PODS_PER_NODE),
    }
    return {**amounts, names.GPU: str(machine.gpus)} if machine.gpus else amounts


def _reserved(size: float, shares: tuple[tuple[float, float], ...]) -> float:
    kept = 0.0
    for part, share in shares:
        kept += min(size, part) * share
        size -= min(size, part)
    return kept


def _kib(gib: float) -> str:
    return f"{int(gib * _KIB_PER_GIB)}Ki"
