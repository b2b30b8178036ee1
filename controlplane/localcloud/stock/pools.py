"""What GPUs are drawn from, who holds them, and the ways in which Compute Engine refuses."""

from dataclasses import dataclass

from controlplane.localcloud.scenario import region_of


class StockError(ValueError):
    """A wish that names something that is not there; the text is one line for the user."""


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of ours
    """Compute Engine does not give a VM."""


class StockOut(Refused):
    """The zone has no such GPU now."""

    def __init__(self, zone: str) -> None:
        super().__init__(
            f"The zone 'projects/-/zones/{zone}' does not have enough resources available to fulfill the request.  "
            "Try a different zone, or try again later."
        )
        self.zone = zone


@dataclass(frozen=True, slots=True, order=True)
class Pool:
    """What GPUs are drawn from."""

    zone: str
    accelerator: str
    capacity: str

    @property
    def region(self) -> str:
        """The zone's region."""
        return region_of(self.zone)


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool as it stands; `free` is what a new node could get now."""

    pool: Pool
    total: int
    in_use: int
    free: int
    sold_out: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """GPUs in use by a holder (`cluster/node`); `going` once the VM has its notice to end."""

    pool: Pool
    count: int
    going: bool = False
