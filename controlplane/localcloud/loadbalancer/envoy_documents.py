"""What Envoy's documents have in common."""

from pathlib import Path
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]

ENVOY = "type.googleapis.com/envoy"


def header(key: str, value: str, action: str) -> Document:
    """Add a header in one of Envoy's ways."""
    return {"header": {"key": key, "value": value}, "append_action": action}


def source(directory: Path, name: str) -> Document:
    """Name a file in the watched directory."""
    return {
        "path_config_source": {"path": str(directory / name), "watched_directory": {"path": str(directory)}},
    }
