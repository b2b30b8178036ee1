"""What holds for every test."""

import asyncio
import gc
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings

YARDSTICK_SECONDS = 0.04
"""What the yardstick took where the figures that tests hold were measured."""

# Whoever runs the tests has a terminal of some width, and `-n` makes one up; commands are tested as in a pipe.
for variable in ("COLUMNS", "LINES"):
    os.environ.pop(variable, None)

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


@pytest.fixture(scope="module")
def aws_server() -> Iterator[str]:
    """Serve moto's AWS from a thread, with nothing stored in it; give its address.

    Its accounts belong to the process, and s3fs keeps what it opened together with the address: both outlive a module.
    """
    server = pytest.importorskip("moto.server", reason="moto conflicts with other locked packages")
    import requests
    from s3fs import S3FileSystem

    moto = server.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=60).raise_for_status()
    S3FileSystem.clear_instance_cache()
    yield f"http://{host}:{port}"
    S3FileSystem.clear_instance_cache()
    moto.stop()


@pytest.fixture(scope="session")
def least_seconds() -> Callable[..., float]:
    """Give a function that gives the least seconds of a core that some calls take, as on an idle machine.

    It calls until one takes less than `within`, a few times at most. Memory that others fill and a core that they heat
    or share lengthen processor time too: from the second call on it is measured against work that never changes.
    """

    def measured(call: Callable[[], object], clock: Callable[[], float]) -> float:
        begun = clock()
        call()
        return clock() - begun

    def yardstick() -> None:
        found = {}
        for number in range(100_000):
            found[number % 1_000] = str(number)

    def least(
        call: Callable[[], object], *, within: float, clock: Callable[[], float] = time.thread_time, tries: int = 5
    ) -> float:
        found, slower = float("inf"), 1.0
        collects = gc.isenabled()
        gc.disable()  # what it would go through is what other tests left
        try:
            for _ in range(tries):
                found = min(found, measured(call, clock) / slower)
                if found < within:
                    break
                slower = max(1.0, measured(yardstick, time.thread_time) / YARDSTICK_SECONDS)
        finally:
            if collects:
                gc.enable()
        return found

    return least


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Give an event loop that runs in a thread."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join(60)
