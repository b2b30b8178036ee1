"""Our own policy in the simulator: the production decision, with a virtual clock, in a world made from a trace.

Nothing of the policy lives here. `places` gives a trace's zones the names that the decision can read, `deployments`
does what Kubernetes would do with what was decided, `world` turns the one into the other, pass by pass, and `policy`
is the loop. What is measured is thus the very function that runs in production.
"""

from controlplane.simulate.hunter.places import service_for
from controlplane.simulate.hunter.policy import Hunter

__all__ = ["Hunter", "service_for"]
