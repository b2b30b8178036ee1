"""A fact is Known or Unknown, in its type.

Controllers have deleted healthy workloads because a listing that failed looked like an empty one. Here a value cannot
be read without saying what happens when it is not known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
U = TypeVar("U")


class UnknownReason(StrEnum):
    """Why a fact could not be established."""

    NOT_ASKED = "NotAsked"
    UNREACHABLE = "Unreachable"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    THROTTLED = "Throttled"
    SERVER_FAULT = "ServerFault"
    AUTH_EXPIRED = "AuthExpired"
    FORBIDDEN = "Forbidden"
    LIST_INCOMPLETE = "ListIncomplete"
    NOT_PUBLISHED = "NotPublished"
    UNREADABLE = "Unreadable"


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A value and the instant (UTC) at which it was read."""

    value: T
    at: datetime


@dataclass(frozen=True, slots=True)
class Unknown:
    """No value: why, and since when. `message` is foreign text, already sanitised and cut."""

    reason: UnknownReason
    since: datetime
    message: str = ""


Fact: TypeAlias = Known[T] | Unknown


def known_or(fact: "Known[T] | Unknown", default: U) -> T | U:
    """Give the value, or `default` when it is not known. The caller names the default, so nothing is assumed."""
    return fact.value if isinstance(fact, Known) else default


def map_fact(fact: "Known[T] | Unknown", fn: Callable[[T], U]) -> "Known[U] | Unknown":
    """Apply `fn` to a known value and leave an unknown one as it is."""
    return Known(fn(fact.value), fact.at) if isinstance(fact, Known) else fact
