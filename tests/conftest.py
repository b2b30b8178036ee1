"""What holds for every test."""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# In CI the same examples every time, so that a change is judged by itself; elsewhere new ones, which find new faults.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the order of the tests where `-n` spreads them: see below."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup` a file stays together, and one process has all that waits on the wall clock, first.

    So no two whole local clouds take the processor from each other, and the rest fills the time in which they wait.
    """
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
    for item in items:
        whole_cloud = item.get_closest_marker("e2e") is not None
        item.add_marker(pytest.mark.xdist_group("e2e" if whole_cloud else item.nodeid.partition("::")[0]))


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """Undo what a command did to logging: its stream is gone when the test ends."""
    yield
    structlog.reset_defaults()
