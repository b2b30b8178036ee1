"""What is to be done about each part, from how it stands.

Pure, and the same for the plan that is shown and the one that is carried out: a part is looked at again at its turn,
and judged by these very functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controlplane.bootstrap.values import Part, Rest, Seen, State


class Verb(StrEnum):
    """What is done.

    WAIT: it is being made already. REFUSE: nothing can be done about it by us. LATER: it is looked at again once its
    API is enabled.
    """

    KEEP = "keep"
    CREATE = "create"
    UPDATE = "update"
    WAIT = "wait"
    REMOVE = "remove"
    REFUSE = "refuse"
    LATER = "create if absent"


@dataclass(frozen=True, slots=True)
class Step:
    """A part, how it stands, and what is done about it."""

    part: Part
    seen: Seen
    verb: Verb


def to_make(part: Part, seen: Seen) -> Verb:
    """Say what apply does about a part."""
    if seen.state is State.DIFFERS:
        rest = part.thing
        fixed = isinstance(rest, Rest) and rest.update is None
        return Verb.REFUSE if fixed or seen.remedy else Verb.UPDATE
    return {
        State.PRESENT: Verb.KEEP,
        State.ABSENT: Verb.CREATE,
        State.GOING: Verb.WAIT,
        State.FAILED: Verb.REFUSE,
        State.TAKEN: Verb.REFUSE,
        State.UNKNOWN: Verb.REFUSE,
        State.DISABLED: Verb.LATER,
    }[seen.state]


def to_remove(part: Part, seen: Seen) -> Verb:
    """Say what destroy does about a part: what is not ours stays, and what is unknown is not taken for gone."""
    if part.kept or not seen.ours or seen.state in (State.TAKEN, State.ABSENT, State.DISABLED):
        return Verb.KEEP
    if seen.state is State.UNKNOWN:
        return Verb.REFUSE
    return Verb.REMOVE


def apply_plan(parts: Sequence[Part], seen: Mapping[str, Seen]) -> tuple[Step, ...]:
    """Give what apply does, in its order."""
    return tuple(Step(part, seen[part.name], to_make(part, seen[part.name])) for part in parts)


def destroy_plan(parts: Sequence[Part], seen: Mapping[str, Seen]) -> tuple[Step, ...]:
    """Give what destroy does, in its order: whatever needs a part goes before it."""
    return tuple(
        Step(part, seen[part.name], to_remove(part, owned(seen[part.name], seen.get(part.follows))))
        for part in reversed(parts)
    )


def owned(seen: Seen, followed: Seen | None) -> Seen:
    """Give how a part stands, as somebody else's where the part that it follows is not ours."""
    foreign = followed is not None and not (followed.ours and followed.state in (State.PRESENT, State.GOING))
    return replace(seen, ours=False) if foreign else seen


def missing_needs(parts: Sequence[Part]) -> tuple[str, ...]:
    """Give the needs that no part before fulfils; a blueprint with any cannot be carried out."""
    known: set[str] = set()
    missing = []
    for part in parts:
        missing += [f"{part.name}: {need}" for need in part.needs if need not in known]
        known.add(part.name)
    return tuple(missing)
