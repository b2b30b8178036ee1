"""Shares the toy world with the tests of this folder."""

import importlib.util
import sys
from pathlib import Path

import pytest


def _load():
    folder = Path(__file__).with_name("toyworld")
    spec = importlib.util.spec_from_file_location(
        "decide_toyworld", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules["decide_toyworld"] = module
    spec.loader.exec_module(module)
    return module


_TOY = _load()


@pytest.fixture(scope="session")
def toy():
    """Give the module of the toy world: `Toy`, `wild`, `make_spec`, `seconds`, `L4`, `T4`, `START` and more."""
    return _TOY
