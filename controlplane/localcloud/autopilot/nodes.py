"""The cluster's VMs: every Node has its GPUs claimed in the stock, and a Node that goes gives them back.

The Nodes in the API are the record. After a restart the claims are made anew from them, and a claim without a Node (a
VM that was on its way when the daemon died) is given back.
"""

import logging

from controlplane.localcloud.apiserver.api import Api, ApiError, Object
from controlplane.localcloud.autopilot import names
from controlplane.localcloud.autopilot.machines import NodePlan, node_object
from controlplane.localcloud.autopilot.pods import is_finished
from controlplane.localcloud.clock import Clock, new_suffix, rfc3339
from controlplane.localcloud.scenario import ON_DEMAND, ClusterSpec
from controlplane.localcloud.stock.ledger import Pool, Stock

log = logging.getLogger(__name__)


class Nodes:
    """Makes and ends the Nodes of one cluster."""

    def __init__(self, api: Api, clock: Clock, cluster: ClusterSpec, stock: Stock) -> None:
        self._api = api
        self._clock = clock
        self.cluster = cluster
        self._stock = stock
        self._on_their_way: set[str] = set()

    def all(self) -> list[Object]:
        """Give all Nodes."""
        return self._api.list("nodes")

    def find(self, name: str) -> Object | None:
        """Give one Node, if it is there."""
        return self._api.find("nodes", name)

    def pods_on(self, name: str) -> list[Object]:
        """Give the Pods bound to a node, ended ones included."""
        return [pod for pod in self._api.list("pods") if pod["spec"].get("nodeName") == name]

    def new_name(self, plan: NodePlan) -> str:
        """Give the name of the next VM of a group."""
        return f"{plan.group(self.cluster)}-{new_suffix(4)}"

    def size_of(self, plan: NodePlan) -> int:
        """Give how many VMs a group has, those on their way included."""
        prefix = f"{plan.group(self.cluster)}-"
        vms = {node["metadata"]["name"] for node in self.all()} | self._on_their_way
        return sum(name.startswith(prefix) for name in vms)

    def count(self) -> int:
        """Give how many VMs there are, those on their way included."""
        return len(self.all()) + len(self._on_their_way)

    def reserve(self, plan: NodePlan, name: str) -> None:
        """Take the VM's GPUs. Raises Refused."""
        if plan.pool is not None:
            self._stock.take(plan.pool, plan.machine.gpus, self._holder(name))
        self._on_their_way.add(name)

    def release(self, name: str, *, lost: bool = False) -> None:
        """Give a VM's GPUs back."""
        self._on_their_way.discard(name)
        self._stock.give_back(self._holder(name), lost=lost)

    def register(self, plan: NodePlan, name: str) -> None:
        """Let the Node appear."""
        self._on_their_way.discard(name)
        node = node_object(plan, name, self.cluster)
        stamp = rfc3339(self._clock.now())
        for entry in node["status"]["conditions"]:
            entry.update(lastHeartbeatTime=stamp, lastTransitionTime=stamp)
        self._api.create("nodes", node)

    def set_taints(self, name: str, *, add: Object | None = None, drop: str = "") -> None:
        """Add a taint, or drop those with a key."""
        node = self.find(name)
        if node is None:
            return
        old = node["spec"].get("taints") or []
        taints = [taint for taint in old if taint["key"] not in (drop, (add or {}).get("key"))]
        taints = [*taints, add] if add else taints
        if taints != old:
            self._api.patch("nodes", name, {"spec": {"taints": taints or None}})

    def mark_going(self, name: str) -> None:
        """Note that the VM has its notice."""
        self._stock.mark_going(self._holder(name))

    def remove(self, name: str, *, lost: bool = False) -> None:
        """End a VM; what still runs on it is gone with it. What has finished is left to the Pod garbage collector."""
        for pod in self.pods_on(name):
            if not is_finished(pod):
                self.force_out(pod)
        try:
            self._api.delete("nodes", name)
        except ApiError as error:
            if error.code != 404:
                raise
        self.release(name, lost=lost)

    def force_out(self, pod: Object) -> None:
        """Delete a Pod without grace."""
        meta = pod["metadata"]
        try:
            self._api.delete("pods", meta["name"], meta["namespace"], grace_seconds=0, uid=meta["uid"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    def reclaim(self) -> None:
        """Claim what the present Nodes hold, and give back what no Node stands for."""
        present = set()
        for node in self.all():
            name = node["metadata"]["name"]
            present.add(name)
            if (pool := pool_of(node)) is not None:
                gpus = int((node["status"].get("capacity") or {}).get(names.GPU, "0"))
                self._stock.claim(pool, gpus, self._holder(name))
            if is_going(node):
                self.mark_going(name)
        for name in self._stock.holders(self.cluster.name):
            if name not in present:
                self.release(name)

    def release_all(self) -> None:
        """Give back everything that this cluster holds."""
        for name in self._stock.holders(self.cluster.name):
            self.release(name)

    def _holder(self, name: str) -> str:
        return f"{self.cluster.name}/{name}"


def pool_of(node: Object) -> Pool | None:
    """Give the stock pool that a Node draws on, read from its labels."""
    labels = node["metadata"].get("labels") or {}
    accelerator, zone = labels.get(names.ACCELERATOR), labels.get(names.ZONE)
    if not accelerator or not zone:
        return None
    return Pool(zone, accelerator, names.CAPACITY_OF.get(labels.get(names.PROVISIONING, ""), ON_DEMAND))


def is_going(node: Object) -> bool:
    """Say whether the VM has its notice to end."""
    return any(taint["key"] == names.TERMINATION_TAINT for taint in (node.get("spec") or {}).get("taints") or [])
