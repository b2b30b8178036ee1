"""The one error that users of the local cloud see."""


class LocalCloudError(Exception):
    """What went wrong and what to do, in one line."""


class RefusedError(LocalCloudError):
    """The local cloud runs well, and what it was asked for makes no sense to it: the caller's mistake."""
