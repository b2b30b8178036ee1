"""A small world of parts: what is there, what takes a while, and what goes wrong at which call."""

from datetime import UTC, datetime, timedelta

import pytest

from controlplane.bootstrap.run import Run
from controlplane.bootstrap.values import Address, Operation, Part, Seen, State
from controlplane.gateways.errors import AlreadyExists
from controlplane.model.growth import OperationSeen, Progress

START = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self):
        self.elapsed = 0.0

    def now(self):
        return START + timedelta(seconds=self.elapsed)

    def monotonic(self):
        return self.elapsed

    def sleep(self, seconds):
        self.elapsed += seconds


class World:
    """Handler and operations in one. `slow`: seconds that a part takes; `plagues`: what is called at every step."""

    def __init__(self, clock):
        self.clock = clock
        self.ready, self.gone, self.journal = {}, {}, []
        self.slow, self.foreign, self.unknown, self.failing = {}, set(), {}, {}
        self.plague = lambda _moment, _name: None

    def look(self, part):
        name, now = part.name, self.clock.elapsed
        self.plague("look", name)
        if name in self.unknown:
            raise self.unknown[name]
        if name in self.foreign:
            return Seen(State.TAKEN, "somebody else's", remedy="take another name")
        if name in self.gone:
            if now >= self.gone[name]:
                self.ready.pop(name, None)
                del self.gone[name]
            else:
                return Seen(State.GOING, "stopping")
        if name not in self.ready:
            return Seen(State.ABSENT)
        return Seen(State.PRESENT if now >= self.ready[name] else State.GOING, "provisioning")

    def make(self, part, seen):
        self.plague("before making", part.name)
        if part.name in self.ready:
            raise AlreadyExists(part.name)
        self.ready[part.name] = self.clock.elapsed + self.slow.get(part.name, 0.0)
        self.journal.append(("make", part.name, self.clock.elapsed))
        self.plague("after making", part.name)
        return Operation("compute", part.name) if part.name in self.slow else None

    def remove(self, part, seen):
        self.plague("before removing", part.name)
        self.journal.append(("remove", part.name, self.clock.elapsed))
        if part.name in self.slow:
            self.gone[part.name] = self.clock.elapsed + self.slow[part.name]
            self.plague("after removing", part.name)
            return Operation("compute", part.name)
        self.ready.pop(part.name, None)
        self.plague("after removing", part.name)
        return None

    def operation(self, api, path):
        if path in self.failing:
            self.ready.pop(path, None)
            return OperationSeen(Progress.FAILED, self.failing[path])
        at = self.gone.get(path, self.ready.get(path, 0.0))
        return OperationSeen(Progress.DONE if self.clock.elapsed >= at else Progress.RUNNING)


def part(name, *needs, kept=""):
    return Part(name, Address("p", name), needs, kept=kept)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def world(clock):
    return World(clock)


@pytest.fixture
def make_part():
    return part


@pytest.fixture
def runs(world, clock):
    """Begin a run over parts, as a new process would; `told` collects what it says."""

    def begin(parts, told=None):
        said = [] if told is None else told
        return Run(
            parts, {Address: world}, world, clock, lambda name, what: said.append((name, what)), project="my-project"
        )

    return begin
