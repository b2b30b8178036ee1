"""The one error that users of the local cloud see."""


class LocalCloudError(Exception):
    """What went wrong and what to do, in one line."""
