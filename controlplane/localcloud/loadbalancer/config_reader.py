"""Taking a snapshot of the config cluster: Multi Cluster Ingress's objects and the Gateway API's as one.

The products' objects are read apart (`multicluster.py`, `gateways.py`) and balanced together, hence a snapshot holds
both. What is wrong with an object is told once, when it is first seen.
"""

from collections.abc import Mapping

from controlplane.localcloud.loadbalancer import gateways, multicluster, objects
from controlplane.localcloud.loadbalancer.edge import EdgeStore
from controlplane.localcloud.loadbalancer.exports import Exports
from controlplane.localcloud.loadbalancer.leader import Orders
from controlplane.localcloud.loadbalancer.looking import LookUp
from controlplane.localcloud.loadbalancer.wanted import Key, Wanted


class ConfigReader:
    """Reads whichever cluster leads.

    last: the last snapshot. exported: what members exported when it was taken. routes, refused: what is wrong with
    routes, and with what they lead to.
    """

    def __init__(self, edge: EdgeStore, last: Wanted) -> None:
        self._edge = edge
        self.last = last
        self.exported: Mapping[str, Exports] = {}
        self.routes: dict[Key, gateways.RouteError | None] = {}
        self.refused: dict[Key, str] = {}
        self._problems: dict[tuple[str, Key], str] = {}

    def read(self, orders: Orders, exported: Mapping[str, Exports]) -> bool:
        """Take a snapshot; give whether it differs from the last one. Raises ApiError."""
        look_up = LookUp(orders.api, self._edge)
        reading = self._multicluster(orders, look_up)
        self.exported = exported
        asked = gateways.read(orders.gateways.asked(), exported, self.last, look_up)
        self.routes, self.refused = asked.routes, asked.problems
        before = self.last
        self.last = Wanted((*reading.services, *asked.services), (*reading.ingresses, *asked.ingresses))
        return self.last != before

    def _multicluster(self, orders: Orders, look_up: LookUp) -> Wanted:
        ingresses = orders.api.list(objects.INGRESSES)
        services = orders.api.list(objects.SERVICES)
        for resource, bodies in ((objects.INGRESSES, ingresses), (objects.SERVICES, services)):
            for body in bodies:
                if "deletionTimestamp" not in body["metadata"]:
                    orders.objects.hold(resource, body)
        configs = (orders.api.list(each) for each in (objects.BACKEND_CONFIGS, objects.FRONTEND_CONFIGS))
        reading = multicluster.read(multicluster.Asked(ingresses, services, *configs), self.last, look_up)
        for (kind, key), problem in reading.problems.items():
            if self._problems.get((kind, key)) != problem:
                bodies = ingresses if kind == "MultiClusterIngress" else services
                body = next(body for body in bodies if objects.key_of(body) == key)
                orders.objects.events.record(body, "Warning", "SYNC", f"error running sync: {problem}")
        self._problems = reading.problems
        return reading.wanted
