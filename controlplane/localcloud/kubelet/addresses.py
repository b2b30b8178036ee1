"""Pod addresses: 127.<subnet>.x.y, one for each Pod.

Linux answers on the whole of 127.0.0.0/8 without any set-up, so each Pod has an address of its own and two Pods may
listen on the same port, as in a cluster. An address that was freed is the last to be used again.
"""

from collections.abc import Iterator
from itertools import count

# Blocks .0 and .255 are left to the nodes.
FIRST, LAST = 1, 254


class AddressError(Exception):
    """All addresses of the subnet are in use."""


class Addresses:
    """The Pod addresses of one cluster."""

    def __init__(self, subnet: int) -> None:
        self._subnet = subnet
        self._used: set[str] = set()
        self._sequence = self._cycle()
        self._nodes = count(2)

    def take(self) -> str:
        """Give a free address."""
        for _ in range((LAST - FIRST + 1) ** 2):
            address = next(self._sequence)
            if address not in self._used:
                self._used.add(address)
                return address
        raise AddressError(f"no free Pod address in 127.{self._subnet}.0.0/16")

    def give_back(self, address: str) -> None:
        """Free an address."""
        self._used.discard(address)

    def node_address(self) -> str:
        """Give an address for a node that has none; nothing listens on it."""
        number = next(self._nodes)
        return f"127.{self._subnet}.{255 if number < 255 else 0}.{number % 255}"

    def _cycle(self) -> Iterator[str]:
        while True:
            for block in range(FIRST, LAST + 1):
                for last in range(FIRST, LAST + 1):
                    yield f"127.{self._subnet}.{block}.{last}"
