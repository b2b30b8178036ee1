"""Sequences of writes whose outcomes were recorded from kube-apiserver 1.20.2, step by step."""

import copy

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.patch import (
    json_patch,
    merge_patch,
    server_side_apply,
    strategic_merge_patch,
    track_update,
)
from controlplane.localcloud.apiserver.schema import (
    apply_defaults,
    builtin_type,
    decode,
    refuse,
    validate,
    validate_update,
)

# Filled in by the server's allocators, or unknown to release 1.20.
_BEYOND = (
    "clusterIP", "clusterIPs", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy",
)  # fmt: skip


def test_every_step_ends_as_it_did_on_a_real_server(recorded_sequence, now):
    """Each write gives the recorded object and owners, or the recorded refusal."""
    first = recorded_sequence[0]["step"][3]
    info = builtin_type(first["apiVersion"], first["kind"])
    live = None
    for entry in recorded_sequence:
        code, result = _write(info, live, entry["step"], first["metadata"]["name"], now)
        if entry["code"] >= 400:
            assert (code, result) == (entry["code"], entry["message"])
            continue
        assert code < 400, result
        live = result
        assert _comparable(live) == _comparable(entry["result"])
        assert _owners(live) == {name: _plain(name, fields) for name, fields in entry["managers"].items()}


def _write(info, live, step, name, now):
    try:
        obj = decode(info, _patched(info, live, step, now))
        apply_defaults(info, obj)
        if live is not None:
            for key in ("clusterIP", "clusterIPs"):
                if key in live["spec"] if "spec" in live else False:
                    obj["spec"].setdefault(key, live["spec"][key])
        errors = validate(info, obj) if live is None else validate_update(info, live, obj)
        if errors:
            raise refuse(info, name, errors)
        if step[0] != "apply":
            track_update(info, live, obj, step[1], "Update", now)
    except ApiError as error:
        return error.code, error.message
    return 200, obj


def _patched(info, live, step, now):
    if step[0] == "apply":
        _, manager, force, body, subresource = step
        body = copy.deepcopy(body)
        body["metadata"]["namespace"] = "default"
        return server_side_apply(info, live, body, manager, force, now, subresource)
    kind, _, patch = step
    if kind == "put":
        return {**patch, "metadata": {**patch["metadata"], "namespace": "default"}}
    if kind == "smp":
        return strategic_merge_patch(info, live, patch)
    return merge_patch(live, patch) if kind == "merge" else json_patch(live, patch)


def _comparable(obj):
    obj = copy.deepcopy(obj)
    obj["metadata"].pop("managedFields", None)
    for key in _BEYOND:
        obj.get("spec", {}).pop(key, None)
    return obj


def _owners(obj):
    return {
        f"{entry['manager']}/{entry['operation']}": _plain(entry["operation"], entry["fieldsV1"])
        for entry in obj["metadata"].get("managedFields", [])
    }


def _plain(name, fields):
    """Leave the markers of maps themselves out for updates: they depend on Go's pointers."""
    if name.endswith("Apply") or not isinstance(fields, dict):
        return fields
    return {key: _plain(name, value) for key, value in fields.items() if key != "."}
