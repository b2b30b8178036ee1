"""Local clouds to measure on: a small one without delays, a large one of forty clusters; each in its own folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controlplane.api.catalogue import REGIONS
from controlplane.clock import Clock
from controlplane.demo.acts import ask
from controlplane.demo.play import LIGHT_SERVICE
from controlplane.demo.scenario import DEFAULT
from controlplane.demo.stage import local_target
from controlplane.localcloud import control
from controlplane.wiring import App, build

INSTANT = ("provisioning", "boot", "refusal", "image_pull")
KEY = ("default", "demo")


class BenchError(Exception):
    """Something could not be measured; the message says what."""


@dataclass(frozen=True, slots=True)
class World:
    """A running local cloud and the reconciler for it."""

    state_dir: Path
    app: App
    clock: Clock

    def until_serving(self, regions: int, *, seconds: float = 90) -> str:
        """Make passes until the service answers from so many regions; give its address."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.app.run_pass(keep_lease=True)
            services = self.app.services(*KEY)
            status: dict[str, Any] = services[0].get("status", {}) if services else {}
            held = [name for name in str(status.get("regions", "")).split(",") if name]
            if len(held) >= regions and status.get("replicas") == status.get("counts", {}).get("wanted"):
                return str(status["address"])
            self.clock.sleep(0.2)
        raise BenchError(f"the service did not serve from {regions} regions within {seconds:g} s")

    def until_quiet(self, *, passes: int = 3) -> None:
        """Make passes until a few in a row did nothing."""
        quiet = 0
        for _ in range(60):
            report = self.app.run_pass(keep_lease=True)
            idle = all(not service.results and not service.status_written for service in report.services)
            quiet = quiet + 1 if idle and report.services else 0
            if quiet >= passes:
                return
            self.clock.sleep(0.3)
        raise BenchError("the reconciler does not come to rest")


@contextmanager
def world(clock: Clock, scenario: dict[str, Any]) -> Iterator[World]:
    """Start a local cloud with a scenario and take it away afterwards."""
    with tempfile.TemporaryDirectory(prefix="gpu-hunter-bench-") as folder:
        file = Path(folder) / "scenario.yaml"
        file.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
        state_dir = Path(folder) / "cloud"
        try:
            control.up(state_dir, file)
            yield World(state_dir, build(local_target(state_dir), clock=clock), clock)
        finally:
            control.reset(state_dir)


def small() -> dict[str, Any]:
    """Give the default scenario without delays, on a free port."""
    scenario: dict[str, Any] = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    scenario["load_balancer"]["port"] = 0
    scenario["delays"].update(dict.fromkeys(INSTANT, 0.0), load_balancer=0.2)
    return scenario


def large(clusters: int) -> dict[str, Any]:
    """Give a scenario of one config cluster and so many members, one a region."""
    regions = [region for region in sorted(REGIONS) if region != "us-west2"][:clusters]
    prices = {region: {"nvidia-l4": {"on-demand": 0.6, "spot": 0.25}} for region in regions}
    return {
        **small(),
        "name": "large",
        "clusters": [{"name": f"gpu-{r}", "location": r, "zones": [f"{r}-a"]} for r in regions],
        "stock": {f"{region}-a": {"nvidia-l4": {"on-demand": 2, "spot": 2}} for region in regions},
        "prices": prices,
        "advice": {},
        "client_region": regions[0],
    }


def service(replicas: int, per_region: int) -> dict[str, Any]:
    """Give the demonstration's service with other numbers, allowed everywhere and without a cap."""
    manifest: dict[str, Any] = yaml.safe_load(LIGHT_SERVICE.read_text(encoding="utf-8"))
    spec = manifest["spec"]
    spec["replicas"] = replicas
    spec["spread"] = {"maxReplicasPerRegion": per_region}
    del spec["regions"], spec["maxHourlyCost"]
    return manifest


def answers(address: str) -> bool:
    """Say whether the service answers at its address."""
    try:
        return bool(ask(address)["region"])
    except (OSError, ValueError, KeyError):
        return False
