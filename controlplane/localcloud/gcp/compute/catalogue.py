"""What there is to be had where: zones, regions with quotas, accelerator types, machine types, the project."""

import hashlib
from typing import Any, TypeAlias

from controlplane.localcloud.gcp.compute.lists import ROOT
from controlplane.localcloud.gcp.project import Project
from controlplane.localcloud.scenario import ACCELERATORS, MachineType, region_of

Document: TypeAlias = dict[str, Any]

# Google's creation timestamps of catalogue resources are all this one.
EPOCH = "1969-12-31T16:00:00.000-08:00"


class Catalogue:
    """Describes the scenario's places in the published shapes."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._base = f"{ROOT}/projects/{project.name}"

    @property
    def zones(self) -> list[str]:
        """Every zone of every region."""
        return sorted(zone for region in self._project.scenario.regions for zone in region.zones)

    def project(self) -> Document:
        """Describe the project, with its own quotas."""
        return {
            "kind": "compute#project",
            "id": str(self._project.number),
            "creationTimestamp": "2026-01-01T00:00:00.000-08:00",
            "name": self._project.name,
            "selfLink": self._base,
            "defaultNetworkTier": "PREMIUM",
            "defaultServiceAccount": f"{self._project.number}-compute@developer.gserviceaccount.com",
            "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
            "quotas": self._quotas(""),
        }

    def region_documents(self) -> list[Document]:
        """Describe all regions."""
        return [self._region(region.name, region.zones) for region in self._project.scenario.regions]

    def zone_documents(self) -> list[Document]:
        """Describe all zones."""
        return [
            {
                "kind": "compute#zone",
                "id": number(zone),
                "creationTimestamp": EPOCH,
                "name": zone,
                "description": zone,
                "status": self._status(zone),
                "region": f"{self._base}/regions/{region_of(zone)}",
                "selfLink": f"{self._base}/zones/{zone}",
                "supportsPzs": False,
            }
            for zone in self.zones
        ]

    def accelerator_types(self, zone: str) -> list[Document]:
        """Describe the GPU types that a zone offers: that it is listed says nothing of stock."""
        offered = {pool.pool.accelerator for pool in self._project.stock.pools([zone])}
        documents = []
        for name in sorted(offered):
            known = ACCELERATORS[name]
            documents.append(
                {
                    "kind": "compute#acceleratorType",
                    "id": number(name),
                    "creationTimestamp": EPOCH,
                    "name": name,
                    "description": known.description,
                    "maximumCardsPerInstance": known.maximum_cards,
                    "zone": f"{self._base}/zones/{zone}",
                    "selfLink": f"{self._base}/zones/{zone}/acceleratorTypes/{name}",
                }
            )
        return documents

    def machine_types(self, zone: str) -> list[Document]:
        """Describe the machine types of a zone: those with GPUs only where the GPU is offered."""
        offered = {pool.pool.accelerator for pool in self._project.stock.pools([zone])}
        found: dict[str, Document] = {}
        for machine in self._project.scenario.machine_types:
            # GPUs are attached to N1 machines, and part of all others.
            attached = machine.family == "n1"
            if machine.accelerator is None or attached or machine.accelerator in offered:
                found.setdefault(machine.name, self._machine_type(machine, zone, attached=attached))
        return [found[name] for name in sorted(found)]

    def _machine_type(self, machine: MachineType, zone: str, *, attached: bool) -> Document:
        document: Document = {
            "kind": "compute#machineType",
            "id": number(machine.name),
            "creationTimestamp": EPOCH,
            "name": machine.name,
            "description": f"{machine.vcpus} vCPUs, {machine.memory_gib:g} GB RAM",
            "guestCpus": machine.vcpus,
            "memoryMb": int(machine.memory_gib * 1024),
            "imageSpaceGb": 0,
            "maximumPersistentDisks": 128,
            "maximumPersistentDisksSizeGb": "263168",
            "isSharedCpu": False,
            "architecture": "X86_64",
            "zone": zone,
            "selfLink": f"{self._base}/zones/{zone}/machineTypes/{machine.name}",
        }
        if machine.accelerator is not None and not attached:
            document["accelerators"] = [
                {"guestAcceleratorType": machine.accelerator, "guestAcceleratorCount": machine.gpus}
            ]
        return document

    def _region(self, name: str, zones: tuple[str, ...]) -> Document:
        return {
            "kind": "compute#region",
            "id": number(name),
            "creationTimestamp": EPOCH,
            "name": name,
            "description": name,
            "status": self._status(name),
            "zones": [f"{self._base}/zones/{zone}" for zone in zones],
            "quotas": self._quotas(name),
            "selfLink": f"{self._base}/regions/{name}",
            "supportsPzs": False,
        }

    def _status(self, location: str) -> str:
        return "DOWN" if self._project.is_down(location) else "UP"

    def _quotas(self, region: str) -> list[Document]:
        return [
            {"metric": quota.metric, "limit": quota.limit, "usage": quota.usage}
            for quota in self._project.stock.quotas(region)
            # A quota by GPU family is none of the region's metrics: Cloud Quotas alone shows it.
            if "/" not in quota.metric
        ]


def number(text: str) -> str:
    """Give a resource's numeric id, stable for its name."""
    return str(int(hashlib.sha256(text.encode()).hexdigest()[:15], 16))
