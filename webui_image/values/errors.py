"""What can go wrong, by consequence: each class says what its reader can do about it.

The server turns them into status codes in one table (`server/problems.py`), the command line into one line and an exit
code.
"""


class WebUIError(Exception):
    """Base of all errors that are told to a user; the message is one line that says what to do."""


class Invalid(WebUIError):  # noqa: N818
    """The request (or file) is wrong at `field`; sending it again will not help. 422."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class Unsupported(Invalid):
    """The field is understood and means something that this server does not do. 422, or 501 for a whole endpoint."""


class TooLarge(Invalid):
    """More bytes or pixels than are accepted. 413."""


class QueueFull(WebUIError):  # noqa: N818
    """The queue, or this user's part of it, is full; try again after `retry_after` seconds. 429."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotReady(WebUIError):  # noqa: N818
    """Loading, draining or broken: another replica, or this one after `retry_after` seconds, can do it. 503."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class HandedBack(NotReady):
    """Accepted, but this replica is going away before it could be finished: send it again, with the same seed. 503."""


class OutOfMemory(WebUIError):  # noqa: N818
    """The device has no memory for this request, alone and after clearing: ask for less. 507 would be odd; 503."""


class NotFinite(WebUIError):  # noqa: N818
    """The model gave numbers that are none (NaN): other settings or single precision may help. 500."""


class Wedged(WebUIError):  # noqa: N818
    """The device did not answer in time; the replica is unhealthy and will be replaced. 503."""


class ModelError(WebUIError):
    """A model file or directory cannot be used; the message names the path, what is wrong, and what to do."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message
