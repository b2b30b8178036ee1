"""What a platform team scrapes, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from controlplane.engine.outcome import PassReport

STATES = ("wanted", "hunting", "warming", "serving", "draining")


class Metrics:
    """Counts passes, actions and calls; shows where each service stands."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._shown: set[str] = set()
        self._rendering: set[str] = set()
        self._passes = Counter("gpuhunter_passes", "Passes by exit code", ["exit_code"], registry=self.registry)
        self._seconds = Histogram(
            "gpuhunter_pass_seconds",
            "How long passes took",
            buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
            registry=self.registry,
        )
        self._actions = Counter(
            "gpuhunter_actions", "Actions by kind and outcome", ["action", "outcome"], registry=self.registry
        )
        self._calls = Counter(
            "gpuhunter_api_calls", "Kubernetes API calls by cluster", ["cluster"], registry=self.registry
        )
        self._google = Counter("gpuhunter_google_api_calls", "Google Cloud API calls", registry=self.registry)
        self._replicas = Gauge(
            "gpuhunter_replicas", "Replicas by service and state", ["service", "state"], registry=self.registry
        )
        self._cost = Gauge("gpuhunter_hourly_cost_usd", "Cost at the known prices", ["service"], registry=self.registry)
        self._refused = Gauge(
            "gpuhunter_refused_offerings",
            "Offerings by first reason of refusal",
            ["service", "reason"],
            registry=self.registry,
        )
        self._shards = Gauge(
            "gpuhunter_batch_shards", "Shards of a batch by state", ["batch", "state"], registry=self.registry
        )
        self._workers = Gauge(
            "gpuhunter_batch_workers", "Workers of a batch by state", ["batch", "state"], registry=self.registry
        )
        self._spent = Gauge(
            "gpuhunter_batch_cost_usd", "Spent on a batch at the known prices", ["batch"], registry=self.registry
        )
        self._files = Gauge(
            "gpuhunter_inbox_files", "Files of an inbox by state", ["inbox", "state"], registry=self.registry
        )
        self._unknown = Gauge("gpuhunter_unknown_clusters", "Members that did not answer", registry=self.registry)

    def serve(self, host: str, port: int) -> int:
        """Serve them over HTTP from a thread of their own; give the port. Raises OSError when it cannot be had."""
        server, _ = start_http_server(port, host, self.registry)
        return int(server.server_port)

    def record(self, report: PassReport) -> None:
        """Take down a pass."""
        self._passes.labels(str(int(report.exit_code))).inc()
        self._seconds.observe(report.seconds)
        self._unknown.set(len(report.unknown))
        self._refused.clear()
        self._google.inc(report.google_calls)
        for cluster, calls in report.calls.items():
            self._calls.labels(cluster).inc(calls)
        for key in self._shown - {service.key for service in report.services} if report.services else ():
            self._forget(key)
        for service in report.services:
            for result in service.results:
                self._actions.labels(type(result.action).__name__, result.outcome.value).inc()
            if service.decision is None:
                continue
            counts = service.decision.counts
            self._shown.add(service.key)
            for state in STATES:
                self._replicas.labels(service.key, state).set(getattr(counts, state))
            self._cost.labels(service.key).set(counts.hourly_cost)
            for reason, number in service.decision.histogram.items():
                self._refused.labels(service.key, reason).set(number)
        self._record_batches(report)

    def _record_batches(self, report: PassReport) -> None:
        for batch in report.batches:
            for result in batch.results:
                self._actions.labels(type(result.action).__name__, result.outcome.value).inc()
            if batch.looked is not None:
                looked = batch.looked
                self._files.labels(batch.key, "taken").set(looked.known + len(looked.made))
                self._files.labels(batch.key, "waiting").set(len(looked.waiting))
            if batch.decision is None or batch.spec is None:
                continue
            memory, counts = batch.decision.memory, batch.decision.counts
            done, lost = len(memory.done), len(memory.lost - memory.done)
            for state, number in {"done": done, "lost": lost, "left": batch.spec.shards - done - lost}.items():
                self._shards.labels(batch.key, state).set(number)
            for state in STATES:
                self._workers.labels(batch.key, state).set(getattr(counts, state))
            self._spent.labels(batch.key).set(memory.spent)
            for reason, number in batch.decision.histogram.items():
                self._refused.labels(batch.key, reason).set(number)
        now = {batch.key for batch in report.batches}
        for key in self._rendering - now if _looked_at_all(report) else ():
            self._forget_batch(key)
        self._rendering |= now

    def _forget(self, service: str) -> None:
        """Show no more of a service that is gone."""
        self._shown.discard(service)
        self._cost.remove(service)
        for state in STATES:
            self._replicas.remove(service, state)

    def _forget_batch(self, batch: str) -> None:
        self._rendering.discard(batch)
        for gauge in (self._shards, self._workers, self._spent):
            gauge.remove_by_labels({"batch": batch})
        self._files.remove_by_labels({"inbox": batch})


def _looked_at_all(report: PassReport) -> bool:
    """Say whether the pass came as far as reading what is stored: one that was refused before says nothing of it."""
    return bool(report.calls) and not report.held_by
