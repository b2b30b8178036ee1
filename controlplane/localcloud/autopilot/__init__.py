"""GKE Autopilot's part of a cluster: admission, scheduling, node auto-provisioning, scale-down and Spot preemption.

It acts on the cluster through its API alone, reacts to changes and timers only, and says in Events what GKE would say.
"""

from collections.abc import Callable

from controlplane.localcloud.apiserver.api import AdmissionHook, Api
from controlplane.localcloud.autopilot.adjust import Adjustment
from controlplane.localcloud.autopilot.computeclass import ComputeClasses
from controlplane.localcloud.autopilot.nodes import Nodes
from controlplane.localcloud.autopilot.outage import Outage
from controlplane.localcloud.autopilot.preemption import Preemption
from controlplane.localcloud.autopilot.scaledown import ScaleDown
from controlplane.localcloud.autopilot.scaleup import ScaleUp
from controlplane.localcloud.autopilot.scheduler import Scheduler
from controlplane.localcloud.autopilot.warden import Warden
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.runtime import Runner
from controlplane.localcloud.scenario import SPOT, ClusterSpec, Delays, MachineType
from controlplane.localcloud.stock.ledger import Stock

__all__ = ["Autopilot"]


class Autopilot:
    """All of it for one cluster. Claims of present Nodes are made when it is built; `runners` do the rest.

    Machine types, the IP range and what becomes of preempted GPUs are the scenario's, which the stock knows,
    unless they are given here.
    """

    def __init__(
        self,
        api: Api,
        clock: Clock,
        *,
        cluster: ClusterSpec,
        stock: Stock,
        delays: Delays | Callable[[], Delays],
        machine_types: tuple[MachineType, ...] | None = None,
        preempted_stock_returns: bool | None = None,
        most_nodes: int | None = None,
    ) -> None:
        scenario = stock.scenario
        machines = scenario.machine_types if machine_types is None else machine_types
        returns = scenario.preempted_stock_returns if preempted_stock_returns is None else preempted_stock_returns
        most = scenario.ip_space.get(cluster.name) if most_nodes is None else most_nodes
        self._delays: Delays | Callable[[], Delays] = delays
        self._nodes = Nodes(api, clock, cluster, stock)
        self._nodes.reclaim()
        self._classes = ComputeClasses(api)
        self._scheduler = Scheduler(api, clock)
        self._scale_up = ScaleUp(
            api,
            clock,
            self._nodes,
            stock,
            self._now,
            classes=self._classes,
            machine_types=machines,
            most_nodes=most,
        )
        self._scale_down = ScaleDown(api, clock, self._nodes, self._now)
        self._preemption = Preemption(api, clock, self._nodes, stock, self._now, stock_returns=returns)
        self._outage = Outage(self._nodes, stock, self._scale_up, self._preemption.reclaim_short_pools)
        warden = Warden(self._classes)
        self.admission_hooks: list[tuple[AdmissionHook, bool]] = [(Adjustment(), False), (warden, True)]

    def _now(self) -> Delays:
        return self._delays() if callable(self._delays) else self._delays

    def set_delays(self, delays: Delays) -> None:
        """Change the delays; what is under way keeps its own."""
        self._delays = delays
        self._scale_down.look_again()

    def runners(self) -> list[Runner]:
        """Give what must run while the cluster does."""
        return [self._classes, self._scheduler, self._scale_up, self._scale_down, self._preemption, self._outage]

    def preempt(
        self, accelerator: str | None = None, capacity: str | None = SPOT, count: int | None = None
    ) -> list[str]:
        """Take back nodes, the oldest first (all that match when no count is given); gives their names."""
        return self._preemption.preempt(accelerator, capacity, count)

    def release(self) -> None:
        """Give back everything this cluster holds, since the cluster is deleted."""
        self._nodes.release_all()
