"""Which addresses lead to a cluster, ours and anybody's: a cluster that is deleted while one does leaks what it held.

Read off the objects as they stand and not off what a service means to have, since a list that somebody else wrote
holds a cluster just as well. A MultiClusterService without a list leads to every member.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.engine.ports import Json
from controlplane.engine.wirings import WiringView
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.offering import ClusterRef

Wired = tuple[Known[tuple[str, ...]] | Unknown, tuple[str, ...]]
EVERYWHERE = "(every member)"


def wired_at(ref: ClusterRef, seen: Known[WiringView] | Unknown) -> Wired:
    """Give the names of the objects that lead to a cluster, and those of them that lead nowhere else."""
    if isinstance(seen, Unknown):
        return seen, ()
    lists = dict(_lists(seen.value))
    exported = _exports(seen.value, ref.link)
    if exported is None:
        return Unknown(UnknownReason.UNREACHABLE, seen.at, "what it exports cannot be seen"), ()
    lists |= exported
    here = {name: links for name, links in lists.items() if ref.link in links or EVERYWHERE in links}
    only = tuple(sorted(name for name, links in here.items() if links == {ref.link}))
    return Known(tuple(sorted(here)), seen.at), only


def _lists(view: WiringView) -> Iterable[tuple[str, set[str]]]:
    for kind, objects in view.objects.items():
        if kind.name == "MultiClusterService":
            for each in objects:
                yield _name(each), _links(each)


def _links(service: Mapping[str, Any]) -> set[str]:
    spec = service.get("spec")
    clusters = spec.get("clusters") if isinstance(spec, Mapping) else None
    if not isinstance(clusters, list) or not clusters:
        return {EVERYWHERE}
    return {str(each.get("link", "")) for each in clusters if isinstance(each, Mapping)}


def _exports(view: WiringView, link: str) -> dict[str, set[str]] | None:
    """Give the clusters that export each Service; None when this one was asked and could not be seen."""
    found: dict[str, set[str]] = {}
    for members in view.members.values():
        if link in members and members[link] is None:
            return None
        for other, objects in members.items():
            for each in _present(objects):
                found.setdefault(_name(each), set()).add(other)
    return found


def _present(objects: Sequence[Json] | None) -> Sequence[Json]:
    return objects or ()


def _name(found: Mapping[str, Any]) -> str:
    metadata = found.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
