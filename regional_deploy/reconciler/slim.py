"""Makes installed packages small without making a start slow; the image's build runs this once, as a program.

The Google and Kubernetes clients are large and a pass uses a small part of them. What no pass can import is removed;
of the rest, what a pass does import is imported here, so that Python keeps it compiled, and all else stays as source.
A module that is missing here is compiled anew by every start, since the image is read-only.
"""

import importlib
import shutil
from importlib.util import find_spec
from pathlib import Path

UNUSED = ("kubernetes/aio",)
"""The asynchronous Kubernetes client, a copy of the other one of the same size."""
MODULES = (
    "gcsfs",
    "gcsfs.extended_gcsfs",
    "google.auth.compute_engine",
    "google.auth.impersonated_credentials",
    "google.auth.transport.requests",
    "google.cloud.compute_v1",
    "google.cloud.container_v1",
    "google.oauth2.credentials",
    "google.oauth2.service_account",
    "kubernetes.client",
    "kubernetes.client.rest",
    "prometheus_client",
    "pydantic",
    "pydantic.alias_generators",
    "pydantic.dataclasses",
    "pydantic.functional_serializers",
    "pydantic.type_adapter",
    "rich.console",
    "rich.rule",
    "rich.table",
    "rich.text",
    "structlog",
    "tenacity",
    "typer",
    "yaml",
)


def remove() -> None:
    """Take away what is never imported."""
    for path in UNUSED:
        package, _, rest = path.partition("/")
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            shutil.rmtree(Path(spec.origin).parent / rest)


def load() -> None:
    """Import what a pass imports."""
    for name in MODULES:
        importlib.import_module(name)


if __name__ == "__main__":
    remove()
    load()
