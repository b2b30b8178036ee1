"""What the simulator asks of a placement policy.

One call per step is all there is: a policy reads the market (what it holds, what was answered since the last step) and
requests and releases. It sees no capacity, only outcomes, as it would in the world.
"""

from typing import Protocol

from controlplane.simulate.market import Market


class Policy(Protocol):
    """Decides what to hold. `name` is what tables and JSON call it."""

    @property
    def name(self) -> str:
        """The name of the policy, in lower case with underscores."""
        ...

    def act(self, market: Market, replicas: int) -> None:
        """Request and release so that `replicas` are ready; called every step, the first time at 0 seconds.

        `market.recent` has what happened since the last call.
        """
        ...
