"""The web UI's page for users names what there is, and nothing that is not."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import typer

import webui_image
from webui_image.batch.parameters import read
from webui_image.batch.parameters.keys import COUNTS, ENABLE_HIRES, KEYS, OVERRIDES, RESIZE_FROM, SPECIAL
from webui_image.cli.app import app
from webui_image.cli.environment import VARIABLES
from webui_image.cli.shard import TERMINATION_LOG
from webui_image.metrics import Metrics
from webui_image.server import environment
from webui_image.server.settings import Limits

HERE = Path(webui_image.__file__).parent
README = (HERE / "README.md").read_text()


class Asked(dict):
    """An empty environment that remembers which variables were asked for."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def get(self, name, default=None):
        self.names.add(name)
        return default


def documented(name):
    return f"`{name}`" in README


def test_every_command_is_shown():
    """Each command stands in the list of examples."""
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert [name for name in commands if f"python -m webui_image {name}" not in README] == []


def test_every_setting_is_named():
    """Each variable that the server or the engine reads stands in the tables."""
    asked = Asked()
    environment.read(asked)
    assert len(asked.names) > 20
    assert [name for name in (*asked.names, *(each.name for each in VARIABLES)) if not documented(name)] == []


def test_no_setting_is_named_that_nothing_reads():
    """Each variable in the tables is read."""
    asked = Asked()
    environment.read(asked)
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", README))
    options = typer.main.get_command(app).commands["render"].params
    workers = {TERMINATION_LOG, *(option.envvar for option in options)}
    assert named - asked.names - {each.name for each in VARIABLES} - workers == set()


def test_limits_have_the_defaults_that_are_told():
    """Each limit stands with its default."""
    told = {name: float(value.replace(",", "")) for name, value in re.findall(r"`LIMIT_(\w+)` \| ([\d.,]+) \|", README)}
    assert told == {each.name.upper(): float(each.default) for each in fields(Limits)}


def test_every_key_of_the_parameters_file_is_described():
    """Each key with its other names stands in the table, as the code describes it."""
    rows = [f"| `{key.name}` | {key.about} | {', '.join(f'`{alias}`' for alias in key.aliases)} |" for key in KEYS]
    assert [row for row in rows if row not in README] == []
    others = (*SPECIAL, *COUNTS, *RESIZE_FROM, OVERRIDES, ENABLE_HIRES)
    assert [name for name in others if name not in README] == []


def test_every_metric_is_named():
    """Each family that /metrics shows stands in the list, under the name that Prometheus stores."""
    metrics = Metrics()
    metrics.about(version="1")
    found = {family.name + ("_total" if family.type == "counter" else "") for family in metrics.registry.collect()}
    assert {name for name in found if not documented(name)} == set()
    assert set(re.findall(r"`(sdwebui_\w+)`", README)) == found


def test_the_file_in_the_text_can_be_rendered(tmp_path):
    """The parameters file on the page is one."""
    (text,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "prompts.txt").write_text("a pink heart\n")
    assert len(read(tmp_path / "a.yaml").pictures) == 3 + 4 + 3 + 3


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link):
    """What the page points to is there."""
    assert (HERE / link).exists()


def test_the_example_is_a_parameters_file():
    """The shipped example is read without a mistake, and shows counts, matrices and an included list."""
    batch = read(HERE / "examples" / "params.yaml")
    assert batch.name == "shapes"
    assert f"info pictures/shapes/{batch.pictures[0].file_name} " in README
    assert len(batch.pictures) == 1 + 4 + 6 + 3 + 3
    assert {picture.file for picture in batch.pictures} == {"params.yaml", "prompts.txt"}
