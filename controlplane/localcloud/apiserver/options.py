"""What accompanies a write: who asks, under which manager's name, and whether it is only a rehearsal."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Propagation: TypeAlias = Literal["Background", "Foreground", "Orphan"]
CONTROLLER = "system:controller"


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Parameters of a create, update or patch; `warnings` collects what the answer's headers tell."""

    user: str = CONTROLLER
    manager: str = "controller"
    dry_run: bool = False
    field_validation: str = "Ignore"
    force: bool = False
    keeps_status: bool = False
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """metav1.DeleteOptions, and who asks."""

    user: str = CONTROLLER
    propagation: Propagation | None = None
    grace_seconds: int | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False
