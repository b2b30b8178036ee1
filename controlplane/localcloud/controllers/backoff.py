"""How long to leave alone what failed for a reason that time may cure, such as a quota or an admission rule."""

from controlplane.localcloud.controllers.runtime import Key

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 60.0


class Backoff:
    """Counts failures by key; each doubles the wait."""

    def __init__(self, first: float = FIRST_SECONDS, longest: float = LONGEST_SECONDS) -> None:
        self._first = first
        self._longest = longest
        self._failures: dict[Key, int] = {}

    def failed(self, key: Key) -> float:
        """Note a failure; give the seconds to wait."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        return float(min(self._first * 2 ** min(count, 30), self._longest))

    def forget(self, key: Key) -> None:
        """Note a success."""
        self._failures.pop(key, None)
