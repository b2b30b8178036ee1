"""Which members changed: a watch on each, and a look at which of them answer."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from controlplane.localcloud.apiserver.api import Api, ApiError
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.loadbalancer.exports import install_kinds
from controlplane.localcloud.loadbalancer.members import WATCHED

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class Followers:
    """Watches the members there are; `touched` is told the link of one that is to be looked at."""

    def __init__(
        self,
        members: Callable[[], Mapping[str, Api]],
        reachable: Callable[[str], bool],
        clock: Clock,
        touched: Callable[[str], None],
    ) -> None:
        self._members = members
        self._reachable = reachable
        self._clock = clock
        self._touched = touched
        self._watchers: dict[str, tuple[Api, asyncio.Task[None]]] = {}
        self._answering: set[str] = set()

    def follow(self) -> None:
        """Take up members that are new, made anew or answer again; let go of those that are gone."""
        present = self._members()
        for link in list(self._watchers):
            api, watcher = self._watchers[link]
            if present.get(link) is not api:
                watcher.cancel()
                del self._watchers[link]
        for link, api in present.items():
            if link not in self._watchers:
                install_kinds(api, "crds_services.yaml")
                task = asyncio.get_running_loop().create_task(self._watch(link, api))
                self._watchers[link] = (api, task)
        answering = {link for link in present if self._reachable(link)}
        for link in answering - self._answering:
            self._touched(link)
        self._answering = answering

    def stop(self) -> None:
        """Stop watching."""
        for _, watcher in self._watchers.values():
            watcher.cancel()
        self._watchers.clear()
        self._answering.clear()

    async def _watch(self, link: str, api: Api) -> None:
        while True:
            try:
                async for _ in api.watch(*WATCHED):
                    self._touched(link)
            except ApiError as error:
                log.warning("watching %s failed: %s", link, error.message)
            await self._clock.sleep(RETRY_SECONDS)
