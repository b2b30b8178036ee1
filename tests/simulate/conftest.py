"""Shares the local cloud in virtual time with the tests of this folder."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _load():
    path = Path(__file__).with_name("virtual_cloud.py")
    spec = importlib.util.spec_from_file_location("simulate_virtual_cloud", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulate_virtual_cloud"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def virtual_cloud():
    """Give what runs a local cloud in virtual time: a context manager of a folder and a scenario."""
    return _load().virtual_cloud
