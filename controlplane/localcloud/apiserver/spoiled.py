"""The two faults that need the data: reads of an old state, and lists with objects missing."""

from dataclasses import replace

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.core import Core
from controlplane.localcloud.apiserver.reads import Page
from controlplane.localcloud.apiserver.store import Shelf
from controlplane.localcloud.faults import SCOPE_KEY, Fault, FaultBook, Scope


class Spoiler:
    """Remembers the state at the moment a stale-read fault was added, and shows it while the fault lasts."""

    def __init__(self, core: Core, faults: FaultBook, cluster: str) -> None:
        self._core = core
        self._cluster = cluster
        self._since: dict[str, int] = {}
        faults.listeners.append(self._note)

    def _note(self, fault_id: str, fault: Fault) -> None:
        if fault.kind == "stale-read" and fault.endpoint in ("*", self._cluster):
            self._since[fault_id] = self._core.store.rv

    def shelf(self, scope: Scope, name: str) -> Shelf:
        """Give the shelf to read from: the present one, or one as it was."""
        present = self._core.store.shelf(name)
        fault_id, fault = scope.get(SCOPE_KEY, ("", None))
        if fault is None or fault.kind != "stale-read":
            return present
        rv = self._since.get(fault_id, self._core.store.rv)
        try:
            state = present.at(rv)
        except ApiError:
            state = present.at(present.oldest)
        old = Shelf(name, present.oldest)
        old.records = dict(state)
        return old

    def page(self, scope: Scope, page: Page) -> Page:
        """Give the page, or its first half as though that were all."""
        _, fault = scope.get(SCOPE_KEY, ("", None))
        if fault is None or fault.kind != "partial-list":
            return page
        return replace(page, records=page.records[: len(page.records) // 2], continue_token="", remaining=None)
