"""A region that goes away takes its VMs along: nodes and Pods are gone at once, without notice, and GPUs come free.

While it is away nothing is provisioned. When it is back, the workloads' Pods wait for nodes as if they were new.
"""

import asyncio
import logging
from collections.abc import Callable

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.autopilot.nodes import Nodes
from controlplane.localcloud.autopilot.scaleup import ScaleUp
from controlplane.localcloud.stock.ledger import Stock

log = logging.getLogger(__name__)


class Outage:
    """Follows the stock: whether the region is there, and whether a replayed pool shrank."""

    def __init__(self, nodes: Nodes, stock: Stock, scale_up: ScaleUp, reclaim: Callable[[], None]) -> None:
        self._nodes = nodes
        self._stock = stock
        self._scale_up = scale_up
        self._reclaim = reclaim
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        unsubscribe = self._stock.subscribe(self._changed.set)
        was_down = False
        try:
            while True:
                self._changed.clear()
                down = self._stock.is_down(self._nodes.cluster.region)
                if down:
                    self._lose_everything()
                elif was_down:
                    self._scale_up.look_again()
                else:
                    self._reclaim()
                was_down = down
                await self._changed.wait()
        finally:
            unsubscribe()

    def _lose_everything(self) -> None:
        self._scale_up.abandon()
        for node in self._nodes.all():
            try:
                self._nodes.remove(node["metadata"]["name"])
            except ApiError as error:
                log.debug("node %s was not removed: %s", node["metadata"]["name"], error.message)
