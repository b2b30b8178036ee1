"""SpotHedge, SkyServe's policy: a placer that avoids zones that failed, spares, and on-demand while spot is missing.

From the paper (Mao et al., EuroSys'25, section 3.1 and Algorithm 1) and from reading what SkyPilot 0.14.1 ships. They
differ, so there are three variants:

* `SpotHedge`: the shipped placer (cheapest of the zones that hold nothing, else cheapest of all active ones) and
  autoscaler, each failed launch marking its zone at once. This is the "SpotHedge+1" of published comparisons.
* `paper`: the paper's text, which takes the zone with the fewest current placements first, then the cheapest.
* `shipped`: the shipped launch loop as well, which tries a zone three times, 60 s and then 96 s after the failure
  before, until it marks it (the random part of the pauses, +-40 %, is left out).

Among zones of one price the first of the trace is taken, as the shipped code does: names play no part.
"""

from dataclasses import dataclass

from controlplane.simulate.ledger import Lease
from controlplane.simulate.market import Answered, Market, Preempted

PAUSES = (60.0, 96.0)  # seconds after the first and the second failure of a launch


@dataclass(slots=True)
class _Launch:
    """One spot replica from its first try on; `lease` is None in the pause before the next try."""

    zone: int
    lease: Lease | None
    failures: int = 0
    again_at: float = 0.0


class SpotHedge:
    """Wants `replicas + spares` on spot, and on-demand for as many as are not ready there (at most `replicas`)."""

    def __init__(
        self,
        name: str = "spothedge",
        *,
        spares: int = 1,
        on_demand: bool = True,
        pauses: tuple[float, ...] = (),
        fewest_first: bool = False,
        accelerator: str | None = None,
    ) -> None:
        self.name = name
        self._spares, self._on_demand, self._pauses = spares, on_demand, pauses
        self._fewest_first, self._accelerator = fewest_first, accelerator
        self._launches: dict[int, _Launch] = {}
        self._trying: list[_Launch] = []
        self._preempting: set[int] = set()
        self._zones: list[int] = []

    def act(self, market: Market, replicas: int) -> None:
        """Learn from what happened, launch spot where it is missing, adjust on-demand."""
        self._zones = self._zones or self._usable(market)
        for event in market.recent:
            if isinstance(event, Answered):
                self._answered(event)
            elif isinstance(event, Preempted) and event.lease.zone is not None:
                self._launches.pop(event.lease.id, None)
                self._avoid(event.lease.zone)
        target = replicas + self._spares
        self._try_again(market)
        for _ in range(target - len(self._launches) - len(self._trying)):
            self._launch(market, _Launch(self._next_zone(market), None))
        if self._on_demand:
            self._fall_back(market, replicas, target)

    def _usable(self, market: Market) -> list[int]:
        zones = market.trace.zones
        # The shipped code refuses candidates that differ in anything but the place, so it stays with one GPU type.
        kind = self._accelerator or zones[0].accelerator
        return [index for index, zone in enumerate(zones) if zone.accelerator == kind]

    def _answered(self, event: Answered) -> None:
        launch = self._launches.get(event.lease.id)
        if launch is None:
            return
        if event.accepted:
            self._preempting.discard(launch.zone)
            return
        del self._launches[event.lease.id]
        if launch.failures < len(self._pauses):
            launch.again_at, launch.lease = event.at + self._pauses[launch.failures], None
            launch.failures += 1
            self._trying.append(launch)
        else:
            self._avoid(launch.zone)

    def _avoid(self, zone: int) -> None:
        self._preempting.add(zone)
        if len(self._zones) - len(self._preempting) < 2:
            self._preempting.clear()

    def _try_again(self, market: Market) -> None:
        due = [launch for launch in self._trying if launch.again_at <= market.now]
        self._trying = [launch for launch in self._trying if launch.again_at > market.now]
        for launch in due:
            self._launch(market, launch)

    def _launch(self, market: Market, launch: _Launch) -> None:
        launch.lease = market.request(launch.zone)
        self._launches[launch.lease.id] = launch

    def _next_zone(self, market: Market) -> int:
        placements = dict.fromkeys(self._zones, 0)
        for launch in (*self._launches.values(), *self._trying):
            placements[launch.zone] += 1
        active = [zone for zone in self._zones if zone not in self._preempting]
        prices = market.trace.zones
        if self._fewest_first:
            return min(active, key=lambda zone: (placements[zone], prices[zone].spot_price))
        unused = [zone for zone in active if not placements[zone]]
        return min(unused or active, key=lambda zone: prices[zone].spot_price)

    def _fall_back(self, market: Market, replicas: int, target: int) -> None:
        ready = sum(lease.zone is not None and lease.is_ready(market.now) for lease in market.leases.values())
        held = [lease for lease in market.leases.values() if lease.zone is None]
        wanted = min(replicas, max(0, target - ready))
        for _ in range(wanted - len(held)):
            market.request(None)
        held.sort(key=lambda lease: (lease.is_ready(market.now), -lease.id))  # not ready first, then the newest
        for lease in held[: max(0, len(held) - wanted)]:
            market.release(lease)


def paper(*, on_demand: bool = True, accelerator: str | None = None) -> SpotHedge:
    """Make the variant of the paper's text."""
    return SpotHedge("spothedge_paper", fewest_first=True, on_demand=on_demand, accelerator=accelerator)


def shipped(*, on_demand: bool = True, accelerator: str | None = None) -> SpotHedge:
    """Make the variant with the shipped launch loop."""
    return SpotHedge("spothedge_shipped", pauses=PAUSES, on_demand=on_demand, accelerator=accelerator)
