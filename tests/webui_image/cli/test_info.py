"""`info` tells how a picture was made, and which models there are."""

import json

import pytest
from PIL import Image

from webui_image.cli.app import run
from webui_image.pictures import encode

TEXT = "a red circle\nNegative prompt: blurry\nSteps: 12, Sampler: Euler a, CFG scale: 3, Seed: 7, Size: 64x128"


@pytest.fixture
def picture(tmp_path):
    """Give a picture with parameters inside."""
    path = tmp_path / "a.png"
    path.write_bytes(encode.png(Image.new("RGB", (64, 128)), TEXT))
    return path


def test_the_parameters_in_a_picture(picture, capsys):
    """Every field stands there, for people and for programs."""
    assert run(["info", str(picture)]) == 0
    out = capsys.readouterr().out
    assert [word for word in ("a red circle", "blurry", "Euler a", "64x128") if word not in out] == []
    assert run(["info", str(picture), "--output", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["text"] == TEXT
    assert (data["fields"]["Seed"], data["fields"]["Size-2"]) == ("7", "128")


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        pytest.param(encode.png(Image.new("RGB", (8, 8))), 64, "holds no parameters", id="no text"),
        pytest.param(b"GIF89a", 64, "is not a picture that can be read", id="no picture"),
        pytest.param(None, 69, "No such file or directory", id="missing"),
    ],
)
def test_a_picture_that_tells_nothing(content, code, said, tmp_path, capsys):
    """One line with the file and the reason."""
    path = tmp_path / "b.png"
    if content is not None:
        path.write_bytes(content)
    assert run(["info", str(path)]) == code
    err = capsys.readouterr().err
    assert err.startswith(f"error: {path}: ")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_model_that_is_not_there(capsys):
    """A path that leads nowhere is usage, with what to give instead."""
    assert run(["info", "--model", "models/none"]) == 64
    assert "give a pipeline directory" in capsys.readouterr().err
