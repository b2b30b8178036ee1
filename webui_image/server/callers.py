"""Whose request is it: interrupt, skip, progress and the default model are the caller's own, not everybody's.

In A1111 anyone's interrupt stops anyone's picture, and anyone's option changes everybody's model. Here a caller is the
authenticated user or, without authentication, the client's address; a task id (A1111's `force_task_id`) tells several
requests of one caller apart. All this lives in memory, bounded, and only for convenience: behind a load balancer the
next call may reach another replica, so closing the connection is the sure way to cancel.

Used from the event loop's thread alone.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from webui_image.server.addresses import client_address

if TYPE_CHECKING:
    from PIL import Image
    from starlette.requests import HTTPConnection

    from webui_image.server.settings import Settings
    from webui_image.values.ports import Ticket

REMEMBERED = 1000  # callers whose options are kept


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `user` is what fairness and the caller's own state go by."""

    user: str
    authenticated: bool

    @property
    def hashed(self) -> str:
        """Give what logs may show of it."""
        return sha256(self.user.encode()).hexdigest()[:12]


@dataclass(slots=True)
class Running:
    """One request of a caller, as far as it has got."""

    task_id: str
    kind: str  # "txt2img", "img2img", "generate"
    count: int  # pictures asked for
    started: float  # on the clock's monotonic scale
    timestamp: str  # A1111's job_timestamp, e.g. 20261125134500
    ticket: Ticket | None = None
    position: int | None = None  # requests before it; None once it runs
    index: int = 0  # of the picture that made the last step
    step: int = 0
    steps: int = 0
    preview: Image.Image | None = None
    fractions: dict[int, float] = field(default_factory=dict)  # of each picture, 0 to 1
    interrupted: bool = False
    skipped: bool = False

    @property
    def progress(self) -> float:
        """How much of all its pictures is drawn, 0 to 1."""
        return min(sum(self.fractions.values()) / max(self.count, 1), 1.0)

    @property
    def done(self) -> int:
        """How many of its pictures are complete."""
        return sum(1 for fraction in self.fractions.values() if fraction >= 1)


class Callers:
    """What is known of those who call."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: dict[str, list[Running]] = {}
        self._options: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def of(self, request: HTTPConnection) -> Caller:
        """Say who sends this request: the user that `security` established, else the client's address."""
        user = request.scope.get("state", {}).get("user")
        if user:
            return Caller(str(user), authenticated=True)
        return Caller(client_address(request.scope, self._settings), authenticated=False)

    def begin(self, caller: Caller, running: Running) -> None:
        """Note a request that the engine has taken."""
        self._running.setdefault(caller.user, []).append(running)

    def end(self, caller: Caller, running: Running) -> None:
        """Forget a request that is over."""
        mine = self._running.get(caller.user, [])
        if running in mine:
            mine.remove(running)
        if not mine:
            self._running.pop(caller.user, None)

    def running(self, caller: Caller, task_id: str | None = None) -> list[Running]:
        """Give the caller's requests, the oldest first; with a task id that one alone."""
        mine = self._running.get(caller.user, [])
        return [running for running in mine if task_id in (None, "", running.task_id)]

    def everything(self) -> Iterator[Running]:
        """Give all requests there are."""
        for mine in self._running.values():
            yield from mine

    def options(self, caller: Caller) -> dict[str, Any]:
        """Give what the caller has set with POST options; empty where it has set nothing, or long ago."""
        return dict(self._options.get(caller.user, {}))

    def set_options(self, caller: Caller, options: dict[str, Any]) -> None:
        """Keep the caller's options; those set longest ago are forgotten first."""
        self._options[caller.user] = options
        self._options.move_to_end(caller.user)
        while len(self._options) > REMEMBERED:
            self._options.popitem(last=False)
