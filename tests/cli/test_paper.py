"""Tables are as wide as the terminal, and whole where there is none."""

import io

import pytest
from rich.table import Table

from controlplane.cli import output
from controlplane.cli.paper import Fitted, Paper

NAME = "projects/gpu/locations/northamerica-northeast1/memberships/gpu-northamerica-northeast1-with-a-long-name"
WHY = "it was left out because the endpoint that is chosen for the fleet is none of those that this cluster has now"


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self):
        return True


def shown(file, width=None):
    """Give the lines of a table of a name and a sentence, with a heading above."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("CLUSTER", "N", "WHY"):
        grid.add_column(column, overflow="fold")
    grid.add_row(NAME, "1", WHY)
    grid.add_row("short", "2", "short")
    paper = Paper(file=file, width=width, color_system=None)
    paper.rule("heading", align="left")
    paper.print(Fitted(grid))
    return file.getvalue().splitlines()


@pytest.fixture(autouse=True)
def no_columns(monkeypatch):
    """Let nothing but the file say how wide it is."""
    monkeypatch.delenv("COLUMNS", raising=False)


def test_without_a_terminal_each_row_is_one_whole_line():
    """Nothing is folded, cut or filled up with blanks, and a heading's line ends."""
    heading, columns, first, second = shown(io.StringIO())
    assert columns.split() == ["CLUSTER", "N", "WHY"]
    assert first == f"{NAME}  1  {WHY}"
    assert second == f"{'short'.ljust(len(NAME))}  2  short"
    assert len(heading) == 80


def test_on_a_terminal_prose_gives_way_and_names_stay_whole():
    """The table keeps to the terminal's width, and its longest name is on one line nevertheless."""
    width = len(NAME) + 25
    lines = shown(Terminal(), width)
    assert max(map(len, lines)) == width
    assert sum(NAME in line for line in lines) == 1
    assert " ".join(line[len(NAME) + 5 :].strip() for line in lines[2:]).removesuffix(" short") == WHY


def test_where_nothing_else_gives_way_a_name_is_broken_and_nothing_is_lost():
    """On a narrow terminal all of it is still there."""
    lines = shown(Terminal(), 60)
    assert max(map(len, lines)) <= 60
    assert "".join(line.split(" ")[0] for line in lines[2:]).startswith(f"{NAME}short")


def test_a_width_that_is_asked_for_binds_in_a_pipe_too(monkeypatch):
    """COLUMNS is somebody's wish."""
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, shown(io.StringIO()))) <= 60


def test_every_table_of_the_command_line_is_shown_so(capsys, monkeypatch):
    """The one function that prints tables leaves long names whole in a pipe."""
    monkeypatch.setattr(output, "console", Paper(highlight=False))
    output.table(("CLUSTER", "WHY"), [[NAME, WHY], ["", None]])
    assert capsys.readouterr().out.splitlines()[1:] == [f"{NAME}  {WHY}", f"-{' ' * len(NAME)} -"]
