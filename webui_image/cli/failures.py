"""The one table of failures that have a name: which exit code each has, and the line that says what to do."""

from webui_image.values.errors import Invalid, ModelError, NotReady, WebUIError

EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_BUG, EXIT_RETRY, EXIT_INTERRUPTED = 64, 69, 70, 75, 130
EXIT_GAVE_UP, EXIT_SOME_FAILED = 74, 3


class CommandError(WebUIError):
    """What was typed cannot be done; the message says what to type instead."""


def explain(error: Exception) -> tuple[int, str] | None:
    """Give exit code and message of an error that a person can mend, or None for a bug."""
    if isinstance(error, CommandError | Invalid):
        return EXIT_USAGE, str(error)
    if isinstance(error, ModelError):
        return EXIT_UNAVAILABLE, str(error)
    if isinstance(error, NotReady):
        return EXIT_RETRY, str(error)
    if isinstance(error, WebUIError):
        return EXIT_USAGE if getattr(error, "is_usage", False) else EXIT_UNAVAILABLE, str(error)
    if isinstance(error, ModuleNotFoundError):
        return EXIT_UNAVAILABLE, f"the package {error.name} is not installed: pip install 'gpu-hunter[webui]'"
    if isinstance(error, OSError) and error.filename is not None:
        return EXIT_UNAVAILABLE, f"{error.filename}: {error.strerror or error}"
    return None
