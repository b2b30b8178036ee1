"""What the function's zip file consists of: the few of our modules that it imports, and five packages."""

import shutil
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

# Folders of which every module goes in, and single modules.
_MODULES = (
    "regional_deploy/*", "regional_deploy/aws/*", "controlplane/__init__", "controlplane/model/*",
    "webui_image/__init__", "webui_image/values/*", "webui_image/prompts/*", "webui_image/batch/__init__",
    "webui_image/batch/parameters/*", "webui_image/batch/places", "webui_image/batch/snapshot",
    "webui_image/batch/written",
)  # fmt: skip
# In the versions that the tests run with. boto3 is in Lambda too, but must fit the botocore that s3fs brings.
PACKAGES = ("boto3==1.43.117", "fsspec==2026.9.0", "pillow==13.0.0", "pyyaml==6.0.3", "s3fs==2026.9.0")
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")


def write(folder: Path) -> int:
    """Write our modules into a folder that holds nothing else of ours; give how many."""
    shutil.rmtree(folder, ignore_errors=True)
    count = 0
    for pattern in _MODULES:
        package, _, name = pattern.rpartition("/")
        for module in _modules(resources.files(package.replace("/", ".")), name):
            target = folder / package / module.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(module.read_bytes())
            count += 1
    return count


def _modules(package: Traversable, name: str) -> Iterator[Traversable]:
    for each in sorted(package.iterdir(), key=lambda each: each.name):
        if each.name.endswith(".py") and name in ("*", each.name.removesuffix(".py")):
            yield each


def install_words(folder: Path) -> list[str]:
    """Give the words of the command that puts the packages beside our modules, for Lambda's Python and Linux."""
    platforms = [word for platform in _PLATFORMS for word in ("--platform", platform)]
    where = ["--target", str(folder), "--python-version", "3.13", "--only-binary", ":all:"]
    return ["pip", "install", "--quiet", *where, *platforms, *PACKAGES]
