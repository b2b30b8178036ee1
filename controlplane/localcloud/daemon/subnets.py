"""Which 127.<subnet>.0.0/16 belongs to whom.

Two local clouds on one computer must not give the same address to two Pods. A subnet is claimed by listening on an
address inside it that no Pod ever gets: the claim ends with the process, however that ends, and needs no file.
"""

import socket
from collections.abc import Collection

from controlplane.localcloud.control.errors import LocalCloudError

FIRST, LAST = 1, 254
GUARD_PORT = 47993


class Subnets:
    """The subnets that this process holds."""

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def claim(self, preferred: int, avoid: Collection[int] = ()) -> int:
        """Claim the preferred subnet, or else the first free one."""
        rest = (number for number in range(FIRST, LAST + 1) if number not in avoid)
        wishes: tuple[int, ...] = (preferred,) if preferred else ()
        for number in (*wishes, *rest):
            if number not in self._held and self._take(number):
                return number
        raise LocalCloudError(
            "no subnet of 127.0.0.0/8 is free for Pods: Linux has 254, other systems answer on 127.0.0.1 only "
            "and cannot run the local cloud"
        )

    def release(self, number: int) -> None:
        """Give a subnet back."""
        if (guard := self._held.pop(number, None)) is not None:
            guard.close()

    def release_all(self) -> None:
        """Give all back."""
        for number in list(self._held):
            self.release(number)

    def _take(self, number: int) -> bool:
        guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            guard.bind((f"127.{number}.255.254", GUARD_PORT))
            guard.listen(1)
        except OSError:
            guard.close()
            return False
        self._held[number] = guard
        return True
