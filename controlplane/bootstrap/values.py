"""The values of bootstrap: what there is to be made, how it stands, and what it is called.

A part is complete without the cloud: the plan, the cost table and the gcloud script are made of parts alone, so that
what is shown is what is done.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from controlplane.model.offering import ClusterRef

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")
LABEL = "gpu-hunter"
OURS = "bootstrap"
"""The label `gpu-hunter: bootstrap` tells what bootstrap made from what others did."""
MARK = "Made by gpuhunter bootstrap."
"""The same, in the description of what takes no labels."""


class State(StrEnum):
    """How a part stands."""

    PRESENT = "present"
    ABSENT = "absent"
    DIFFERS = "differs"
    GOING = "under way"
    FAILED = "failed"
    TAKEN = "taken"
    UNKNOWN = "unknown"
    DISABLED = "API not enabled"


STANDING = (State.PRESENT, State.DIFFERS)
"""It is there and serves, be it as wanted or not."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of a part.

    detail: for people, one line: in what it differs, who has taken the name, why it is unknown.
    found: the object as the API gave it. remedy: what a person has to do about it, since we cannot. ours: we made it;
    what others made serves as well, and stays.
    """

    state: State
    detail: str = ""
    found: Mapping[str, Any] = field(default_factory=dict, compare=False)
    remedy: str = ""
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that Google Cloud does after it has answered: where its state can be read."""

    api: str
    path: str


@dataclass(frozen=True, slots=True)
class Call:
    """One REST call: `api` is the host's first word (`iam` of iam.googleapis.com)."""

    method: str
    path: str
    body: Json | None = None


@dataclass(frozen=True, slots=True)
class Apis:
    """APIs that are enabled. They are never disabled: others may use them."""

    project: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """A resource of an administration API.

    path: where it is read. wanted: what it must hold (lists as sets); `update` brings it there, None means that it
    cannot be changed. mark: the field that tells that it is ours, and its value, which may be the beginning.
    undelete: how one that was deleted softly comes back. A bucket's objects go before it does (`emptied`).
    operations: the prefix before an operation's name, such as `/v1/`.
    """

    api: str
    path: str
    create: Call
    wanted: Json
    mark: tuple[str, str]
    update: Call | None = None
    undelete: Call | None = None
    emptied: str = ""
    operations: str = "/v1/"


@dataclass(frozen=True, slots=True)
class Binding:
    """One member in one role of the IAM policy of `subject`. read and write: the calls.

    The body of a PUT is the policy itself, that of a POST holds it as `policy`.
    """

    api: str
    read: Call
    write: Call
    role: str
    member: str
    subject: str


@dataclass(frozen=True, slots=True)
class Address:
    """A global static address."""

    project: str
    name: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """An Autopilot cluster in the project's fleet. labels: beside our own."""

    project: str
    ref: ClusterRef
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Registration:
    """The membership of a cluster in the fleet."""

    project: str
    ref: ClusterRef


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of the fleet. config: the cluster whose membership holds the ingress objects; None for the others."""

    project: str
    name: str
    config: ClusterRef | None = None


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects in a cluster, in the order of applying."""

    ref: ClusterRef
    manifests: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Image:
    """An image that Cloud Build makes of this very code.

    name: without its tag; tag: says what is in it. build: the build's configuration (cloudbuild.yaml). bucket: where
    the code is put for it.
    """

    project: str
    region: str
    name: str
    tag: str
    bucket: str
    build: Json

    @property
    def reference(self) -> str:
        """Give NAME:TAG."""
        return f"{self.name}:{self.tag}"


Thing: TypeAlias = Apis | Rest | Binding | Address | Cluster | Registration | Feature | Objects | Image


@dataclass(frozen=True, slots=True)
class Charge:
    """What something costs: `times` of the price `key`."""

    key: str
    times: float = 1.0


@dataclass(frozen=True, slots=True)
class Command:
    """A command line as words; `source` are those of the command whose output is piped in."""

    words: tuple[str, ...]
    source: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Give the line as a shell takes it."""
        return " | ".join(shlex.join(words) for words in (self.source, self.words) if words)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a project needs.

    name: what people read. thing: what is looked for and made. needs: names of the parts before it.
    commands: what does the same by hand; undo: what takes it away. permissions: what making it takes.
    follows: the name of the part that tells whether this one is ours, where it does not tell by itself.
    kept: why destroy does not take it away by itself; empty means that it does.
    """

    name: str
    thing: Thing
    needs: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    undo: tuple[Command, ...] = ()
    charges: tuple[Charge, ...] = ()
    permissions: tuple[str, ...] = ()
    follows: str = ""
    kept: str = ""


def thing(part: Part, kind: type[T]) -> T:
    """Give what the part is, which is of this kind; the table of handlers sees to that."""
    if not isinstance(part.thing, kind):
        raise TypeError(f"{part.name} is no {kind.__name__}")
    return part.thing


def gcloud(*words: str, source: tuple[str, ...] = ()) -> Command:
    """Give a gcloud command."""
    return Command(("gcloud", *words), source)


def same(wanted: object, found: object) -> bool:
    """Say whether what is there holds all that is wanted. What an API adds does not count; lists are sets."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(same(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(found, Sequence) or isinstance(found, str) or len(found) != len(wanted):
            return False
        return all(any(same(each, other) for other in found) for each in wanted)
    return wanted == found


def differing(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the names of the fields that are not as wanted."""
    return tuple(key for key, value in wanted.items() if not same(value, found.get(key)))
