"""The custom resources as users write them: defaults, checks, the CRD's schema, and the way to values and back."""

from controlplane.api.batch_status import (
    batch_memory_from_status,
    batch_memory_to_status,
    batch_status_of,
    batch_worth_writing,
    inbox_status_of,
)
from controlplane.api.codec import MemoryUnreadable, memory_from_status, memory_to_status
from controlplane.api.fleet import parse_fleet
from controlplane.api.gpubatch import parse_batch
from controlplane.api.parse import parse_service
from controlplane.api.problems import Problem, SpecError
from controlplane.api.status import status_of, worth_writing

__all__ = [
    "MemoryUnreadable",
    "Problem",
    "SpecError",
    "batch_memory_from_status",
    "batch_memory_to_status",
    "batch_status_of",
    "batch_worth_writing",
    "inbox_status_of",
    "memory_from_status",
    "memory_to_status",
    "parse_batch",
    "parse_fleet",
    "parse_service",
    "status_of",
    "worth_writing",
]
