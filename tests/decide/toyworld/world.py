"""A service in the toy cloud that is decided about pass by pass, and held to what must always be true."""

from datetime import datetime, timedelta

from controlplane.decide import decide
from controlplane.model.decision import Decision
from controlplane.model.memory import Memory
from controlplane.model.offering import Offering

from . import invariants
from .cloud import BrokenError, Cloud
from .spec import MINUTE


class Toy(Cloud):
    """The cloud, and the memory of the service from pass to pass.

    log: every pass and its instant. left: which regions serving replicas were taken out of, and when.
    """

    def __init__(self, *where, **knobs) -> None:
        super().__init__(*where, **knobs)
        self.memory = Memory()
        self.log: list[tuple[datetime, Decision]] = []
        self.left: list[tuple[datetime, str]] = []
        self.worst_before = 0.0

    def think(self) -> Decision:
        return decide(self.spec, self.observe(), self.memory, self.now)

    def one_pass(self, keep=lambda action: True) -> Decision:
        decision = self.think()
        self.check(decision)
        self.memory = decision.memory
        before, self.worst_before = self.serving(), self.worst_cost()
        self.apply(decision, keep)
        self.check_after(decision, before)
        self.log.append((self.now, decision))
        return decision

    def apply(self, decision: Decision, keep=lambda action: True) -> None:
        for action in decision.plan:
            if keep(action):
                self.perform(action)

    def _carry_out(self, action, offering) -> None:
        self.left += [(self.now, region) for region in invariants.leaves(self, action)]
        super()._carry_out(action, offering)

    def check(self, decision: Decision) -> None:
        invariants.check(self, decision)

    def check_after(self, decision: Decision, before: int) -> None:
        invariants.check_after(self, decision, before)

    def run(self, passes: int, dt: timedelta = MINUTE) -> Decision:
        decision = self.one_pass()
        for _ in range(passes):
            self.step(dt)
            decision = self.one_pass()
        return decision

    def until(self, done, passes: int = 120, dt: timedelta = MINUTE) -> int:
        """Run passes until `done(self)` holds; give how many it took."""
        for number in range(passes + 1):
            self.one_pass()
            if done(self):
                return number
            self.step(dt)
        raise BrokenError(f"not within {passes} passes: {self.story()}")

    def verdict(self, offering: Offering, decision: Decision | None = None):
        """Give the verdict of one offering in the last pass."""
        found = decision or self.log[-1][1]
        return next(v for v in found.verdicts if v.offering == offering)

    def condition(self, kind: str):
        """Give a condition of the last pass."""
        return next(c for c in self.log[-1][1].conditions if c.type == kind)

    def plans(self, since: int = 0) -> list[str]:
        """Give what was done since pass number `since`, as text."""
        return [str(a) for _, d in self.log[since:] for a in d.plan]

    def settled(self) -> bool:
        """Tell whether as many serve as are wanted and nothing is left to do."""
        return self.serving() == self.spec.replicas and not self.log[-1][1].plan

    def story(self) -> str:
        lines = [f"{at:%H:%M:%S} {a}" for at, d in self.log[-12:] for a in d.plan]
        tail = self.log[-1][1] if self.log else None
        conditions = [f"{c.type}={c.status} {c.reason}: {c.message}" for c in tail.conditions] if tail else []
        held = [f"{s.guard}: {s.action}: {s.why}" for s in tail.suppressed] if tail else []
        return "\n".join([*lines, *conditions, *held])
