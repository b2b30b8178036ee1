"""The reconciler's image cannot be built where there is no engine: its Dockerfile is linted, and followed by hand."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from regional_deploy.reconciler import slim

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "regional_deploy" / "reconciler"
HADOLINT = Path(sys.executable).with_name("hadolint")
TEXT = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.MULTILINE))
LOCK = (FOLDER / "requirements.lock").read_text()
VERSIONS = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", LOCK, re.MULTILINE))
# What of the web UI reads inboxes and the files in them.
READING = (
    "webui_image/__init__.py",
    "webui_image/batch/__init__.py",
    "webui_image/batch/places.py",
    "webui_image/batch/snapshot.py",
    "webui_image/batch/written.py",
    "webui_image/batch/parameters",
    "webui_image/prompts",
    "webui_image/values",
)
IGNORED = (
    "controlplane/localcloud/",
    "controlplane/demo/",
    "controlplane/bench/",
    "controlplane/simulate/",
    "regional_deploy/aws/",
)


def stage(name):
    """Give the instructions of a stage, each as (word, rest)."""
    (body,) = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return [tuple(line.split(" ", 1)) for line in body.splitlines() if line.strip()]


def told(name, word):
    return [rest for found, rest in stage(name) if found == word]


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint has no wheel for this platform")
def test_hadolint_finds_nothing():
    """The linter has nothing to say, its informational rules included."""
    done = subprocess.run([HADOLINT, FOLDER / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_stages_build_on_one_pinned_base():
    """Every stage starts from an exact tag with room for a digest, and the last one runs nothing."""
    assert re.search(r"^ARG PYTHON=3\.12\.\d+-slim-[a-z]+$", TEXT, re.MULTILINE)
    bases = re.findall(r"^FROM (\S+) AS (\S+)$", TEXT, re.MULTILINE)
    assert bases[0] == ("python:${PYTHON}${PYTHON_DIGEST}", "base")
    assert {base for base, _ in bases[1:]} == {"base"}
    assert not {"RUN", "WORKDIR"} & {word for word, _ in stage("final")}


def test_packages_are_pinned_by_hash_and_compiled_as_far_as_they_are_imported():
    """Pip installs only what the lock names, with its hash, as wheels; then the packages are made small."""
    install, make_small = told("packages", "RUN")
    assert {"--require-hashes", "--no-deps", "--no-compile", "--no-cache-dir"} <= set(install.split())
    assert "--only-binary :all:" in install
    assert make_small.endswith("slim.py")
    entries = re.split(r"\n(?=\S)", LOCK.strip())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_it_runs_as_nobody_in_particular_and_signals_reach_python():
    """A numeric id that is not root, and lists for entry point and command: no shell stands before the program."""
    assert told("final", "USER") == ["10001:10001"]
    assert json.loads(told("final", "ENTRYPOINT")[0]) == ["python", "-m", "controlplane"]
    assert json.loads(told("final", "CMD")[0]) == ["reconcile"]
    assert told("final", "STOPSIGNAL") == ["SIGTERM"]


def test_the_image_installs_what_the_project_needs_and_no_other_extra():
    """Every dependency is locked in a version that fits, and the inboxes'; none of torch, web UI or local cloud is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    for requirement in map(Requirement, [*project["dependencies"], *optional["batches"]]):
        assert requirement.specifier.contains(VERSIONS[canonicalize_name(requirement.name)]), requirement
    extras = {canonicalize_name(Requirement(text).name) for text in [*optional["local"], *optional["webui"]]}
    own = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    # google-auth signs with cryptography and calls with requests; gcsfs is one of fsspec's.
    assert set(VERSIONS) & (extras - own) <= {"cryptography", "fsspec", "google-auth", "requests"}


def test_the_image_has_the_versions_that_the_tests_ran_with():
    """A package stands in the same version in the image and on developers' machines."""
    lines = (ROOT / "requirements-dev.lock").read_text().splitlines()
    ours = dict(line.split(" ")[0].split("==") for line in lines if line[:1].isalnum())
    assert {name: version for name, version in VERSIONS.items() if ours.get(name, version) != version} == {}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Give a folder with what the image's /app holds, and nothing else of the project."""
    folder = tmp_path_factory.mktemp("image")
    command = ["git", "ls-files", "controlplane", "ingress", "regional_deploy", *READING]
    for name in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if name.endswith((".py", ".yaml")) and not name.startswith(IGNORED):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    return folder


