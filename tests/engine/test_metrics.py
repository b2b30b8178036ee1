"""What a Prometheus server is told."""

import socket
import urllib.error
import urllib.request

import pytest

from controlplane.engine.metrics import Metrics
from controlplane.engine.watching import watch


def scraped(metrics):
    port = metrics.serve("127.0.0.1", 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return port, answer.read().decode()


def test_passes_and_replicas_are_served_over_http(world):
    """After some passes a scrape tells how many there were and where the service stands."""
    metrics = Metrics()
    world.run(4, metrics=metrics)
    _, text = scraped(metrics)
    assert 'gpuhunter_passes_total{exit_code="0"} 4.0' in text
    assert 'gpuhunter_replicas{service="default/web",state="serving"} 1.0' in text


def test_they_are_served_on_the_named_address_alone(world):
    """Another address of this machine does not answer."""
    metrics = Metrics()
    port, _ = scraped(metrics)
    with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port), timeout=60):
        pass


def test_a_service_that_is_gone_is_shown_no_more(world):
    """The gauges of a service end with it; counters stay."""
    metrics = Metrics()
    world.config.add("other")
    world.run(2, metrics=metrics)
    del world.config.stored["web"]
    world.run(1, metrics=metrics)
    _, text = scraped(metrics)
    assert 'service="default/web"' not in text
    assert 'service="default/other"' in text


def test_watching_dry_plans_again_each_time_and_writes_nothing(world):
    """A dry watch shows what the next pass would do, as the world changes, and takes no lease."""
    plans = []

    def on_pass(report):
        plans.append([str(action) for action in report.services[0].decision.plan])
        world.config.stored["web"]["spec"]["paused"] = True

    watch(world.reconciler(), interval=0.0, on_pass=on_pass, passes=2, dry_run=True)
    assert [bool(plan) for plan in plans] == [True, False]
    assert world.journal == []
    assert world.config.lease is None
