"""A client that reads pages all the time and counts what comes back.

It is deliberately an ordinary one: keep-alive connections, one new connection when the server closed the old one, no
retry of its own. A request has failed when anything but the whole answer with status 200 came back.
"""

import http.client
import itertools
import json
import threading
from collections import Counter
from dataclasses import dataclass, field

from controlplane.clock import Clock
from controlplane.demo.tally import KEPT_ERRORS, Tally, tally_of

REQUEST_TIMEOUT = 30.0
PLACE_HEADER = "X-GPU-Hunter"


@dataclass
class Traffic:
    """`workers` threads that each send a request, read the answer, rest for `pause` seconds, and go on."""

    address: str
    clock: Clock
    workers: int = 4
    pause: float = 0.02
    paths: tuple[str, ...] = ("/",)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _latencies: list[float] = field(default_factory=list)
    _places: Counter[str] = field(default_factory=Counter)
    _errors: list[str] = field(default_factory=list)
    _failed: int = 0

    def start(self) -> None:
        """Begin to send."""
        for number in range(self.workers):
            thread = threading.Thread(target=self._work, name=f"client-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> Tally:
        """Send no more, wait for what is under way, and give the final count."""
        self._stop.set()
        for thread in self._threads:
            thread.join(REQUEST_TIMEOUT + 1)
        return self.tally()

    def tally(self) -> Tally:
        """Count up to now."""
        with self._lock:
            return tally_of(self._latencies, self._places, self._failed, self._errors)

    def _work(self) -> None:
        host, _, port = self.address.partition(":")
        connection = http.client.HTTPConnection(host, int(port or 80), timeout=REQUEST_TIMEOUT)
        paths = itertools.cycle(self.paths)
        while not self._stop.is_set():
            begun = self.clock.monotonic()
            try:
                place = self._request(connection, next(paths))
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                self._record_failure(f"{type(error).__name__}: {error}")
            else:
                self._record(place, self.clock.monotonic() - begun)
            self._stop.wait(self.pause)
        connection.close()

    def _request(self, connection: http.client.HTTPConnection, path: str) -> str:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise ValueError(f"{path}: status {response.status}: {body[:80]!r}")
        return place_in(response.headers.get(PLACE_HEADER, ""), body)

    def _record(self, place: str, seconds: float) -> None:
        with self._lock:
            self._latencies.append(seconds)
            self._places[place] += 1

    def _record_failure(self, what: str) -> None:
        with self._lock:
            self._failed += 1
            if len(self._errors) < KEPT_ERRORS:
                self._errors.append(what)


def place_in(header: str, body: bytes) -> str:
    """Give region, GPU type and capacity type as an answer names them, in its place header or as a JSON body.

    Raises ValueError for an answer that names none: it was not one of the service's own.
    """
    pairs = (part.strip().partition("=") for part in header.split(";"))
    told = {name: value for name, _, value in pairs}
    try:
        if "region" not in told:
            told = json.loads(body)
        return f"{told['region']} {told['accelerator']} {told['capacity']}"
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"an answer that does not name its region: {body[:80]!r}") from error
