"""What the image installs is what the code imports, in the versions that the tests ran with."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
CONTEXT = ROOT / "webui_image"
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# Imported by their own names, and inseparable from what is asked for.
PARTS = {"starlette", "pydantic-core"}  # of fastapi, of pydantic
WEBUI = [Requirement(text) for extra in ("webui", "webui-gcs", "webui-s3") for text in EXTRAS[extra]]


def imports() -> dict[str, set[str]]:
    """Give the foreign packages that the web UI imports, each with the files that do."""
    found: dict[str, set[str]] = {}
    for file in CONTEXT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top != "webui_image":
                    module = ".".join(name.split(".")[:2]) if top == "google" else top
                    found.setdefault(module, set()).add(str(file.relative_to(ROOT)))
    return found


def test_what_is_imported_is_asked_for():
    """Each foreign package that the code imports stands in the extra `webui`, so that its image has it by intent."""
    named = {canonicalize_name(requirement.name) for requirement in WEBUI}
    owners = {**packages_distributions(), "google.auth": ["google-auth"]}
    missing = {
        module: sorted(files)
        for module, files in imports().items()
        if not {canonicalize_name(name) for name in owners.get(module, [module])} & (named | PARTS)
    }
    assert missing == {}


def test_the_image_installs_what_is_asked_for(locked):
    """Every requirement of the extras for the image's platform is locked, in a version that fits."""
    versions = {name: version for packages in locked.values() for name, (version, _) in packages.items()}
    linux = {"sys_platform": "linux", "python_version": "3.12", "extra": ""}
    for requirement in WEBUI:
        if requirement.marker is None or requirement.marker.evaluate(linux):
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), requirement


def test_every_locked_package_has_its_hash(locked):
    """Both files hold hashes for each package, and no package stands in both."""
    assert set(locked) == {"requirements.lock", "requirements-torch.lock"}
    for packages in locked.values():
        assert packages
        assert all(hashes for _, hashes in packages.values())
    assert not set(locked["requirements.lock"]) & set(locked["requirements-torch.lock"])


def test_torch_and_cuda_are_a_layer_of_their_own(locked):
    """The large layer holds torch and NVIDIA's libraries alone."""
    names = set(locked["requirements-torch.lock"])
    assert {"torch", "triton"} < names
    assert all(name.startswith(("torch", "triton", "nvidia-", "cuda-")) for name in names)
    assert not [name for name in locked["requirements.lock"] if name.startswith(("torch", "nvidia-"))]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_image_has_the_versions_that_the_tests_ran_with(name, locked):
    """A package stands in the same version in the image and on developers' machines."""
    ours = dict(line.split(" ")[0].split("==") for line in (ROOT / name).read_text().splitlines() if line[:1].isalnum())
    image = {package: version for packages in locked.values() for package, (version, _) in packages.items()}
    assert {p: (v, image[p]) for p, v in ours.items() if p in image and image[p] != v} == {}
    torch = (ROOT / "requirements-torch.txt").read_text().split()
    assert torch == [f"torch=={image['torch']}"]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_set_up_installs_torch_from_its_own_file(name):
    """The locks leave torch and CUDA out, since their builds differ, and hold what any build of torch needs."""
    packages = {line.split("==")[0] for line in (ROOT / name).read_text().splitlines() if line[:1].isalnum()}
    assert not [package for package in packages if package.startswith(("torch", "nvidia-", "triton"))]
    assert {"filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing-extensions"} <= packages
