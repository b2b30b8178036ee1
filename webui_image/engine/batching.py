"""Which pictures make the next call: the policy, without torch, threads or time.

Order. Every picture has a finish tag: the virtual time at which it would be done if all users were served side by
side, each at an equal rate and with its pictures one after the other. The picture with the earliest tag leads the
next call. Serving in the order of those tags lets nobody finish later than under equal sharing, and most much earlier
(Friedman and Henderson's fair sojourn protocol, with a virtual clock as in fair queueing). A picture that is
overtaken keeps its latents and waits. A user's further pictures weigh less than the first, down to half, so that a
single request passes a burst.

Company. Others of the leader's group join the call, in the order of their tags, where a call with them is cheaper than
calls of their own, and as long as it takes at most 0.8 U times what the leader's would alone, with U users there: so
company never costs anybody more than equal sharing would have. Who already waited beyond its share gets less company.

Preparing (text encoding, first noise) and finishing (decoding) are work like steps, in the same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Call", "Candidate", "FairClock", "Knowledge", "Tag", "Work", "choose"]

_MARGIN = 0.8  # of the U times that a call may take
_LEAST_SHARE = 0.6  # of U, kept also for a leader that is late, or an overload would end all company
_WORTHWHILE = 0.9  # company joins where its part of the call is at most so much of a call of its own
_NEARLY = 0.88  # of the largest call's pictures a second, which a call of an only user is to give
_LONGEST = 4.0  # times a call with one picture, for an only user's call
_URGENT = 1.4  # slack below which a user's single picture goes before others' many
_LEAST_WEIGHT = 0.5


class Work(StrEnum):
    """What a picture needs next."""

    PREPARE = "prepare"
    STEP = "step"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Tag:
    """A picture's place in virtual time: when its turn begins, and when it ends."""

    start: float
    finish: float

    def later(self, seconds: float) -> Tag:
        """Give the tag of a picture that its own user's other pictures have delayed."""
        return Tag(self.start, self.finish + seconds)


class FairClock:
    """Virtual time, which passes at a rate of one through the number of active users; it gives the tags."""

    def __init__(self) -> None:
        self.now = 0.0
        self._last: dict[str, float] = {}

    def tag(self, user: str, seconds: float, outstanding: int) -> Tag:
        """Give the tag of a picture that takes `seconds` alone, of a user with `outstanding` pictures before it."""
        weight = max(_LEAST_WEIGHT, (1 + outstanding) ** -0.5)
        start = max(self.now, self._last.get(user, 0.0)) if outstanding else self.now
        self._last[user] = start + seconds / weight
        return Tag(start, self._last[user])

    def advance(self, seconds: float, tags: Iterable[tuple[str, Tag]]) -> None:
        """Let `seconds` of work pass with these pictures there; idle capacity that somebody used is no debt later."""
        tags = list(tags)
        users = {user for user, _ in tags}
        if not users:
            self._last.clear()
            return
        self._last = {user: last for user, last in self._last.items() if user in users}
        self.now = max(self.now + seconds / len(users), min(tag.start for _, tag in tags))


class Candidate(Protocol):
    """A picture as the policy sees it: whose it is, its place, and what its next call needs.

    `group` is what must agree in one call; `rows` is what it adds to one; `alone`: it must have a call to itself.
    """

    @property
    def user(self) -> str: ...
    @property
    def tag(self) -> Tag: ...
    @property
    def order(self) -> int: ...  # of arrival
    @property
    def group(self) -> Any: ...
    @property
    def rows(self) -> int: ...
    @property
    def alone(self) -> bool: ...
    @property
    def work(self) -> Work: ...


C = TypeVar("C", bound=Candidate)


@dataclass(frozen=True, slots=True)
class Call(Generic[C]):
    """The next call: `pictures` share it; `prepare` are got ready before it, to join it or one of the next."""

    work: Work
    pictures: tuple[C, ...]
    prepare: tuple[C, ...] = ()


@dataclass(frozen=True, slots=True)
class Knowledge(Generic[C]):
    """What the policy asks; the worker answers from what it learnt.

    `seconds` of a call of so many rows; `tried`: the most rows that such a call ever had; `largest` number of rows
    that memory allows; `switch`: seconds until a group can be computed that is not in memory now; `slack`: of a
    picture with so many users there, how many times slower than alone it may go from now on and still be done when
    equal sharing would have finished it. `virtual` gives the time of the tags.
    """

    seconds: Callable[[Work, Any, int], float]
    largest: Callable[[Any], int]
    switch: Callable[[Any], float]
    slack: Callable[[C, int], float]
    tried: Callable[[Work, Any], float]
    virtual: Callable[[], float]
    most: int = 16  # pictures in one call


