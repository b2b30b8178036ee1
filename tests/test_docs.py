"""The documentation is held to the code: what a page names exists, and what must be documented is."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from controlplane.cli.app import app
from controlplane.model.reasons import Reason

ROOT = Path(__file__).parents[1]
ARCHITECTURE = ROOT / "controlplane" / "ARCHITECTURE.md"
ARCHITECTURES = (ARCHITECTURE, ROOT / "webui_image" / "ARCHITECTURE.md")
REASONS = ROOT / "controlplane" / "REASONS.md"
DECISIONS = ROOT / "controlplane" / "decisions"

INVARIANTS = [*(f"S{n}" for n in range(1, 11)), *(f"L{n}" for n in range(1, 7)), *(f"Q{n}" for n in range(1, 4))]
UNTESTED = "no test yet"

CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^### `([\w/]+/)`$")
FILE = re.compile(r"[\w.-]+(/[\w.-]+)*\.(py|md|yaml|yml|toml|txt|js|css|html)|\.importlinter|([\w.-]+/)+")
SYMBOL = re.compile(r"([\w./-]+\.py):([A-Za-z_][\w.]*)")
TEST = re.compile(r"(tests/[\w./-]+\.py)::(\w+)")
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")
ROOMS_IN_FULL = (
    "controlplane/", "controlplane/model/", "controlplane/api/", "controlplane/decide/", "controlplane/decide/valued/",
    "controlplane/bootstrap/", "controlplane/bootstrap/handlers/", "controlplane/engine/", "controlplane/gateways/",
    "controlplane/cli/", "controlplane/demo/", "controlplane/bench/",
    "controlplane/simulate/", "controlplane/simulate/hunter/", "controlplane/simulate/baselines/",
    "controlplane/simulate/synthesis/", "controlplane/simulate/plot/", "regional_deploy/", "regional_deploy/aws/",
    "ingress/",
    "webui_image/", "webui_image/values/", "webui_image/prompts/", "webui_image/pictures/",
    "webui_image/pictures/containers/", "webui_image/engine/", "webui_image/server/", "webui_image/server/a1111/",
    "webui_image/server/page/", "webui_image/batch/", "webui_image/batch/parameters/", "webui_image/cli/",
    "webui_image/bench/", "webui_image/demo_model/", "webui_image/demo_model/train/",
)  # fmt: skip
PAGES = sorted(
    path
    for folder in ("", "controlplane/", "controlplane/decisions/", "regional_deploy/aws/", "runbooks/", "webui_image/")
    for path in ROOT.glob(f"{folder}*.md")
)


def words() -> list[tuple[str, str]]:
    """Give what stands in backquotes in the architecture pages, each with the folder whose room it stands in."""
    found, room = [], ""
    for page in ARCHITECTURES:
        for line in page.read_text(encoding="utf-8").splitlines():
            heading = HEADING.match(line)
            if line.startswith("#"):
                room = heading[1] if heading else ""
            found += [(word, room) for word in CODE.findall(line)]
    return found


@cache
def symbols(path: Path) -> frozenset[str]:
    """Give the functions, classes, methods and constants that a module defines."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            own = (n.name for n in node.body if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
            found |= {f"{node.name}.{name}" for name in own}
    return frozenset(found)


