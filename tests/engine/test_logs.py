"""Log lines for Cloud Logging and for people."""

import io
import json

import pytest
import structlog

from controlplane.engine.logs import configure

CANARY = "ya29.c4n4ry-0123456789"


@pytest.fixture
def lines():
    """Give a function that logs and returns what was written."""

    def written(log, **options):
        stream = io.StringIO()
        configure(stream=stream, **options)
        log(structlog.get_logger("test"))
        return stream.getvalue()

    yield written
    structlog.reset_defaults()


def test_cloud_logging_reads_severity_message_and_time(lines):
    """One JSON object a line, with the names that Cloud Logging knows."""
    line = json.loads(lines(lambda log: log.warning("pass done", exit_code=2), json_lines=True))
    assert (line["severity"], line["message"], line["exit_code"]) == ("WARNING", "pass done", 2)
    assert line["time"].endswith("Z")
    assert "event" not in line


def test_exceptions_stand_in_stack_trace(lines):
    """Error Reporting finds the stack where it looks for it, still on one line of the log."""

    def log(logger):
        try:
            int(f"Authorization: Bearer {CANARY}")
        except ValueError:
            logger.exception("pass failed")

    text = lines(log, json_lines=True)
    line = json.loads(text)
    assert line["severity"] == "ERROR"
    assert "ValueError" in line["stack_trace"]
    assert CANARY not in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "console"])
def test_credentials_never_reach_a_line(lines, json_lines):
    """A token in a value, in a nested value or in a key's text is masked (S9)."""
    values = {"detail": f"Bearer {CANARY}", "nested": {"headers": [f"token={CANARY}"]}, "bytes": f"{CANARY}".encode()}
    assert CANARY not in lines(lambda log: log.info("x", **values), json_lines=json_lines)


@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "console"])
def test_foreign_text_cannot_forge_lines(lines, json_lines):
    """Line breaks and terminal escapes of foreign texts do not come through (X10)."""
    text = lines(lambda log: log.info("x", detail="a\nseverity: EMERGENCY \x1b[2Jb"), json_lines=json_lines)
    assert "\x1b[2J" not in text
    assert "\nseverity" not in text


def test_the_level_is_kept(lines):
    """What is below the level is not written."""
    assert lines(lambda log: log.info("x"), json_lines=True, level="warning") == ""