def choose(pictures: Iterable[C], knowledge: Knowledge[C]) -> Call[C] | None:
    """Choose the next call of all the pictures there are; None where there are none."""
    ordered = _ordered(pictures, knowledge)
    if not ordered:
        return None
    users = len({picture.user for picture in ordered})
    leader = _leader(ordered, users, knowledge)
    if leader.work is Work.PREPARE or leader.alone:
        return Call(leader.work, (leader,))
    single = sum(picture.user == leader.user for picture in ordered) == 1
    others = [picture for picture in ordered if picture is not leader]
    return _with_company(leader, others, knowledge, _allowance(leader, users, knowledge, single=single))


def _ordered(pictures: Iterable[C], knowledge: Knowledge[C]) -> list[C]:
    pictures = list(pictures)
    of_user = Counter(picture.user for picture in pictures)
    penalties: dict[Hashable, float] = {}

    def place(picture: C) -> tuple[bool, float, int]:
        group = picture.group
        if group not in penalties:
            penalties[group] = knowledge.switch(group)
        # Decoding is short and ends somebody's wait.
        last = picture.work is Work.FINISH and of_user[picture.user] == 1 and not penalties[group]
        return not last, picture.tag.finish + penalties[group], picture.order

    return sorted(pictures, key=place)


def _leader(ordered: Sequence[C], users: int, knowledge: Knowledge[C]) -> C:
    """Give the first; or, where that is one of several of its user and not overdue, a single one that else is late."""
    first = ordered[0]
    if users == 1 or users == len(ordered) or first.tag.finish < knowledge.virtual():
        return first
    of_user = Counter(picture.user for picture in ordered)
    if of_user[first.user] == 1:
        return first
    singles = [
        (knowledge.slack(picture, users), at) for at, picture in enumerate(ordered) if of_user[picture.user] == 1
    ]
    slack, at = min(singles, default=(inf, 0))
    return ordered[at] if slack < _URGENT else first


def _allowance(leader: C, users: int, knowledge: Knowledge[C], *, single: bool) -> float:
    """Seconds that the leader's call may take."""
    if users == 1:
        return _room_for_a_newcomer(leader, knowledge)
    # One that waits for its own user's pictures waits for nobody else.
    slack = knowledge.slack(leader, users) if single else inf
    ratio = min(_MARGIN * users, max(slack, 1.0, _LEAST_SHARE * users))
    return ratio * knowledge.seconds(leader.work, leader.group, leader.rows)


def _room_for_a_newcomer(leader: C, knowledge: Knowledge[C]) -> float:
    """Seconds that a call of the only user may take: who comes in the middle of it waits for its end.

    Large calls give little more than middling ones; so the smallest is taken that gives nearly as much as the largest.
    """
    work, group, rows = leader.work, leader.group, leader.rows
    most = max(1, min(knowledge.most, knowledge.largest(group) // rows))
    best = knowledge.seconds(work, group, rows * most) / most
    enough = next(n for n in range(1, most + 1) if best >= _NEARLY * knowledge.seconds(work, group, rows * n) / n)
    alone = knowledge.seconds(work, group, rows)
    return min(knowledge.seconds(work, group, rows * enough), _LONGEST * alone)


def _with_company(leader: C, others: Sequence[C], knowledge: Knowledge[C], allowance: float) -> Call[C]:
    work, group, seconds = leader.work, leader.group, knowledge.seconds
    chosen: list[C] = [leader]
    prepare: list[C] = []
    rows, cost = leader.rows, seconds(work, group, leader.rows)
    largest, tried = knowledge.largest(group), knowledge.tried(work, group)
    for picture in others:
        if len(chosen) + len(prepare) >= knowledge.most:
            break
        getting_ready = picture.work is Work.PREPARE and work is Work.STEP
        fits = not picture.alone and picture.group == group and rows + picture.rows <= largest
        if not fits or (picture.work is not work and not getting_ready):
            continue
        company = seconds(work, group, rows + picture.rows) - seconds(work, group, rows)
        if tried > leader.rows and company > _WORTHWHILE * seconds(work, group, picture.rows):
            break
        if getting_ready:
            company += seconds(Work.PREPARE, group, 1)
        if cost + company > allowance:
            break
        rows, cost = rows + picture.rows, cost + company
        (prepare if getting_ready else chosen).append(picture)
    return Call(work, tuple(chosen), tuple(prepare))
