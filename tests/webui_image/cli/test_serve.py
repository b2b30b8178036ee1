"""`serve` and `train-demo-model` refuse what cannot be meant, before anything is loaded or opened."""

import pytest

from webui_image.cli.app import run


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        pytest.param([], {"PORT": "many"}, "PORT: 'many'", id="variable"),
        pytest.param(["--host", "0.0.0.0"], {}, "ALLOW_ANONYMOUS=1 (--allow-anonymous)", id="open to everybody"),
        pytest.param(["--path-prefix", "a b"], {}, "write a path such as /sd", id="prefix"),
        pytest.param(["--log-level", "loud"], {}, "debug, error, info, warning", id="log level"),
        pytest.param(["--device", "tpu"], {}, "--device: 'tpu'", id="device"),
        pytest.param(["--model", "a/b"], {}, "give a pipeline directory", id="model"),
    ],
)
def test_wrong_settings_are_usage(arguments, variables, said, monkeypatch, capsys):
    """One line on standard error, and 64."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run(["serve", "--port", "0", *arguments]) == 64
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert said in err.replace("\n", " ")


@pytest.mark.parametrize("share", ["0", "-1", "1.5", "nan"], ids=["none", "negative", "more than all", "no number"])
def test_a_share_of_the_training_is_a_share(share, tmp_path, capsys):
    """What is no part of the whole is told, and no folder is made."""
    assert run(["train-demo-model", "--out", str(tmp_path / "m"), "--share", share]) == 64
    assert "more than 0 and at most 1" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()
