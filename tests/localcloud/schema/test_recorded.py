"""Creations whose outcomes were recorded from kube-apiserver 1.20.2: defaults, decoding errors, complaints."""

import copy

# What newer releases add to every object of the kind, and what needs the ServiceAccount admission.
_NEWER = (
    "allocateLoadBalancerNodePorts", "completionMode", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy",
    "persistentVolumeClaimRetentionPolicy", "podReplacementPolicy", "serviceAccount", "serviceAccountName", "suspend",
)  # fmt: skip


def test_a_creation_ends_as_on_a_real_server(create, recorded_creation):
    """The object comes back with the recorded defaults, or is refused with the recorded text and causes."""
    outcome = create(recorded_creation["body"])
    if recorded_creation["code"] >= 400:
        assert outcome == (recorded_creation["code"], recorded_creation["message"], recorded_creation["causes"])
        return
    assert outcome[0] == 201, outcome
    assert _comparable(outcome[1]) == recorded_creation["result"]


def _comparable(obj):
    obj = copy.deepcopy(obj)
    for key in _NEWER:
        obj.get("spec", {}).pop(key, None)
    return obj
