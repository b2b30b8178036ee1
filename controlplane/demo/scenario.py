"""The demonstration's world: the default scenario, on any free port when the usual one is taken."""

import socket
from pathlib import Path

import yaml

DEFAULT = Path(__file__).parents[1] / "localcloud" / "scenarios" / "default.yaml"


def demo_scenario(folder: Path) -> Path | None:
    """Give None for the default scenario, or a file beside the state with another load balancer port."""
    scenario = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    if _free(int(scenario["load_balancer"]["port"])):
        return None
    scenario["load_balancer"]["port"] = 0
    file = folder.with_name(f"{folder.name}-scenario.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(scenario, sort_keys=False), encoding="utf-8")
    return file


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
