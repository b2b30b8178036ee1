"""A client that sends requests all the time and counts what comes back.

It is deliberately an ordinary one: keep-alive connections, one new connection when the server closed the old one, no
retry of its own. A request has failed when anything but the whole answer with status 200 came back.
"""

import http.client
import threading
from collections import Counter
from dataclasses import dataclass, field

from controlplane.clock import Clock

REQUEST_TIMEOUT = 30.0
KEPT_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests so far: how many were answered, how many failed, by which region, and how long they took (seconds)."""

    ok: int
    failed: int
    regions: dict[str, int]
    p50: float
    p95: float
    p99: float
    longest: float
    errors: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Give the tally as plain data, latencies in milliseconds."""
        latency = {"p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.longest}
        return {
            "ok": self.ok,
            "failed": self.failed,
            "latency_ms": {name: round(seconds * 1000, 1) for name, seconds in latency.items()},
            "regions": self.regions,
            "errors": list(self.errors),
        }


@dataclass
class Traffic:
    """`workers` threads that each send a request, read the answer, rest for `pause` seconds, and go on."""

    address: str
    clock: Clock
    workers: int = 4
    pause: float = 0.02
    path: str = "/"
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)
    _latencies: list[float] = field(default_factory=list)
    _regions: Counter[str] = field(default_factory=Counter)
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
            latencies = sorted(self._latencies)
            regions, failed, errors = dict(sorted(self._regions.items())), self._failed, tuple(self._errors)
        return Tally(
            ok=len(latencies),
            failed=failed,
            regions=regions,
            p50=percentile(latencies, 0.50),
            p95=percentile(latencies, 0.95),
            p99=percentile(latencies, 0.99),
            longest=latencies[-1] if latencies else 0.0,
            errors=errors,
        )

    def _work(self) -> None:
        host, _, port = self.address.partition(":")
        connection = http.client.HTTPConnection(host, int(port or 80), timeout=REQUEST_TIMEOUT)
        while not self._stop.is_set():
            begun = self.clock.monotonic()
            try:
                region = self._request(connection)
            except (OSError, http.client.HTTPException, ValueError) as error:
                connection.close()
                self._record_failure(f"{type(error).__name__}: {error}")
            else:
                self._record(region, self.clock.monotonic() - begun)
            self._stop.wait(self.pause)
        connection.close()

    def _request(self, connection: http.client.HTTPConnection) -> str:
        connection.request("GET", self.path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise ValueError(f"status {response.status}: {body[:80]!r}")
        return region_in(body)

    def _record(self, region: str, seconds: float) -> None:
        with self._lock:
            self._latencies.append(seconds)
            self._regions[region] += 1

    def _record_failure(self, what: str) -> None:
        with self._lock:
            self._failed += 1
            if len(self._errors) < KEPT_ERRORS:
                self._errors.append(what)


def percentile(ordered: list[float], share: float) -> float:
    """Give the value below which `share` of the ordered values lie (nearest rank); 0 for none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def region_in(body: bytes) -> str:
    """Give the region that an answer names; an answer that names none was not one of the service's own."""
    import json

    try:
        answer = json.loads(body)
        return f"{answer['region']} {answer['accelerator']} {answer['capacity']}"
    except (KeyError, TypeError) as error:
        raise ValueError(f"an answer that does not name its region: {body[:80]!r}") from error
