"""How small and how large a Pod may be on Autopilot, by GPU type.

The minima and maxima for one GPU are those of Google's table as far as it is known; for more GPUs the minimum grows
with them, and the maximum is what the largest machine with that many GPUs has. They are data, not truth: the real
admission has the last word, and its message says the figure.
"""

from dataclasses import dataclass
from decimal import Decimal

from controlplane.localcloud.scenario import MACHINE_TYPES

GIB = Decimal(1024**3)


@dataclass(frozen=True, slots=True)
class Range:
    """The bounds of a Pod's CPU (cores), memory and ephemeral storage (GiB)."""

    cpu_min: Decimal
    cpu_max: Decimal
    memory_min: Decimal
    memory_max: Decimal
    ephemeral_max: Decimal

    def least(self, resource: str) -> Decimal:
        """Give the minimum in the resource's own unit."""
        return {"cpu": self.cpu_min, "memory": self.memory_min * GIB}.get(resource, Decimal(0))

    def most(self, resource: str) -> Decimal:
        """Give the maximum in the resource's own unit."""
        limits = {"cpu": self.cpu_max, "memory": self.memory_max * GIB}
        return limits.get(resource, self.ephemeral_max * GIB)


# (accelerator, count) -> min vCPU, max vCPU, min GiB, max GiB
_TABLE: dict[tuple[str, int], tuple[str, str, str, str]] = {
    ("nvidia-tesla-t4", 1): ("0.5", "46", "0.5", "287"),
    ("nvidia-l4", 1): ("2", "31", "7", "115"),
    ("nvidia-tesla-a100", 1): ("9", "11", "60", "74"),
    ("nvidia-a100-80gb", 1): ("9", "11", "134", "148"),
}
_GPU_EPHEMERAL = Decimal(122)
GENERAL = Range(Decimal("0.05"), Decimal(30), Decimal(52) / Decimal(1024), Decimal(110), Decimal(10))
DEFAULTS = {"cpu": Decimal("0.5"), "memory": 2 * GIB, "ephemeral-storage": GIB}


def counts_of(accelerator: str) -> tuple[int, ...]:
    """Give how many GPUs of a type one node can have; none for a type that Autopilot does not have."""
    return tuple(sorted({machine.gpus for machine in MACHINE_TYPES if machine.accelerator == accelerator}))


def range_for(accelerator: str, count: int) -> Range:
    """Give the bounds for a Pod on a node with this many GPUs of a type; without a type, for any other Pod."""
    if not accelerator:
        return GENERAL
    known = _TABLE.get((accelerator, count))
    if known is not None:
        cpu_min, cpu_max, memory_min, memory_max = map(Decimal, known)
        return Range(cpu_min, cpu_max, memory_min, memory_max, _GPU_EPHEMERAL)
    machines = [m for m in MACHINE_TYPES if m.accelerator == accelerator and m.gpus == count]
    single = _TABLE.get((accelerator, 1), ("0.5", "", "0.5", ""))
    return Range(
        Decimal(single[0]) * count,
        Decimal(max((m.vcpus for m in machines), default=0)),
        Decimal(single[2]) * count,
        Decimal(int(max((m.memory_gib for m in machines), default=0))),
        _GPU_EPHEMERAL,
    )
