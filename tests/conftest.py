"""What holds for every test."""

import asyncio
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

# In CI the same examples every time, so that a change is judged by itself; elsewhere new ones, which find new faults.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the order of the tests where `-n` spreads them: what waits on the wall clock begins first."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what starts a whole local cloud first, so that the rest fills the time in which it waits."""
    clouds = _files_with_whole_clouds()
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in clouds)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`, keep each file together, and the whole local clouds in two processes, each one after the other.

    They mostly wait, so two of them and a third process share two processors; more would take them from each other.
    """
    from xdist.scheduler import LoadScopeScheduling

    clouds = _files_with_whole_clouds()

    class ByCloud(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            if file not in clouds:
                return file
            return "runbooks" if file.startswith("tests/runbooks/") else "whole clouds"

    return ByCloud(config, log)


@cache
def _files_with_whole_clouds() -> frozenset[str]:
    folder = Path(__file__).parent
    files = (file for file in folder.rglob("test_*.py") if "pytest.mark.e2e" in file.read_text(encoding="utf-8"))
    return frozenset(file.relative_to(folder.parent).as_posix() for file in files)


@pytest.fixture(autouse=True, scope="session")
def nobody_elses_servers() -> Iterator[None]:
    """Keep the library from asking Google's own servers whether an account is bound to some regions, and retrying."""
    from google.oauth2 import service_account

    with pytest.MonkeyPatch.context() as patched:
        asked = "_is_regional_access_boundary_lookup_required"
        patched.setattr(service_account.Credentials, asked, lambda _: False, raising=False)
        yield


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """Undo what a command did to logging: its stream is gone when the test ends."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def virtual():
    """Give the module that runs a whole local cloud in virtual time: `virtual_cloud` and what its containers are."""
    spec = importlib.util.spec_from_file_location("virtual_cloud", Path(__file__).with_name("virtual_cloud.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["virtual_cloud"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def virtual_cloud(virtual):
    """Give what runs a local cloud in virtual time: a context manager of a folder and a scenario."""
    return virtual.virtual_cloud


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop that runs in a thread."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(5)