def rows(path: Path) -> list[list[str]]:
    """Give the cells of every table row of a page but the headings."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [number for number, row in enumerate(cells) if set(row[0]) <= set("-: ")]
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


def invariant_rows() -> dict[str, list[str]]:
    """Give the rows of the table of invariants by id."""
    return {row[0]: row for row in rows(ARCHITECTURE) if re.fullmatch(r"[SLQ]\d+", row[0])}


def test_every_decision_is_linked_from_its_readme() -> None:
    """Each page of a decision has a row in the list of decisions, and the list names no other."""
    linked = {name for name in LINK.findall((DECISIONS / "README.md").read_text(encoding="utf-8")) if "/" not in name}
    assert linked == {page.name for page in DECISIONS.glob("*.md")} - {"README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file or folder of the project."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_path_of_the_architecture_exists() -> None:
    """Files and folders that the page names are there, beside their room's heading or from the project's root."""
    paths = {(word, room) for word, room in words() if FILE.fullmatch(word)}
    missing = [(word, room) for word, room in paths if not ((ROOT / word).exists() or (ROOT / room / word).exists())]
    assert sorted(missing) == []
    assert len(paths) > 200


def test_every_function_of_the_architecture_exists() -> None:
    """`file.py:name` is a function, class or method of that file."""
    named = {SYMBOL.fullmatch(word).groups() for word, _ in words() if SYMBOL.fullmatch(word)}
    missing = [
        f"{file}:{name}" for file, name in named if not (ROOT / file).exists() or name not in symbols(ROOT / file)
    ]
    assert sorted(missing) == []
    assert len(named) > 80


@pytest.mark.parametrize("room", ROOMS_IN_FULL)
def test_every_file_has_its_question(room: str) -> None:
    """A file of these packages is named below its package's heading, so that a newcomer finds it."""
    named = {word for word, where in words() if where == room}
    files = {path.name for kind in ("*.py", "*.js") for path in (ROOT / room).glob(kind)} - {"__init__.py"}
    assert sorted(files - named) == []


def test_every_package_of_the_local_cloud_is_named() -> None:
    """Each package of it has a heading, or a word below the heading of the one that holds it."""
    base = ROOT / "controlplane" / "localcloud"
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in base.rglob("__init__.py")}
    headed = {room for _, room in words()}
    inside = {f"{room}{word}" for word, room in words() if word.endswith("/")}
    assert sorted(packages - headed - inside) == []


def test_every_invariant_has_its_row() -> None:
    """The table has each invariant once, where it is kept, and what holds it."""
    ids = [row[0] for row in rows(ARCHITECTURE) if re.fullmatch(r"[SLQ]\d+", row[0])]
    assert ids == INVARIANTS
    for row in invariant_rows().values():
        assert len(row) == 4
        assert SYMBOL.search(row[2]), row[0]


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_an_invariant_names_tests_that_exist(invariant: str) -> None:
    """Every test that is said to hold an invariant is there; one that nothing holds says so."""
    held_by = invariant_rows()[invariant][3]
    tests = TEST.findall(held_by)
    assert tests or UNTESTED in held_by
    assert [name for file, name in tests if not (ROOT / file).exists() or name not in symbols(ROOT / file)] == []
    assert len(TEST.findall(held_by)) == held_by.count("::")


def test_every_test_named_on_the_page_exists() -> None:
    """Tests that are named outside the table exist too."""
    named = [test for page in ARCHITECTURES for test in TEST.findall(page.read_text(encoding="utf-8"))]
    missing = [f"{f}::{name}" for f, name in named if not (ROOT / f).exists() or name not in symbols(ROOT / f)]
    assert sorted(set(missing)) == []


def test_every_reason_is_documented() -> None:
    """Each reason has exactly one row with its meaning and what a user can do; no row is for something else."""
    documented = {row[0].strip("`"): row[1:] for row in rows(REASONS)}
    counted = Counter(row[0] for row in rows(REASONS))
    assert set(documented) == {reason.value for reason in Reason}
    assert [reason for reason, times in counted.items() if times > 1] == []
    assert [reason for reason, cells in documented.items() if not all(len(cell) > 3 for cell in cells)] == []


def leaves(command: Any, path: tuple[str, ...] = ()) -> list[str]:
    """Give every command that does something, such as `local up`; a group has commands of its own."""
    children = getattr(command, "commands", None)
    if not children:
        return [" ".join(path)]
    return [leaf for name, child in sorted(children.items()) for leaf in leaves(child, (*path, name))]


COMMANDS = leaves(typer.main.get_command(app))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    """README shows each command as code, by itself or behind the program's name and its options."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    code = [line for block in blocks for line in block.splitlines()] + CODE.findall(text)
    program = r"(?:.*\b(?:gpuhunter|controlplane)(?: --[\w-]+(?:[ =][^\s-]\S*)?)* )?"
    shown = re.compile(rf"{program}{re.escape(command)}(?![\w-])")
    assert any(shown.match(piece.strip()) for piece in code), f"README.md shows no `{command}`"


def test_the_commands_are_found() -> None:
    """The walk over the command line sees groups and what is in them."""
    assert {"apply", "plan", "local up", "fail stock-out", "recover api"} <= set(COMMANDS)
