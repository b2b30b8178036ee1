"""Errors of torch and its devices, by consequence: torch has no classes for all of them."""

from __future__ import annotations

__all__ = ["brief", "lost_device", "short_of_memory"]

_LONGEST = 200


def short_of_memory(error: BaseException) -> bool:
    """Say whether less at once would have worked."""
    name, text = type(error).__name__, str(error).lower()
    return name in {"OutOfMemoryError", "MemoryError"} or "can't allocate memory" in text or "out of memory" in text


def lost_device(error: BaseException) -> bool:
    """Say whether every further call of this process will fail as well."""
    lost = type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)
    return lost and not short_of_memory(error)


def brief(error: BaseException) -> str:
    """Give the first line of what an error says, or its name."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:_LONGEST]
