"""Which cluster leads: the one whose ingress objects count, as the fleet's ingress feature names it.

It may be another one tomorrow, or none. While there is none, or it does not answer, nobody is listened to, and what is
programmed stays as it is.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from controlplane.localcloud.apiserver.api import Api, ApiError
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.loadbalancer import exports, gateway_objects, objects

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
WATCHED = (
    objects.INGRESSES,
    objects.SERVICES,
    objects.BACKEND_CONFIGS,
    objects.FRONTEND_CONFIGS,
    *gateway_objects.WATCHED,
    "secrets",
)
_KINDS = ("crds.yaml", "crds_gateway.yaml", "crds_services.yaml")

# Gives the config cluster's link and API; None while there is none.
Leads: TypeAlias = Callable[[], tuple[str | None, Api] | None]


@dataclass(frozen=True, slots=True)
class Orders:
    """Where orders come from: the config cluster, and what writes into it how they were carried out."""

    api: Api
    objects: objects.ConfigObjects
    gateways: gateway_objects.GatewayObjects


class Leader:
    """Follows whichever cluster leads. heard: called when there is something to read in it."""

    def __init__(
        self,
        leads: Leads,
        clock: Clock,
        *,
        reachable: Callable[[str], bool],
        project: str,
        heard: Callable[[], None],
    ) -> None:
        self._leads = leads
        self._clock = clock
        self._reachable = reachable
        self._project = project
        self._heard = heard
        self._link: str | None = None
        self._orders: Orders | None = None
        self._watching: asyncio.Task[None] | None = None

    def changed(self) -> bool:
        """Say whether another cluster leads than the one that is followed."""
        found = self._leads()
        return (None if found is None else found[1]) is not (None if self._orders is None else self._orders.api)

    def follow(self) -> None:
        """Take orders from the cluster that leads now; ApiError when it cannot be given the kinds for them."""
        if not self.changed():
            return
        found = self._leads()
        self._orders = None
        if found is not None:
            self._link, api = found
            for file in _KINDS:
                exports.install_kinds(api, file)
            gateways = gateway_objects.GatewayObjects(api, self._clock, self._project)
            self._orders = Orders(api, objects.ConfigObjects(api, self._clock), gateways)
        self._heard()
        if self._watching is not None:
            self._watching.cancel()

    def answering(self) -> Orders | None:
        """Give the one who is to be listened to now."""
        return self._orders if self._link is None or self._reachable(self._link) else None

    async def watch(self) -> None:
        """Listen to whoever leads, for ever."""
        while True:
            if self._orders is not None:
                self._watching = asyncio.get_running_loop().create_task(self._watch(self._orders.api))
                try:
                    await asyncio.wait([self._watching])
                finally:
                    self._watching.cancel()
            await self._clock.sleep(RETRY_SECONDS)

    async def _watch(self, api: Api) -> None:
        try:
            async for _ in api.watch(*WATCHED):
                self._heard()
        except ApiError as error:
            log.warning("watching the config cluster failed: %s", error.message)
