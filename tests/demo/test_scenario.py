"""The demonstration's world finds a port, and says so in one line when it finds no room."""

import socket
from pathlib import Path

import pytest
import yaml

from controlplane.demo import scenario
from controlplane.demo.stage import DemoError


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the usual port be in use."""
    monkeypatch.setattr(scenario, "_free", lambda _port: False)


def test_a_taken_port_gives_way_to_any_free_one(taken: None, tmp_path: Path) -> None:
    """The scenario is the default one but for the load balancer's port, and stands where it was asked for."""
    file = tmp_path / "demo" / "demo-scenario.yaml"
    assert scenario.demo_scenario(file) == file
    written, usual = yaml.safe_load(file.read_text()), yaml.safe_load(scenario.DEFAULT.read_text())
    assert written["load_balancer"].pop("port") == 0
    usual["load_balancer"].pop("port")
    assert written == usual
    assert list(tmp_path.iterdir()) == [tmp_path / "demo"]


def test_a_folder_that_cannot_be_made_is_one_line(taken: None, tmp_path: Path) -> None:
    """The line names the file and what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match="--state-dir"):
        scenario.demo_scenario(tmp_path / "file" / "demo-scenario.yaml")


def test_a_port_somebody_listens_on_is_not_free() -> None:
    """What is bound is seen as taken, and as free afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not scenario._free(port)
    assert scenario._free(port)
