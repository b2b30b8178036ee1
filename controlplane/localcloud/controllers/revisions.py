"""Revisions of a Deployment: which ReplicaSet stands for the present template, and the numbers `rollout history` shows.

Undoing a rollout needs nothing more: kubectl writes the old template back, the ReplicaSet that has it is found again
and becomes the newest revision.
"""

import json
from collections.abc import Sequence

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.controllers.objects import (
    age_order,
    annotations_of,
    clone,
    controller_reference,
    labels_of,
)
from controlplane.localcloud.controllers.rollout import DESIRED, MAXIMUM, size_annotations

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
LONGEST_HISTORY = 2000
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
# What a ReplicaSet does not take over from its Deployment's annotations.
_OWN_ANNOTATIONS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        HISTORY,
        DESIRED,
        MAXIMUM,
        "deprecated.deployment.rollback.to",
    }
)


def template_hash(template: Object, collisions: int) -> str:
    """Give a short hash of a template, in letters that spell no words; `collisions` makes another one."""
    digest = 0x811C9DC5
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    for byte in (text + (str(collisions) if collisions else "")).encode():
        digest = ((digest ^ byte) * 0x01000193) & 0xFFFFFFFF
    return "".join(_ALPHABET[ord(digit) % len(_ALPHABET)] for digit in str(digest))


def same_template(one: Object, other: Object) -> bool:
    """Compare two Pod templates, leaving the hash label out."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Object) -> Object:
    meta = template.get("metadata") or {}
    labels = {name: value for name, value in (meta.get("labels") or {}).items() if name != HASH}
    bare = {name: value for name, value in meta.items() if name not in ("labels", "creationTimestamp")}
    return {**template, "metadata": {**bare, "labels": labels}}


def find_new(deployment: Object, sets: Sequence[Object]) -> Object | None:
    """Give the ReplicaSet of the present template; the oldest wins should there be two."""
    template = deployment["spec"]["template"]
    for rs in sorted(sets, key=age_order):
        if same_template(rs["spec"]["template"], template):
            return rs
    # Admission may have changed the ReplicaSet's template but not the Deployment's: the hash tells whose it is.
    wanted = template_hash(template, int((deployment.get("status") or {}).get("collisionCount") or 0))
    return next((rs for rs in sets if labels_of(rs).get(HASH) == wanted), None)


def revision_of(obj: Object) -> int:
    try:
        return int(annotations_of(obj).get(REVISION, "0"))
    except ValueError:
        return 0


def next_revision(old: Sequence[Object]) -> int:
    return max((revision_of(rs) for rs in old), default=0) + 1


def annotations_for(deployment: Object, rs: Object | None, revision: int) -> dict[str, str]:
    """Give all annotations of the newest ReplicaSet: the Deployment's own, its revision, earlier revisions."""
    result = dict(annotations_of(rs)) if rs else {}
    result.update({n: v for n, v in annotations_of(deployment).items() if n not in _OWN_ANNOTATIONS})
    before = revision_of(rs) if rs else 0
    if before < revision:
        result[REVISION] = str(revision)
        if before:
            history = [entry for entry in result.get(HISTORY, "").split(",") if entry]
            history.append(str(before))
            while len(",".join(history)) > LONGEST_HISTORY:
                history.pop(0)
            result[HISTORY] = ",".join(history)
    if rs is None:
        result.update(size_annotations(deployment))
    return result


def new_replica_set(deployment: Object, revision: int, collisions: int) -> Object:
    """Give the ReplicaSet for the present template; its size is still to be set."""
    spec = deployment["spec"]
    digest = template_hash(spec["template"], collisions)
    template = clone(spec["template"])
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH: digest}
    template["metadata"] = {**(template.get("metadata") or {}), "labels": labels}
    selector = clone(spec["selector"])
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: digest}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{deployment['metadata']['name']}-{digest}",
            "namespace": deployment["metadata"]["namespace"],
            "labels": dict(labels),
            "annotations": annotations_for(deployment, None, revision),
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": {
            "replicas": 0,
            "minReadySeconds": int(spec.get("minReadySeconds") or 0),
            "selector": selector,
            "template": template,
        },
    }


def superseded(old: Sequence[Object], limit: int) -> list[Object]:
    """Give the idle old ReplicaSets beyond the history limit, oldest revision first."""
    living = [rs for rs in old if not rs["metadata"].get("deletionTimestamp")]
    excess = max(0, len(living) - limit)
    return [rs for rs in sorted(living, key=lambda rs: (revision_of(rs), age_order(rs)))[:excess] if _is_idle(rs)]


def _is_idle(rs: Object) -> bool:
    status = rs.get("status") or {}
    return (
        not rs["spec"].get("replicas")
        and not status.get("replicas")
        and int(status.get("observedGeneration") or 0) >= int(rs["metadata"].get("generation") or 0)
    )
