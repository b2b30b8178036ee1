"""Round Robin: each launch goes to the zone after that of the launch before.

The dynamic but memoryless policy of the SkyServe paper (EuroSys'25, section 3): no on-demand, no spare, no price.
"""

from controlplane.simulate.market import Market


class RoundRobin:
    """Goes round the zones in the trace's order, one step with every launch."""

    name = "round_robin"

    def __init__(self) -> None:
        self._launches = 0

    def act(self, market: Market, replicas: int) -> None:
        """Launch what is missing."""
        for _ in range(replicas - len(market.leases)):
            market.request(self._launches % len(market.trace.zones))
            self._launches += 1
