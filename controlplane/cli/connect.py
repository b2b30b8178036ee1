"""Which cloud a command talks to: Google Cloud when a project is named, the embedded local cloud otherwise.

Nothing below this layer knows the difference: both are a project, a config cluster, endpoints and credentials.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from controlplane.cli.output import note

if TYPE_CHECKING:
    from controlplane.model.fleet import FleetSpec
    from controlplane.wiring import Target


OVERRIDES = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
LOCAL_PROJECT = "gpu-hunter-local"
"""The project that the local cloud's own scenarios are; a Fleet file that names it means the local cloud."""
CA_FILE = "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options before the command say."""

    state_dir: Path | None = None
    project: str | None = None
    config_cluster: str | None = None
    fleet: Path | None = None
    prices: Path | None = None
    verbose: bool = False
    log_lines: bool = False

    @property
    def local(self) -> bool:
        """No project is named but the local cloud's own, so it is meant; endpoints of one's own are not it."""
        if self.project is not None:
            return False
        return self.fleet is None or (named_fleet(self).project == LOCAL_PROJECT and not endpoint_overrides(os.environ))


def named_fleet(settings: Settings) -> "FleetSpec":
    """Read the Fleet file that the options name. Raises SpecError."""
    from controlplane.api.files import read_fleet

    if settings.fleet is None:
        raise ValueError("no Fleet file is named")
    return read_fleet(settings.fleet)


def settings_of(context: typer.Context) -> Settings:
    """Give the settings that the root callback stored."""
    found = context.find_object(Settings)
    return found if found is not None else Settings()


def local_dir(settings: Settings) -> Path:
    """Give the folder in which the local cloud keeps its state."""
    from controlplane.localcloud.control import default_state_dir

    return settings.state_dir or default_state_dir()


def target_of(settings: Settings) -> "Target":
    """Give the cloud to talk to; starts the local one when it is meant and not running, and says so."""
    if not settings.local:
        return google_target(settings)
    try:
        from controlplane.demo.stage import local_target
        from controlplane.localcloud import control
    except ImportError as error:  # the image of the reconciler holds nothing of it
        from controlplane.api import Problem, SpecError

        what = "no project is named, and the local cloud is not installed here"
        raise SpecError([Problem("--project", what, "give it, or set GPUHUNTER_PROJECT")]) from error

    where = local_dir(settings)
    if control.status(where) is None:
        note("No Google Cloud project is configured: using the local cloud, which is not running. Starting it ...")
        control.up(where, None, progress=note)
    # fsspec reads them when it is first imported, which nothing has done yet.
    os.environ.update(control.connection(where).storage)
    return local_with(settings, local_target(where))


def local_with(settings: Settings, target: "Target") -> "Target":
    """Give the local cloud with what the options say besides. Raises SpecError for a Fleet of another one."""
    if settings.fleet is not None:
        fleet = named_fleet(settings)
        _agree(settings.fleet, "spec.project", fleet.project, "the local cloud is", target.project)
        # A project that begins empty has no config cluster until the Fleet's is made.
        there = target.config_cluster or None
        _agree(settings.fleet, "spec.configCluster", fleet.config.link, "the local cloud has", there)
        target = replace(target, config_cluster=fleet.config.link, fleet=fleet)
    return replace(target, prices_file=settings.prices) if settings.prices else target


def _agree(file: Path, path: str, said: str, other: str, wanted: str | None) -> None:
    if wanted is not None and said != wanted:
        from controlplane.api import Problem, SpecError

        what = f"is {said}, and {other} {wanted}"
        raise SpecError([Problem(path, what, "name one of them, or make them the same", str(file))])


def google_target(settings: Settings) -> "Target":
    """Give Google Cloud with application default credentials."""
    from controlplane.api import Problem, SpecError
    from controlplane.wiring import Target

    fleet, project, config = None, settings.project, settings.config_cluster
    if settings.fleet is not None:
        fleet = named_fleet(settings)
        _agree(settings.fleet, "spec.project", fleet.project, "--project is", project)
        _agree(settings.fleet, "spec.configCluster", fleet.config.link, "--config-cluster is", config)
        project, config = fleet.project, fleet.config.link
    if not config or config.count("/") != 1:
        problem = Problem("--config-cluster", "is missing or not LOCATION/NAME", "give it, such as us-west1/gpu-config")
        raise SpecError([problem])
    return Target(
        project=project or "",
        config_cluster=config,
        fleet=fleet,
        endpoints=endpoint_overrides(os.environ),
        ca_file=Path(ca_file) if (ca_file := os.environ.get(CA_FILE)) else None,
        prices_file=settings.prices,
    )


def endpoint_overrides(environ: Mapping[str, str]) -> dict[str, str]:
    """Read where each API is when not at its usual address, from the variables that gcloud reads too.

    So one environment turns gcloud and this program to a restricted endpoint, or to the local cloud. gcloud's values
    have a path behind the host, which the client libraries put there themselves. Raises SpecError for what is no URL,
    and for plain HTTP to another machine, which would carry the access token in the clear.
    """
    found = {}
    for variable, value in environ.items():
        if not variable.startswith(OVERRIDES) or not value:
            continue
        parts = urlsplit(value)
        loopback = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if not parts.netloc or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
            from controlplane.api import Problem, SpecError

            raise SpecError([Problem(variable, "is not an https:// URL", "correct it, or unset it")])
        found[variable.removeprefix(OVERRIDES).lower()] = f"{parts.scheme}://{parts.netloc}"
    return found
