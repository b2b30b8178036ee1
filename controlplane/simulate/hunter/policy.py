"""The loop: see, decide, do, remember; and no pass where the one before shows that nothing would come of it."""

from dataclasses import replace
from datetime import datetime

from controlplane.decide import decide
from controlplane.decide.due import due_at
from controlplane.model.memory import Memory
from controlplane.model.service import ServiceSpec
from controlplane.simulate.hunter.deployments import instant
from controlplane.simulate.hunter.places import Places
from controlplane.simulate.hunter.world import World
from controlplane.simulate.market import Market, Scoring
from controlplane.simulate.trace import Trace


class Hunter:
    """The production decision as a policy. One object plays one trace once, from its start.

    `skipping`: leave out passes of which it is certain that they would decide nothing (`controlplane.decide.due`).
    Raises SpecError when the service can have nothing of what the trace sells.
    """

    name = "hunter"

    def __init__(self, spec: ServiceSpec, trace: Trace, scoring: Scoring, *, skipping: bool = True) -> None:
        del scoring  # delays are the market's; the decision sees only what comes of them
        self.places = Places(spec, trace)
        self.passes = 0
        self._spec = self.places.spec
        self._skipping = skipping
        self._world = World(self.places)
        self._memory = Memory()
        self._seen = -1
        self._due: datetime | None = None

    def act(self, market: Market, replicas: int) -> None:
        """Make one pass, or none where nothing new can come of it."""
        if replicas != self._spec.replicas:
            self._spec, self._seen = replace(self._spec, replicas=replicas), -1
        self._world.heed(market)
        now = instant(market.now)
        if self._seen == self._world.revision and self._due is not None and now < self._due:
            return
        self._pass(market, now)

    def _pass(self, market: Market, now: datetime) -> None:
        self.passes += 1
        observation, self._seen = self._world.observe(market.now), self._world.revision
        decision = decide(self._spec, observation, self._memory, now)
        self._due = due_at(self._spec, self._memory, decision, observation, now) if self._skipping else None
        self._memory = decision.memory
        self._world.sweep()
        for action in decision.plan:
            self._world.perform(self._spec, action, market)
        if decision.plan:
            market.note("; ".join(self.places.told(action) for action in decision.plan))
