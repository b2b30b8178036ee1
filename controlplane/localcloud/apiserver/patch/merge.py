"""JSON merge patch (RFC 7386)."""

from typing import Any


def merge_patch(obj: Any, patch: Any) -> Any:
    """Give the patched object; null deletes, lists are replaced. Neither argument is changed."""
    if not isinstance(patch, dict):
        return patch
    result: dict[str, Any] = dict(obj) if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result
