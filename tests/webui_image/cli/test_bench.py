"""`bench` shows what was measured beside what is promised, and leaves with 1 where that is not reached."""

import json

import pytest

from webui_image.bench import run as measuring
from webui_image.bench.figures import Figure, Measurement
from webui_image.cli.app import run


@pytest.fixture
def measured(monkeypatch, capsys, tmp_path):
    """Type `bench` where each measurement gives a known value of at most 1: exit code, stdout, stderr."""

    def bench(value, *arguments):
        figure = Figure("time", value, 1.0, "s", key=("fast", "seconds"))
        monkeypatch.setattr(measuring, "MEASUREMENTS", (Measurement("fast", "how fast", lambda _: [figure]),))
        (tmp_path / "model_index.json").touch()
        code = run(["bench", "--model", str(tmp_path), *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return bench


def test_a_promise_that_is_kept_is_zero(measured):
    """Value, promise and whether it holds stand in a table."""
    code, out, err = measured(0.5)
    assert code == 0
    assert "0.5 s" in out
    assert "at most 1 s" in out
    assert "measured: how fast" in err


def test_a_promise_that_is_not_kept_is_one(measured):
    """The table says NO, and the code is 1."""
    code, out, err = measured(2.0)
    assert (code, "NO" in out, "1 not reached" in err) == (1, True, True)


def test_programs_get_the_value_under_its_key(measured):
    """The JSON has each value where its key says, and all figures in a list; nothing else stands on stdout."""
    _, out, _ = measured(0.5, "--output", "json")
    data = json.loads(out)
    assert data["fast"]["seconds"] == 0.5
    assert data["figures"][0]["holds"] is True


def test_an_unknown_measurement_is_usage(measured, capsys):
    """A wrong name is told with the right ones."""
    code, _, err = measured(0.5, "--only", "slow")
    assert code == 64
    assert "there are fast" in err


def test_a_model_that_is_none_is_usage(tmp_path, capsys):
    """A folder without a pipeline is told before anything is loaded."""
    assert run(["bench", "--model", str(tmp_path)]) == 64
    assert "holds no model_index.json" in capsys.readouterr().err
