"""Protobuf bodies: the wire format by hand, and whole requests as kubectl sent them."""

import base64
import json
from pathlib import Path

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.protobuf import MAGIC, decode
from controlplane.localcloud.apiserver.schema import builtin_type, unknown_fields

_RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())


def _field(number, value):
    """Encode one field: numbers as varints, the rest with its length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value & (2**64 - 1))
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value):
    result = b""
    while value > 0x7F:
        result += bytes([value & 0x7F | 0x80])
        value >>= 7
    return result + bytes([value])


def _envelope(api_version, kind, *fields):
    meta = _field(1, api_version) + _field(2, kind)
    return MAGIC + _field(1, meta) + _field(2, b"".join(fields))


def test_a_config_map():
    """Strings, maps and nested messages."""
    metadata = _field(1, "c") + _field(11, _field(1, "a") + _field(2, "b"))
    data = _field(2, _field(1, "k") + _field(2, "v"))
    assert decode(_envelope("v1", "ConfigMap", _field(1, metadata), data)) == {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"a": "b"}}, "data": {"k": "v"},
    }  # fmt: skip


def test_bytes_become_base64():
    """A Secret's data."""
    body = _envelope("v1", "Secret", _field(2, _field(1, "k") + _field(2, b"\x00\xff")))
    assert decode(body)["data"] == {"k": base64.b64encode(b"\x00\xff").decode()}


def test_numbers_strings_and_quantities():
    """Negative numbers, int-or-string, pointers to zero."""
    spec = _field(1, 0)  # replicas: 0 behind a pointer
    spec += _field(5, 0)  # minReadySeconds: 0 means unset
    spec += _field(4, _field(1, "RollingUpdate") + _field(2, _field(1, _field(1, 1) + _field(3, "30%"))))
    decoded = decode(_envelope("apps/v1", "Deployment", _field(2, spec)))
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "30%"}}
    assert decoded["spec"] == {"replicas": 0, "strategy": rolling}
    quota = _field(2, _field(1, _field(1, "cpu") + _field(2, _field(1, "500m"))))
    assert decode(_envelope("v1", "ResourceQuota", quota))["spec"] == {"hard": {"cpu": "500m"}}
    assert decode(_envelope("scheduling.k8s.io/v1", "PriorityClass", _field(2, -5)))["value"] == -5


def test_unknown_fields_are_skipped():
    """A newer client may send what the table does not know."""
    assert "metadata" in decode(_envelope("v1", "Namespace", _field(1, _field(1, "n")), _field(900, "x")))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"{}", 400, id="not protobuf"),
        pytest.param(MAGIC + b"\xff", 400, id="cut off"),
        pytest.param(MAGIC + _field(1, b"")[:-1] + b"\x7f", 400, id="a length beyond the end"),
        pytest.param(_envelope("e.io/v1", "Gpu"), 415, id="a kind without a table"),
    ],
)
def test_what_cannot_be_read(body, code):
    """It is refused with a status, never with a crash."""
    with pytest.raises(ApiError) as refused:
        decode(body)
    assert refused.value.code == code


@pytest.mark.parametrize("case", _RECORDED, ids=[case["id"] for case in _RECORDED])
def test_what_kubectl_posts(case):
    """Requests of kubectl 1.37 decode to the JSON that the same command prints, and to known fields only."""
    decoded = decode(base64.b64decode(case["body"]))
    assert decoded == case["object"]
    info = builtin_type(decoded["apiVersion"], decoded["kind"])
    if info is not None:
        assert unknown_fields(info, decoded) == []
