"""A long run is watched: on a terminal by a bar, in a log by a line now and then."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from webui_image.batch.rendering import Outcome
from webui_image.batch.written import Facts
from webui_image.cli import output, progress
from webui_image.values.ports import Phase, Status


class Time:
    """A clock that a test moves."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


PICTURE = SimpleNamespace(file="p.yaml", line=7, index=3)
DONE, FAILED = Outcome(PICTURE, Facts("x")), Outcome(PICTURE, error="no memory")


@pytest.fixture
def told(monkeypatch):
    """Watch forty outcomes, two a second, one of them failed: what was shown on a terminal or not."""

    def watch(*, terminal):
        written = io.StringIO()
        console = Console(file=written, force_terminal=terminal, width=200, color_system=None)
        monkeypatch.setattr(progress, "notes", console)
        monkeypatch.setattr(output, "notes", console)
        clock = Time()
        with progress.watching(clock) as reporter:
            reporter.begin(50, 10)
            reporter.waiting(Status(Phase.LOADING))
            for number in range(40):
                clock.now += 0.5
                reporter.outcome(FAILED if number == 20 else DONE)
        return written.getvalue()

    return watch


def test_a_log_gets_a_line_now_and_then(told):
    """Start, phases, failures and the end stand there, and progress every ten seconds, with speed and time left."""
    lines = told(terminal=False).splitlines()
    assert lines[0] == "10 of 50 pictures are there already"
    assert lines[1] == "engine: loading"
    assert "p.yaml:7: picture 3 failed: no memory" in lines
    assert lines[-1] == "50 of 50 pictures, 1.95 pictures/s, 1 failed, about 0 s left"
    assert len(lines) == 2 + 1 + 3


def test_a_terminal_gets_a_bar(told):
    """The bar ends full, with the speed; failures stand above it."""
    text = told(terminal=True)
    assert "50/50" in text
    assert "1.95 pictures/s, 1 failed" in text
    assert "p.yaml:7: picture 3 failed: no memory" in text
