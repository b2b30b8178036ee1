"""Help answers at once, and a slip of the fingers is answered with what was meant."""

import subprocess
import sys

import pytest

from webui_image.cli.app import run

COMMANDS = ("serve", "render", "bench", "train-demo-model", "info")


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)], ids=["root", *COMMANDS])
def test_help_imports_nothing_heavy(arguments):
    """No command's help pays for torch, the server's framework, Pillow or YAML."""
    heavy = (
        "torch",
        "diffusers",
        "transformers",
        "fastapi",
        "starlette",
        "uvicorn",
        "PIL",
        "numpy",
        "yaml",
    )
    code = (
        "import sys; from webui_image.cli.app import run; "
        f"code = run({[*arguments, '--help']!r}); "
        f"print([name for name in {heavy!r} if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True)
    assert done.stderr.strip() == "[] 0"
    assert "Usage: python -m webui_image" in done.stdout


def test_help_names_every_command(capsys):
    """The root's help lists all commands and every exit code."""
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    assert [command for command in COMMANDS if command not in text] == []
    assert [code for code in ("0 done", "3 some", "64", "69", "70", "75") if code not in text] == []


def test_nothing_typed_is_answered_with_the_help(capsys):
    """No command at all is a usage error that shows what there is."""
    assert run([]) == 64
    assert "train-demo-model" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["rendr"], "Did you mean 'render'?", id="command"),
        pytest.param(["render", "a.yaml", "--ot", "x"], "--out", id="option"),
        pytest.param(["info", "--output", "jsn"], "'table', 'json'", id="choice"),
        pytest.param(["serve", "--port", "99999"], "--port", id="number"),
        pytest.param(["render"], "parameters", id="missing"),
    ],
)
def test_typing_errors_are_one_line_with_what_was_meant(arguments, said, capsys):
    """A wrong word is usage (64), named with the nearest right one, and points to the help."""
    assert run(arguments) == 64
    lines = " ".join(capsys.readouterr().err.split("\n")).replace("  ", " ")
    assert lines.startswith("error: ")
    assert said in lines
    assert "--help" in lines
