"""What the tests of schemas share."""

import json
from pathlib import Path

import pytest

from controlplane.localcloud.apiserver.api import ApiError
from controlplane.localcloud.apiserver.schema import apply_defaults, builtin_type, decode, refuse, validate


@pytest.fixture
def create():
    """Give what creating this object leads to: (201, object) or (code, message, causes)."""

    def run(body, info=None):
        info = info or builtin_type(body["apiVersion"], body["kind"])
        try:
            obj = decode(info, body)
            if info.namespaced:
                obj.setdefault("metadata", {}).setdefault("namespace", "default")
            apply_defaults(info, obj)
            errors = validate(info, obj)
            if errors:
                raise refuse(info, obj["metadata"].get("name", ""), errors)
        except ApiError as error:
            return error.code, error.message, (error.details or {}).get("causes", [])
        return 201, obj

    return run


@pytest.fixture
def make_crd():
    """Make a definition with one version whose spec has these properties."""

    def make(properties=None, **version):
        schema = {
            "type": "object",
            "properties": {
                "spec": {"type": "object", "properties": properties or {}},
                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
        first = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
        names = {"plural": "gpus", "kind": "Gpu", "shortNames": ["g"], "categories": ["all"]}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "gpus.e.io"},
            "spec": {"group": "e.io", "scope": "Namespaced", "names": names, "versions": [first]},
        }

    return make


def pytest_generate_tests(metafunc):
    """Hand the recorded creations to tests that ask for one."""
    if "recorded_creation" in metafunc.fixturenames:
        cases = json.loads((Path(__file__).parent / "recorded.json").read_text())
        metafunc.parametrize("recorded_creation", cases, ids=[case["id"] for case in cases])
