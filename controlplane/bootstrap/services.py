"""Takes the GPUServices down before their clusters: marks them deleted and makes passes until they are gone."""

from collections.abc import Callable
from typing import Any, Protocol

from controlplane.bootstrap.remedies import Halted
from controlplane.clock import Clock, SystemClock

_PATIENCE, _INTERVAL = 1800.0, 2.0


class Passes(Protocol):
    """What makes passes; the program's App does."""

    def services(self) -> list[dict[str, Any]]:
        """Give the GPUServices that are there."""
        ...

    def delete(self, namespace: str, name: str) -> None:
        """Ask for one to be taken down."""
        ...

    def run_pass(self) -> Any:
        """Make one pass."""
        ...


def take_services(passes: Passes, *, say: Callable[[str], None], clock: Clock | None = None) -> None:
    """Take all of them down. Raises Halted when some are still there after half an hour."""
    clock = clock or SystemClock()
    end, told = clock.monotonic() + _PATIENCE, -1
    while there := passes.services():
        if clock.monotonic() >= end:
            names = ", ".join(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in there)
            raise Halted("GPUServices", f"still there: {names}", "`gpuhunter explain` says what keeps them")
        if len(there) != told:
            told = len(there)
            say(f"{told} to take down")
        for each in there:
            if not each["metadata"].get("deletionTimestamp"):
                passes.delete(each["metadata"]["namespace"], each["metadata"]["name"])
        passes.run_pass()
        if passes.services():
            clock.sleep(_INTERVAL)
