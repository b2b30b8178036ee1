"""Carries a plan out: looks at each part at its turn, makes or removes it, and waits where something needs it.

What takes minutes is begun and left to go on while other parts are made; a part is waited for when another one needs
it, and at the end. Every run begins by looking, so one that was killed anywhere is resumed by running it again. Google
Cloud answers before its parts know of each other: an API that was enabled, an account that was made a moment ago. What
is refused for such a reason is tried again for a while, if and only if something was made in this very run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from controlplane.bootstrap.plan import Verb, owned, to_make, to_remove
from controlplane.bootstrap.ports import Handler, Operations
from controlplane.bootstrap.remedies import Halted, halted, remedy
from controlplane.bootstrap.values import STANDING, Binding, Objects, Operation, Part, Rest, Seen, State, Thing
from controlplane.clock import Clock
from controlplane.gateways.administration import disabled
from controlplane.gateways.errors import Ambiguous, GatewayError, Gone, Invalid
from controlplane.model.growth import Progress

Say = Callable[[str, str], None]
"""Is told the name of a part and what is done about it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. settle: for parts that do not know of each other yet. first, longest: between two looks.

    whole: for one part; an Autopilot cluster takes up to ten minutes. tell: between two lines of progress.
    """

    settle: float = 180.0
    first: float = 0.2
    longest: float = 5.0
    whole: float = 2400.0
    tell: float = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: (name of the part, what), in order."""

    done: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Going:
    part: Part
    operation: Operation | None
    verb: Verb
    since: float


