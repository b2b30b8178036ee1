"""The demonstration's world: the default scenario, on any free port when the usual one is taken."""

import socket
from pathlib import Path

import yaml

from controlplane.demo.stage import DemoError

DEFAULT = Path(__file__).parents[1] / "localcloud" / "scenarios" / "default.yaml"


def demo_scenario(file: Path) -> Path | None:
    """Give None for the default scenario, or write `file` with another load balancer port and give it."""
    scenario = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    if _free(int(scenario["load_balancer"]["port"])):
        return None
    scenario["load_balancer"]["port"] = 0
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    except OSError as error:
        raise DemoError(f"{file}: {error.strerror}; name a folder that can be written with --state-dir") from error
    return file


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
