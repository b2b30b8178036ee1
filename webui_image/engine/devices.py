"""Which device computes, in which precision, with how many threads, and how much memory it has.

Half precision is a property of the device, not of the request: CUDA has it for everything but an autoencoder that
asks for more, Apple's for the UNet and the text encoders alone (its fp16 convolutions overflow in autoencoders), a
CPU emulates it slowly and therefore not at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webui_image.values.errors import Invalid

if TYPE_CHECKING:
    import torch

__all__ = ["Device", "Memory", "choose", "container_cpus", "limit_threads", "memory", "versions"]

_MIB = 1 << 20
_SHORT_MEMORY_MIB = 6 * 1024
"""Below this a Stable Diffusion 1.5 at 512 pixels and a batch of two come close to the whole of a card."""
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Device:
    """Where a model lives and in which precision: `dtype` for UNet and text encoders, `vae_dtype` for the rest."""

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    label: str  # "cpu", "cuda: NVIDIA L4", "mps"
    short_of_memory: bool = False  # slice attention, decode in tiles
    channels_last: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the device; for a CPU, of this process and of the machine."""

    used: int
    total: int
    peak: int


def choose(wanted: str = "auto", precision: str = "auto") -> Device:
    """Pick a device ("auto", "cpu", "cuda", "cuda:1", "mps") and a precision ("auto", "fp32", "fp16", "bf16").

    Raises Invalid("device", ...) for one that this machine does not have, Invalid("precision", ...) for an unknown one.
    """
    import torch

    precisions = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    if precision != "auto" and precision not in precisions:
        raise Invalid("precision", f"{precision!r} is none of auto, {', '.join(precisions)}")
    name = _name(wanted)
    if name == "cpu":
        dtype = precisions.get(precision, torch.float32)
        return Device(torch.device("cpu"), dtype, dtype, "cpu")
    if name == "mps":
        dtype = precisions.get(precision, torch.float16)
        return Device(torch.device("mps"), dtype, torch.float32, "mps", short_of_memory=True)
    device = torch.device(name)
    properties = torch.cuda.get_device_properties(device)
    dtype = precisions.get(precision, torch.float16)
    short = properties.total_memory < _SHORT_MEMORY_MIB * _MIB
    return Device(
        device, dtype, dtype, f"{device.type}: {properties.name}", short, channels_last=dtype != torch.float32
    )


def _name(wanted: str) -> str:
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted in {"auto", ""}:
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, number = wanted.partition(":")
    if kind not in {"cpu", "cuda", "mps"}:
        raise Invalid("device", f"{wanted!r} is none of auto, cpu, cuda, mps")
    if (kind == "cuda" and not cuda) or (kind == "mps" and not mps):
        raise Invalid(
            "device", f"this machine has no {kind} device that torch {torch.__version__} can use; take auto or cpu"
        )
    if kind == "cuda" and number and not (number.isdigit() and int(number) < torch.cuda.device_count()):
        raise Invalid("device", f"{wanted!r}: there are cuda:0 to cuda:{torch.cuda.device_count() - 1}")
    return wanted


def container_cpus(quota: Path = _CPU_QUOTA) -> int:
    """Give the CPUs this process may use: its affinity, further bounded by the container's CPU limit; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        limit, period = quota.read_text().split()
        return cpus if limit == "max" else max(1, min(cpus, -(-int(limit) // int(period))))
    except (OSError, ValueError):
        return cpus


def limit_threads(threads: int = 0) -> int:
    """Let torch compute with `threads` threads (0: as many as the container has CPUs); give the number taken.

    Torch would take one for each core of the node, which a CPU limit then stops for most of every period.
    """
    import torch

    count = threads if threads > 0 else container_cpus()
    torch.set_num_threads(count)
    return count


def memory(device: torch.device) -> Memory:
    """Tell how much of the device's memory is used, there in all, and was used at most."""
    import torch

    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return Memory(total - free, total, torch.cuda.max_memory_reserved(device))
    if device.type == "mps":
        used = torch.mps.driver_allocated_memory()
        return Memory(used, torch.mps.recommended_max_memory(), used)
    return _process_memory()


def _process_memory() -> Memory:
    import resource
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    page, total = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        used = int(Path("/proc/self/statm").read_text().split()[1]) * page
    except OSError:  # not Linux: the peak is the nearest that the standard library can tell
        used = peak
    return Memory(used, total, peak)


def versions(device: torch.device | None = None) -> dict[str, str]:
    """Give the versions that decide whether a GPU can be used: torch, its CUDA, the driver, compute capability."""
    import torch

    found: dict[str, Any] = {"torch": torch.__version__, "cuda": torch.version.cuda or "none"}
    if device is not None and device.type == "cuda":
        found["capability"] = ".".join(map(str, torch.cuda.get_device_capability(device)))
    driver = Path("/proc/driver/nvidia/version")
    if driver.exists():
        found["driver"] = driver.read_text().splitlines()[0].partition("Kernel Module")[2].split("  ")[1:2] or "unknown"
    return {key: str(value[0] if isinstance(value, list) else value) for key, value in found.items()}
