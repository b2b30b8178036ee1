"""The image cannot be built where there is no engine, so its Dockerfile is read, linted, and followed by hand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CONTEXT = Path(__file__).parents[3] / "webui_image"
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint has no wheel for this platform")
def test_hadolint_finds_nothing():
    """The linter has nothing to say, its informational rules included."""
    done = subprocess.run([HADOLINT, CONTEXT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_stages_build_on_one_pinned_base(dockerfile):
    """Every stage starts from an earlier one, the first from an exact tag with room for a digest."""
    first, *others = dockerfile.stages.values()
    assert first.base == "python:${PYTHON}${PYTHON_DIGEST}"
    assert re.fullmatch(r"3\.12\.\d+-slim-[a-z]+", dockerfile.arguments["PYTHON"])
    assert dockerfile.arguments["PYTHON_DIGEST"] == ""
    assert {stage.base for stage in others} == {first.name}


def test_what_is_copied_exists(dockerfile):
    """Files come from what the context sends; from other stages, what those made or got."""
    sent = {str(path.relative_to(CONTEXT)) for path in dockerfile.sent()}
    earlier = set()
    for stage in dockerfile.stages.values():
        for start, sources, _ in stage.copies():
            if start is None:
                assert all(source == "." or source in sent for source in sources)
            else:
                assert start in earlier
                maker = dockerfile.stages[start]
                made = " ".join([*maker.all("RUN"), *(target for _, _, target in maker.copies())])
                assert all(source in made for source in sources)
        earlier.add(stage.name)


def test_layers_go_from_rarely_to_often_changed(dockerfile):
    """torch, other packages, the model, the code: a new version of the code moves nothing else."""
    order = [(start, source) for start, sources, _ in dockerfile.final.copies() for source in sources]
    assert order == [
        ("torch", "/opt/venv"),
        ("packages", "/opt/venv"),
        ("code", "/model/weights"),
        ("code", "/app/webui_image"),
    ]
    words = [word for word, _ in dockerfile.final.steps]
    assert "RUN" not in words
    assert "WORKDIR" not in words, "it would add an empty layer, and images with one are not streamed"
    assert words.index("ARG") > max(i for i, word in enumerate(words) if word == "COPY"), "a version rebuilds no layer"


def test_packages_are_pinned_by_hash(dockerfile):
    """Pip installs only what a lock names, with its hash, as wheels, and compiles it."""
    for name in ("torch", "packages"):
        (run,) = dockerfile.stages[name].all("RUN")
        assert {"--require-hashes", "--no-deps", "--compile", "--no-cache-dir"} <= set(run.split())
        assert "--only-binary :all:" in run
    (run,) = dockerfile.stages["code"].all("RUN")
    assert "compileall" in run


def test_it_runs_as_nobody_in_particular(dockerfile):
    """Not root, a numeric id (which runAsNonRoot can check), and its two folders are the only ones to write in."""
    final = dockerfile.final
    assert final.all("USER") == ["10001:10001"]
    folders = {value for name, value in final.env().items() if name.endswith(("HOME", "_DIR"))}
    assert all(folder.startswith(("/tmp", "/cache")) for folder in folders)
    assert final.env()["PYTHONDONTWRITEBYTECODE"] == "1"
    assert final.env()["HF_HUB_OFFLINE"] == "1"
    (base,) = dockerfile.stages["base"].all("RUN")
    assert "--owner 10001" in base


def test_signals_reach_python(dockerfile):
    """Entry point and command are lists, so no shell stands between SIGTERM and the server."""
    assert dockerfile.exec_form("ENTRYPOINT") == ["python", "-m", "webui_image"]
    assert dockerfile.exec_form("CMD") == ["serve"]
    assert dockerfile.final.all("STOPSIGNAL") == ["SIGTERM"]
    assert dockerfile.final.all("HEALTHCHECK") == ["NONE"]


def test_nothing_secret_and_nothing_stray_is_sent(dockerfile):
    """Keys, environment files, foreign models, caches and the Dockerfile itself stay out of the build."""
    names = {path.relative_to(CONTEXT).as_posix() for path in dockerfile.sent()}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".env", ".pem", ".key"))]
    assert "Dockerfile" not in names
    models = {name for name in names if name.endswith(".safetensors")}
    assert all(name.startswith("demo_model/weights/") for name in models)
    words = " ".join(rest for stage in dockerfile.stages.values() for _, rest in stage.steps)
    assert not re.search(r"(?i)(password|secret|token|api_key)\s*=", words)


def test_all_that_the_code_reads_is_sent(dockerfile):
    """Every file of the package is in the image, but for pages about it and what builds and deploys it."""
    command = ["git", "ls-files", "."]
    ours = subprocess.run(command, cwd=CONTEXT, capture_output=True, text=True, check=True).stdout.splitlines()
    needed = {
        name for name in ours if not name.endswith(".md") and not name.startswith(("deploy/", "Dockerfile", ".docker"))
    }
    assert {name for name in needed if not dockerfile.sends(Path(name))} == set()
    assert len(needed) > 100


@pytest.mark.parametrize("name", [".env", "id.pem", "other.safetensors", "server/key.txt", "demo_model/notes.md"])
def test_what_lies_about_is_not_sent(dockerfile, name):
    """.dockerignore lets through what it names, and nothing else."""
    assert not dockerfile.sends(Path(name))