def in_image(app, *arguments, **more):
    environ = {
        "PATH": os.environ["PATH"],
        "APP_VERSION": "1.2.3",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "",
        **more,
    }
    return subprocess.run(arguments, cwd=app, env=environ, capture_output=True, text=True, check=False)


def test_the_context_leaves_out_what_the_image_does_not_need():
    """.dockerignore starts from nothing, and takes away the local cloud and what only a developer runs."""
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert next(line for line in lines if line and line[0] != "#") == "**"
    assert {name.rstrip("/") for name in IGNORED} <= set(lines)
    copied = [word for rest in told("code", "COPY") for word in rest.split()[:-1]]
    assert copied == ["controlplane", "ingress", "regional_deploy", *READING]
    for name in READING:
        assert f"!{name if name.endswith('.py') else f'{name}/**/*.py'}" in lines


def test_the_entry_point_runs_from_what_is_copied(app):
    """All commands explain themselves without the local cloud in the image."""
    where = "import controlplane, sys; sys.exit(not controlplane.__file__.startswith(sys.argv[1]))"
    assert in_image(app, sys.executable, "-c", where, str(app)).returncode == 0
    for command in ([], ["reconcile"], ["runner"]):
        done = in_image(app, sys.executable, "-m", "controlplane", *command, "--help")
        assert (done.returncode, done.stderr) == (0, "")


def test_inboxes_are_read_from_what_is_copied(app):
    """A parameters file in a folder is read and checked; a bucket's client is there, and loaded for no other pass."""
    script = (
        "import pathlib, sys, controlplane.wiring\n"
        "from controlplane.gateways.parameters import ParametersReader\n"
        "assert not {'fsspec', 'gcsfs', 'webui_image.batch.places'} & set(sys.modules)\n"
        "pathlib.Path('inbox').mkdir()\n"
        "pathlib.Path('inbox/cats.yaml').write_text('images: [{prompt: cat, count: 3}]')\n"
        "reader = ParametersReader()\n"
        "tray = reader.tray(pathlib.Path('inbox').resolve().as_uri())\n"
        "found = reader.read(tray, 'cats.yaml')\n"
        "assert found.pictures == 3, found\n"
        "import webui_image; assert webui_image.__file__.startswith(sys.argv[1]), webui_image.__file__\n"
        "from webui_image.batch.places import place_of; place_of('gs://art/inbox')\n"
        "print(*{'torch', 'PIL', 'numpy', 'transformers', 'diffusers'} & set(sys.modules))"
    )
    more = {"FSSPEC_GS_TOKEN": "anon", "HOME": str(app)}
    done = in_image(app, sys.executable, "-c", script, str(app), **more)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_without_a_project_it_says_so(app):
    """There is no local cloud to fall back to, and the line says what to give."""
    done = in_image(app, sys.executable, "-m", "controlplane", "reconcile")
    assert done.returncode == 64
    assert "GPUHUNTER_PROJECT" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_program_imports_is_kept_compiled(app):
    """Beyond the list, the program's own modules load next to nothing: else every start would compile it anew."""
    script = (
        "import importlib, pkgutil, sys\n"
        "from regional_deploy.reconciler import slim; slim.load(); before = set(sys.modules)\n"
        "import controlplane\n"
        "for found in pkgutil.walk_packages(controlplane.__path__, 'controlplane.'):\n"
        "    if not found.name.endswith('__main__'): importlib.import_module(found.name)\n"
        "import ingress.multicluster, regional_deploy.render, webui_image.batch.parameters, webui_image.batch.places\n"
        "files = {n: getattr(sys.modules[n], '__file__', '') or '' for n in set(sys.modules) - before}\n"
        "print(*sorted(n for n, file in files.items() if 'site-packages' in file and file.endswith('.py')))"
    )
    done = in_image(app, sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    others = [name for name in done.stdout.split() if not name.startswith(("typer.", "_", "simplejson", "numpy"))]
    assert len(others) < 12, others


def test_what_is_called_unused_is_there_and_is_not_imported():
    """The build would fail on a path that is gone; and nothing of it is loaded by what a pass imports."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from regional_deploy.reconciler import slim; slim.load()\n"
        "loaded = {m.__name__.replace('.', '/') for m in list(sys.modules.values())}\n"
        "sys.exit(any(name.startswith(slim.UNUSED) for name in loaded))"
    )
    assert subprocess.run([sys.executable, "-c", script, ROOT], check=False).returncode == 0
    for path in slim.UNUSED:
        package, _, rest = path.partition("/")
        assert (Path(__import__(package).__file__).parent / rest).is_dir()
