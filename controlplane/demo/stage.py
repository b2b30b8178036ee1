"""What every act works with: the local cloud, the reconciler, the clock, and a way to wait for the world."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.clock import Clock
from controlplane.model.decision import Decision
from controlplane.wiring import App, Target

NAME, NAMESPACE = "demo", "default"
PASS_INTERVAL = 0.7

Say = Callable[[str], None]


class DemoError(Exception):
    """The world did not get where an act needs it; the message says what was waited for and what stood instead."""


@dataclass
class Stage:
    """The set. `history` keeps every action that any pass took, for the acts to count."""

    state_dir: Path
    app: App
    clock: Clock
    say: Say
    history: list[str] = field(default_factory=list)

    def cloud(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Do something to the local cloud."""
        from controlplane.localcloud import control

        return control.call(self.state_dir, command, **arguments)

    def step(self) -> Decision:
        """Make one pass and give what it decided for the service."""
        report = self.app.run_pass(dry_run=False)
        service = next((s for s in report.services if s.key == f"{NAMESPACE}/{NAME}"), None)
        if service is None or service.decision is None:
            why = service.problem if service else report.message
            raise DemoError(f"the pass could not decide for the demonstration's GPUService: {why}")
        for result in service.results:
            self.history.append(str(result.action))
            self.say(f"{result.action} [{result.outcome.value}] {result.message}".rstrip())
        return service.decision

    def until(self, what: str, done: Callable[[Decision], bool], *, seconds: float = 120) -> Decision:
        """Make passes until `done`. Raises DemoError after so many seconds."""
        end = self.clock.monotonic() + seconds
        while True:
            decision = self.step()
            if done(decision):
                return decision
            if self.clock.monotonic() >= end:
                raise DemoError(f"waited {seconds:g} s for {what}; stood at {standing(decision)}")
            self.clock.sleep(PASS_INTERVAL)

    def rest(self, seconds: float) -> int:
        """Make passes for so long and give the number of actions they took."""
        before, end = len(self.history), self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.step()
            self.clock.sleep(PASS_INTERVAL)
        return len(self.history) - before

    def address(self) -> str:
        """Give where the service answers, as the status in the config cluster says."""
        services = self.app.services(NAMESPACE, NAME)
        return str(services[0].get("status", {}).get("address") or "") if services else ""


def local_target(state_dir: Path) -> Target:
    """Give a running local cloud as the reconciler takes it: endpoints and credentials like any other cloud's."""
    from controlplane.localcloud import control

    found = control.connection(state_dir)
    return Target(
        project=found.project,
        config_cluster=found.config_cluster,
        endpoints=found.endpoints,
        ca_file=found.ca_file,
        credentials_file=found.credentials_file,
        prices_file=found.prices_file,
    )


def standing(decision: Decision) -> str:
    """Say in one line what holds replicas."""
    counts = decision.counts
    held = ", ".join(
        f"{n} x {accelerator} in {region}" for (region, accelerator), n in sorted(held_in(decision).items())
    )
    return f"{counts.serving}/{counts.wanted} serving ({held or 'nothing held'})"


def held_in(decision: Decision) -> Mapping[tuple[str, str], int]:
    """Give serving replicas by (region, GPU type); a region that does not answer is not counted."""
    result: dict[tuple[str, str], int] = {}
    for placement in decision.memory.placements:
        answers = placement.offering.region in decision.counts.regions
        if placement.phase.value == "Serving" and placement.replicas and answers:
            key = (placement.offering.region, placement.offering.accelerator.type)
            result[key] = result.get(key, 0) + placement.replicas
    return result


def whole(decision: Decision) -> bool:
    """All replicas serve, none is hunted for, warmed up or drained."""
    counts = decision.counts
    return counts.serving >= counts.wanted and counts.hunting == counts.warming == counts.draining == 0
