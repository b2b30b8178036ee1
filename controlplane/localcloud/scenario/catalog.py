"""Google Cloud's GPU types and machine types, as far as Autopilot uses them.

Shapes are Google's published ones. Which zone offers which GPU is not here: a scenario's stock says that, since the
zone lists change every month.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AcceleratorType:
    """A GPU type by its node label value, with the family name that its quota metrics carry.

    regional_quota: whether `NVIDIA_<family>_GPUS` exists as a regional Compute metric. The newest families have none
    for on-demand (Cloud Quotas counts them), so a client sees no such metric rather than 0.
    preemptible_quota: the same of `PREEMPTIBLE_NVIDIA_<family>_GPUS`, which Spot and flex-start draw on.
    """

    name: str
    family: str
    description: str
    maximum_cards: int
    regional_quota: bool = True
    preemptible_quota: bool = True

    def quota_metric(self, capacity: str) -> str | None:
        """Give the regional quota metric that this capacity type draws on, or None where Compute has none."""
        if capacity == "on-demand":
            return f"NVIDIA_{self.family}_GPUS" if self.regional_quota else None
        return f"PREEMPTIBLE_NVIDIA_{self.family}_GPUS" if self.preemptible_quota else None

    def family_quota(self, capacity: str) -> str | None:
        """Give the quota that only Cloud Quotas shows, METRIC/FAMILY, or None where a regional metric counts."""
        counted = capacity != "on-demand" or self.regional_quota
        return None if counted else f"GPUS_PER_GPU_FAMILY/NVIDIA_{self.family}"


@dataclass(frozen=True, slots=True)
class MachineType:
    """A machine type: its size, and the GPUs that are part of it (or, on N1, can be attached to it)."""

    name: str
    vcpus: int
    memory_gib: float
    accelerator: str | None = None
    gpus: int = 0

    @property
    def family(self) -> str:
        """The machine family, as the label `cloud.google.com/machine-family` says it."""
        return self.name.split("-", 1)[0]


ACCELERATORS: dict[str, AcceleratorType] = {
    accelerator.name: accelerator
    for accelerator in (
        AcceleratorType("nvidia-tesla-t4", "T4", "NVIDIA T4", 4),
        AcceleratorType("nvidia-l4", "L4", "NVIDIA L4", 8),
        AcceleratorType("nvidia-tesla-a100", "A100", "NVIDIA A100 40GB", 16),
        AcceleratorType("nvidia-a100-80gb", "A100_80GB", "NVIDIA A100 80GB", 8),
        AcceleratorType("nvidia-h100-80gb", "H100", "NVIDIA H100 80GB", 8, regional_quota=False),
        AcceleratorType("nvidia-h100-mega-80gb", "H100_MEGA", "NVIDIA H100 80GB MEGA", 8, regional_quota=False),
        AcceleratorType(
            "nvidia-h200-141gb", "H200", "NVIDIA H200 141GB", 8, regional_quota=False, preemptible_quota=False
        ),
        AcceleratorType("nvidia-b200", "B200", "NVIDIA B200 180GB", 8, regional_quota=False, preemptible_quota=False),
        AcceleratorType(
            "nvidia-rtx-pro-6000",
            "RTX_PRO_6000",
            "NVIDIA RTX PRO 6000",
            8,
            regional_quota=False,
            preemptible_quota=False,
        ),
    )
}


def _l4(name: str, vcpus: int, memory: float, gpus: int = 1) -> MachineType:
    return MachineType(name, vcpus, memory, "nvidia-l4", gpus)


def _n1_t4(vcpus: int, gpus: int) -> MachineType:
    return MachineType(f"n1-standard-{vcpus}", vcpus, vcpus * 3.75, "nvidia-tesla-t4", gpus)


def _rtx(vcpus: int, memory: float, gpus: int) -> MachineType:
    return MachineType(f"g4-standard-{vcpus}", vcpus, memory, "nvidia-rtx-pro-6000", gpus)


# Ordered from small to large for each GPU type and count: the smallest that fits is taken.
MACHINE_TYPES: tuple[MachineType, ...] = (
    *(MachineType(f"e2-standard-{n}", n, n * 4.0) for n in (2, 4, 8, 16, 32)),
    *(_n1_t4(vcpus, 1) for vcpus in (4, 8, 16, 32)),
    *(_n1_t4(vcpus, 2) for vcpus in (8, 16, 32)),
    *(_n1_t4(vcpus, 4) for vcpus in (16, 32, 64, 96)),
    *(_l4(f"g2-standard-{n}", n, n * 4.0) for n in (4, 8, 12, 16, 32)),
    _l4("g2-standard-24", 24, 96, 2),
    _l4("g2-standard-48", 48, 192, 4),
    _l4("g2-standard-96", 96, 384, 8),
    *(MachineType(f"a2-highgpu-{n}g", 12 * n, 85 * n, "nvidia-tesla-a100", n) for n in (1, 2, 4, 8)),
    MachineType("a2-megagpu-16g", 96, 1360, "nvidia-tesla-a100", 16),
    *(MachineType(f"a2-ultragpu-{n}g", 12 * n, 170 * n, "nvidia-a100-80gb", n) for n in (1, 2, 4, 8)),
    *(MachineType(f"a3-highgpu-{n}g", 26 * n, 234 * n, "nvidia-h100-80gb", n) for n in (1, 2, 4, 8)),
    MachineType("a3-megagpu-8g", 208, 1872, "nvidia-h100-mega-80gb", 8),
    MachineType("a3-ultragpu-8g", 224, 2952, "nvidia-h200-141gb", 8),
    MachineType("a4-highgpu-8g", 224, 3968, "nvidia-b200", 8),
    *(_rtx(48 * n, 180 * n, n) for n in (1, 2, 4, 8)),
)
