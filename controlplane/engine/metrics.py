"""What a platform team scrapes, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from controlplane.engine.outcome import PassReport

STATES = ("wanted", "hunting", "warming", "serving", "draining")


class Metrics:
    """Counts passes, actions and calls; shows where each service stands."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._shown: set[str] = set()
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

    def _forget(self, service: str) -> None:
        """Show no more of a service that is gone."""
        self._shown.discard(service)
        self._cost.remove(service)
        for state in STATES:
            self._replicas.remove(service, state)