@dataclass(slots=True)
class Run:
    """One run over the parts. going: what was begun and not seen at its end yet."""

    parts: Sequence[Part]
    handlers: Mapping[type[Thing], Handler]
    operations: Operations
    clock: Clock
    say: Say
    project: str
    patience: Patience = field(default_factory=Patience)
    going: dict[str, _Going] = field(default_factory=dict)
    done: list[tuple[str, str]] = field(default_factory=list)

    def look(self) -> dict[str, Seen]:
        """Look how every part stands; what cannot be told is unknown, with the reason."""
        seen: dict[str, Seen] = {}
        for part in self.parts:
            lacking = [need for need in part.needs if need in seen and seen[need].state not in STANDING]
            if isinstance(part.thing, Objects) and lacking:
                state = seen[lacking[0]].state
                absent = state in (State.ABSENT, State.GOING, State.DISABLED)
                seen[part.name] = Seen(
                    State.ABSENT if absent else State.UNKNOWN,
                    f"{lacking[0]} is {'not there yet' if absent else state.value}",
                )
            else:
                seen[part.name] = self.look_at(part)
        return seen

    def look_at(self, part: Part) -> Seen:
        """Look how one part stands."""
        try:
            return self._handler(part).look(part)
        except GatewayError as error:
            if disabled(error):
                return Seen(State.DISABLED)
            advice = remedy(error, api=api_of(part), project=self.project)
            return Seen(State.UNKNOWN, error.message, remedy=advice)

    def apply(self, *, after: Mapping[str, Callable[[], None]] | None = None) -> Outcome:
        """Make what is missing. `after`: what is done once a part stands. Raises Halted."""
        for part in self.parts:
            for need in part.needs:
                self._settle(need)
            self._make(part)
            if after and part.name in after:
                self._settle(part.name)
                after[part.name]()
        for name in list(self.going):
            self._settle(name)
        return Outcome(tuple(self.done))

    def destroy(self, *, before: Mapping[str, Callable[[], None]] | None = None) -> Outcome:
        """Remove what is ours, and ahead of a part whatever needs it. `before`: what is done first. Raises Halted."""
        dependents: dict[str, list[str]] = {}
        for part in reversed(self.parts):
            for name in dependents.get(part.name, ()):
                self._settle(name)
            if before and part.name in before:
                before[part.name]()
            self._remove(part)
            for need in part.needs:
                dependents.setdefault(need, []).append(part.name)
        for name in list(self.going):
            self._settle(name)
        return Outcome(tuple(self.done))

    # -- one part --------------------------------------------------------------------------------------------------

    def _make(self, part: Part) -> None:
        seen = self._known(part)
        verb = to_make(part, seen)
        if verb is Verb.KEEP:
            return
        if verb in (Verb.REFUSE, Verb.LATER):
            raise Halted(part.name, seen.detail or seen.state.value, seen.remedy or "see the message")
        operation = None
        if verb is not Verb.WAIT:
            self.say(part.name, verb.value)
            operation = self._begun(part, lambda: self._handler(part).make(part, seen))
            self.done.append((part.name, verb.value))
        self.going[part.name] = _Going(part, operation, Verb.CREATE, self.clock.monotonic())
        if operation is None and verb is not Verb.WAIT:
            self._settle(part.name)

    def _remove(self, part: Part) -> None:
        seen = Seen(State.PRESENT) if part.kept else self._calm(part)
        if part.follows:
            followed = next(each for each in self.parts if each.name == part.follows)
            seen = owned(seen, self._known(followed))
        verb = to_remove(part, seen)
        if verb is Verb.KEEP:
            return
        if verb is Verb.REFUSE:
            raise Halted(part.name, seen.detail or seen.state.value, seen.remedy or "see the message")
        self.say(part.name, verb.value)
        operation = self._begun(part, lambda: self._handler(part).remove(part, seen))
        self.done.append((part.name, verb.value))
        self.going[part.name] = _Going(part, operation, Verb.REMOVE, self.clock.monotonic())

    def _calm(self, part: Part) -> Seen:
        """Look; what is being made or removed is left to end first, since most APIs refuse to delete it before."""
        told = False
        for _ in self._waiting(self.patience.whole):
            seen = self._known(part)
            if seen.state is not State.GOING:
                return seen
            if not told:
                told = True
                self.say(part.name, f"{seen.detail}: waiting until that is over")
        return seen

    def _known(self, part: Part) -> Seen:
        """Look; where something was made in this run, until it answers: an API, a cluster's name."""
        told = False
        for _ in self._waiting(self.patience.settle):
            seen = self.look_at(part)
            if seen.state not in (State.DISABLED, State.UNKNOWN) or not self.done:
                return seen
            if not told and seen.state is State.UNKNOWN:
                told = True
                self.say(part.name, f"{seen.detail}: trying for {self.patience.settle:.0f} s")
        return seen

    def _begun(self, part: Part, call: Callable[[], Operation | None]) -> Operation | None:
        for _ in self._waiting(self.patience.settle):
            try:
                return call()
            except Ambiguous as error:
                # It was sent and had no answer: what stands there now tells whether it got through.
                if self.look_at(part).state not in (State.PRESENT, State.GOING):
                    raise halted(part.name, error, api=api_of(part), project=self.project) from error
                return None
            except GatewayError as error:
                last = error
                if not (self.done and _may_settle(error)):
                    break
        raise halted(part.name, last, api=api_of(part), project=self.project) from last

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _settle(self, name: str) -> None:
        """Wait until what was begun is there, or gone."""
        going = self.going.pop(name, None)
        if going is None:
            return
        told = going.since
        for _ in self._waiting(self.patience.whole):
            if going.operation is None or self._over(going):
                seen = self.look_at(going.part)
                if self._arrived(going, seen):
                    return
            now = self.clock.monotonic()
            if now - told >= self.patience.tell:
                told = now
                self.say(name, f"under way for {now - going.since:.0f} s")
        what = f"not {'gone' if going.verb is Verb.REMOVE else 'there'} after {self.patience.whole:.0f} s"
        raise Halted(name, what, "look at it in the console, and run this again")

    def _over(self, going: _Going) -> bool:
        """Say whether the operation has ended. Raises Halted when it failed."""
        operation = going.operation
        if operation is None:
            return True
        try:
            found = self.operations.operation(operation.api, operation.path)
        except GatewayError:
            return True  # how the operation stands is not known; how the part stands is asked next
        if found.progress is Progress.FAILED:
            error = _of_message(found.message)
            raise halted(going.part.name, error, api=api_of(going.part), project=self.project)
        return found.progress is not Progress.RUNNING

    def _arrived(self, going: _Going, seen: Seen) -> bool:
        if going.verb is Verb.REMOVE:
            return seen.state in (State.ABSENT, State.TAKEN)
        if seen.state in (State.FAILED, State.TAKEN) or (seen.state is State.DIFFERS and seen.remedy):
            raise Halted(going.part.name, seen.detail, seen.remedy or "see the message")
        return seen.state is State.PRESENT

    def _waiting(self, seconds: float) -> Iterable[None]:
        """Go round at once, and then after growing waits, for so many seconds."""
        end, wait = self.clock.monotonic() + seconds, self.patience.first
        while True:
            yield
            if self.clock.monotonic() >= end:
                return
            self.clock.sleep(wait)
            wait = min(wait * 1.5, self.patience.longest)

    def _handler(self, part: Part) -> Handler:
        return self.handlers[type(part.thing)]


def api_of(part: Part) -> str:
    """Give the API that serves a part, as the first word of its host."""
    if isinstance(part.thing, Rest | Binding):
        return part.thing.api
    names = {
        "Apis": "serviceusage",
        "Cluster": "container",
        "Objects": "container",
        "Address": "compute",
        "Image": "cloudbuild",
    }
    return names.get(type(part.thing).__name__, "gkehub")


def without(part: Part, names: Iterable[str]) -> Part:
    """Give the part without the needs of these names."""
    gone = set(names)
    return replace(part, needs=tuple(need for need in part.needs if need not in gone))


def _may_settle(error: GatewayError) -> bool:
    """Say whether a refusal may come of parts that do not know of each other yet."""
    if disabled(error) or isinstance(error, Gone):
        return True
    return isinstance(error, Invalid) and "does not exist" in error.message


def _of_message(message: str) -> GatewayError:
    """Give the error that the text of a failed operation means."""
    from controlplane.gateways.translate import of_http

    return of_http(400, message, headers={}, write=True)
