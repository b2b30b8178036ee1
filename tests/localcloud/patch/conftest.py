"""What the tests of patches share."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from controlplane.localcloud.apiserver.schema import builtin_type

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def deployment_type():
    return builtin_type("apps/v1", "Deployment")


@pytest.fixture
def config_map_type():
    return builtin_type("v1", "ConfigMap")


@pytest.fixture
def make_config_map():
    def make(data=None, **metadata):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default", **metadata}}
        return body if data is None else {**body, "data": data}

    return make


@pytest.fixture
def owned():
    """Give what each manager of an object owns."""

    def read(obj):
        entries = obj["metadata"].get("managedFields", [])
        return {f"{entry['manager']}/{entry['operation']}": entry["fieldsV1"] for entry in entries}

    return read


def pytest_generate_tests(metafunc):
    """Hand the recorded sequences to tests that ask for one."""
    if "recorded_sequence" in metafunc.fixturenames:
        cases = json.loads((Path(__file__).parent / "recorded.json").read_text())
        metafunc.parametrize("recorded_sequence", [case["steps"] for case in cases], ids=[case["id"] for case in cases])
