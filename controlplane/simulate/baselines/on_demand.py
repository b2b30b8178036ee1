"""On demand throughout: what cost is measured in, and availability without any hunting."""

from controlplane.simulate.market import Market


class OnDemand:
    """Holds every replica on demand, from the first step to the last."""

    name = "on_demand"

    def act(self, market: Market, replicas: int) -> None:
        """Request what is missing; once."""
        for _ in range(replicas - len(market.leases)):
            market.request(None)
