"""Creating many Pods with care: a template that is refused should cost one refusal, not a hundred."""

from collections.abc import Callable

from controlplane.localcloud.apiserver.api import ApiError


def slow_start(wanted: int, create: Callable[[], ApiError | None]) -> ApiError | None:
    """Create in batches of 1, 2, 4, ...; stop after the batch that holds a failure and give its first error."""
    batch = 1
    remaining = wanted
    while remaining > 0:
        errors = [error for _ in range(min(batch, remaining)) if (error := create()) is not None]
        if errors:
            return errors[0]
        remaining -= min(batch, remaining)
        batch *= 2
    return None


def namespace_is_ending(error: ApiError) -> bool:
    """Say whether a creation was refused because its namespace is being deleted: no news, and nothing to retry for."""
    causes = (error.details or {}).get("causes") or []
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
