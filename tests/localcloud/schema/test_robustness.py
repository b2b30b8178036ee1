"""Whatever a body holds, the answer is an object or an ApiError."""

import copy
import random
from datetime import UTC, datetime

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.patch import server_side_apply
from controlplane.localcloud.apiserver.schema import (
    apply_defaults,
    builtin_types,
    decode,
    refuse,
    validate,
    validate_update,
)
from controlplane.localcloud.apiserver.tables import table

NOW = datetime(2026, 1, 1, tzinfo=UTC)
_VALUES = {
    "string": ["", "a", "A b", "x/y", "true"],
    "bytes": ["eA==", "!"],
    "integer": [0, 1, -1, 70000],
    "number": [1.5],
    "boolean": [True, False],
    "quantity": ["1", "500m", 2, -1, "x"],
    "intstr": [1, "50%", "x", -1],
    "time": ["2026-01-01T00:00:00Z"],
    "microtime": ["2026-01-01T00:00:00.000000Z"],
    "any": [{}, {"a": [1]}],
}
_ODD = [None, 1, "x", [], {}, True, 1.5]


def _body(node, chance, depth=0):
    if chance.random() < 0.01:
        return chance.choice(_ODD)
    if node.shape == "object":
        kept = 0.9 if depth < 2 else 0.35
        return {key: _body(child, chance, depth + 1) for key, child in node.fields.items() if chance.random() < kept}
    if depth > 7:
        return [] if node.shape == "array" else _VALUES.get(node.shape, [{}])[0]
    if node.shape == "map":
        keys = chance.sample(["a", "b c", "d/e"], chance.randint(0, 2))
        return {key: _body(node.items, chance, depth + 1) for key in keys}
    if node.shape == "array":
        return [_body(node.items, chance, depth + 1) for _ in range(chance.randint(0, 2))]
    return chance.choice(_VALUES[node.shape])


def _object(info, chance):
    body = _body(info.node, chance)
    return body if isinstance(body, dict) else {}


@pytest.mark.parametrize("info", builtin_types(), ids=lambda info: f"{info.api_version} {info.kind}")
def test_odd_bodies_are_answered(info):
    """Reading, defaulting, validating, applying and printing never fail in another way."""
    chance = random.Random(info.kind)
    accepted = 0
    for _ in range(25):
        body = {**_object(info, chance), "apiVersion": info.api_version, "kind": info.kind}
        try:
            obj = decode(info, body)
        except ApiError as error:
            assert error.code == 400
            continue
        accepted += 1
        obj.setdefault("metadata", {})
        apply_defaults(info, obj)
        errors = validate(info, obj)
        assert not errors or refuse(info, "x", errors).status()["code"] == 422
        assert table(info, [obj], NOW)["rows"]
        validate_update(info, obj, copy.deepcopy(obj))
        try:
            server_side_apply(info, obj, body, "m", True, NOW)
        except ApiError as error:
            assert error.code in {400, 500}
    assert accepted
