"""What holds for every test."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def fresh_logging() -> Iterator[None]:
    """Undo what a command did to logging: its stream is gone when the test ends."""
    yield
    structlog.reset_defaults()
