"""Even Spread: the same number of spot replicas in every zone, whatever becomes of them there.

The static spread of auto-scaling groups, as the SkyServe paper (EuroSys'25, section 5) uses it for comparison: what
a zone does not give is asked of that zone again; no other zone takes its share, and there is no on-demand.
"""

from controlplane.simulate.market import Market


class EvenSpread:
    """Keeps asking every zone for its share; the first zones of the trace have one more where it does not divide."""

    name = "even_spread"

    def act(self, market: Market, replicas: int) -> None:
        """Ask each zone for what is missing of its share."""
        zones = len(market.trace.zones)
        for zone in range(zones):
            share = replicas // zones + (zone < replicas % zones)
            held = sum(lease.zone == zone for lease in market.leases.values())
            for _ in range(share - held):
                market.request(zone)
