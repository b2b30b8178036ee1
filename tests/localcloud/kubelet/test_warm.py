"""Containers that are forked: what they are told, how they end, what they share, and who goes with whom."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controlplane.localcloud.kubelet.process import Command, Warmth
from controlplane.localcloud.kubelet.warm import MOST_SERVERS, WarmRuntime

SOON = 30  # as long as it may take on a slow machine
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere containers are not forked")

EARLY = """
import os
with open(os.environ["IMPORTS"], "a") as file:
    file.write(f"{os.getpid()}\\n")
os.environ["SET_BY_IMPORT"] = "yes"
"""
PROGRAM = """
import os, random, sys, time
import early
exec(sys.argv[1])
"""


class Place:
    """A folder with a module that is imported early, and a program; starts containers and reads what they said."""

    def __init__(self, folder):
        self.folder, self.runtime, self.count = folder, WarmRuntime(), 0
        (folder / "early.py").write_text(EARLY)
        (folder / "program.py").write_text(PROGRAM)

    async def start(self, code, *, module="early", **env):
        self.count += 1
        directory = self.folder / f"work{self.count}"
        directory.mkdir()
        given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.folder), "IMPORTS": str(self.folder / "imports")}
        library = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        warmth = Warmth(module, ("OWN_*",))
        argv = [sys.executable, "-m", "program", code]
        return await self.runtime.start(
            Command(argv, {**given, **library, **env}, directory, self.folder / f"log{self.count}", warmth)
        )

    async def run(self, code, **options):
        return await (await self.start(code, **options)).wait()

    def said(self, number):
        lines = (self.folder / f"log{number}").read_text().splitlines()
        return [line.split(" ", 3)[3] for line in lines if line.split(" ")[1] == "stdout"]

    def imports(self):
        return (self.folder / "imports").read_text().split()


@pytest.fixture
def place(tmp_path):
    """Give an empty place."""
    return Place(tmp_path)


def environment_of(pid):
    return Path(f"/proc/{pid}/environ").read_bytes()


def command_line_of(pid, *, until):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        words = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        if until in words:
            return words
    return []


def test_what_is_imported_is_imported_once(place):
    """Containers that differ in what is their own are forks of one process, and each is a process of its own."""

    async def story():
        codes = [await place.run("print(os.getpid(), os.environ['OWN_NAME'])", OWN_NAME=name) for name in "ab"]
        return codes, len(place.imports())

    assert asyncio.run(story()) == ([0, 0], 1)
    (first,), (second,) = place.said(1), place.said(2)
    assert first.split()[1] == "a"
    assert second.split()[1] == "b"
    assert len({first.split()[0], second.split()[0], *place.imports()}) == 3


def test_a_container_is_told_what_it_is_given_and_no_more(place):
    """Its arguments, directory and variables are its own; what the import set is there as after an import."""
    code = (
        "print(sys.argv[1][:5], os.getcwd(), sys.path[0])\n"
        "print(sorted(name for name in os.environ if 'OWN' in name or 'SET' in name))"
    )

    async def story():
        await place.run("pass", OWN_SECRET="s3cret")
        await place.run(code, OWN_NAME="b")

    asyncio.run(story())
    assert place.said(2) == [f"print {place.folder}/work2 {place.folder}/work2", "['OWN_NAME', 'SET_BY_IMPORT']"]


def test_a_container_is_found_by_its_command_line(place):
    """`ps` shows what was asked for, not what it was forked from."""

    async def story():
        process = await place.start("time.sleep(60)")
        shown = command_line_of(process.pid, until="program")
        process.kill()
        await process.wait()
        return shown

    assert asyncio.run(story())[1:] == ["-m", "program", "time.sleep(60)"]


def test_what_is_a_containers_own_never_reaches_the_process_that_it_is_forked_from(place):
    """A secret stands in the container's environment alone."""

    async def story():
        process = await place.start("time.sleep(60)", OWN_SECRET="s3cret")
        environment = environment_of(place.imports()[0])
        process.kill()
        await process.wait()
        return environment

    environment = asyncio.run(story())
    assert b"IMPORTS" in environment
    assert b"s3cret" not in environment


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("pass", 0, id="success"),
        pytest.param("sys.exit(3)", 3, id="failure"),
        pytest.param("sys.exit('why')", 1, id="reason"),
        pytest.param("raise ValueError", 1, id="exception"),
        pytest.param("os.kill(os.getpid(), 9)", 137, id="killed"),
        pytest.param("os.kill(os.getpid(), 15)", 143, id="terminated"),
    ],
)
def test_exit_codes_are_those_of_a_program(place, code, expected):
    """Leaving ends as it does in a program that was started by itself."""
    assert asyncio.run(place.run(code)) == expected


def test_what_is_to_be_done_at_the_end_is_done(place):
    """Functions for the exit run, threads are waited for, and what was written is flushed."""
    code = (
        "import atexit, threading\natexit.register(print, 'exit')\n"
        "threading.Thread(target=lambda: (time.sleep(0.05), sys.stdout.write('thread\\n'))).start()"
    )
    assert asyncio.run(place.run(code)) == 0
    assert place.said(1) == ["thread", "exit"]


def test_chance_is_not_shared(place):
    """Two forks draw other numbers, although both have the generators that were imported."""
    (place.folder / "early.py").write_text(f"import random, numpy.random\n{EARLY}")

    async def story():
        for _ in range(2):
            await place.run("import numpy; print(random.random(), numpy.random.rand())", OMP_NUM_THREADS="1")

    asyncio.run(story())
    assert len(place.imports()) == 1
    (first,), (second,) = place.said(1), place.said(2)
    assert not set(first.split()) & set(second.split())


def test_another_variable_may_change_what_is_imported(place):
    """A container with another value for it is forked from another process, up to a number of those."""

    async def story():
        codes = [await place.run("print(os.environ['OTHER'])", OTHER=str(n)) for n in range(MOST_SERVERS + 2)]
        return set(codes), [place.said(n + 1) for n in range(MOST_SERVERS + 2)]

    assert asyncio.run(story()) == ({0}, [[str(n)] for n in range(MOST_SERVERS + 2)])
    assert len(set(place.imports())) == MOST_SERVERS + 2


@pytest.mark.parametrize(
    "early",
    [
        pytest.param(
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
            id="threads",
        ),
        pytest.param("import sys\nif 'forkserver' in sys.argv[0]: raise ImportError('no')", id="cannot-be-imported"),
    ],
)  # fmt: skip
def test_what_cannot_be_forked_starts_as_ever(place, early):
    """The container notices nothing."""
    (place.folder / "early.py").write_text(f"import os\n{early}\n")
    (place.folder / "imports").write_text("none")
    assert asyncio.run(place.run("sys.exit(4)")) == 4


def test_elsewhere_than_on_linux_containers_start_as_ever(place):
    """Nothing is forked there."""
    place.runtime = WarmRuntime(linux=False)

    async def story():
        for _ in range(2):
            await place.run("pass")

    asyncio.run(story())
    assert len(set(place.imports())) == 2


def test_sigterm_and_its_grace(place, gone_within):
    """A container that ignores SIGTERM is killed when the grace is over, with what it started."""
    code = (
        "import signal, subprocess\nsignal.signal(15, signal.SIG_IGN)\n"
        "print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)\ntime.sleep(60)"
    )

    async def story():
        process = await place.start(code)
        while not (place.folder / "log1").exists() or not place.said(1):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        process.stop(0.2)
        return await process.wait(), process.pid

    code, pid = asyncio.run(story())
    assert code == 137
    assert gone_within([pid, int(place.said(1)[0])], SOON)


def test_containers_outlive_the_process_that_they_are_forked_from(place, gone_within):
    """It may be killed: what runs goes on, and the next one starts too."""

    async def story():
        process = await place.start("time.sleep(0.5); sys.exit(5)")
        server = int(place.imports()[0])
        os.kill(server, signal.SIGKILL)
        assert gone_within([server], SOON)
        return [await place.run("sys.exit(6)"), await place.run("sys.exit(7)"), await process.wait()]

    assert asyncio.run(story()) == [6, 7, 5]


def test_nothing_survives_the_death_of_the_owner(tmp_path, gone_within):
    """Neither the containers nor the process that they are forked from."""
    (tmp_path / "early.py").write_text(EARLY)
    (tmp_path / "program.py").write_text(PROGRAM)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, env={**os.environ, "OWNED": str(tmp_path)}
    )
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(pids) == 3
    assert not any(gone_within([pid], 0) for pid in pids)
    owner.kill()
    owner.wait()
    assert gone_within(pids, SOON)


OWNER = """
import asyncio, os, sys
from pathlib import Path
from controlplane.localcloud.kubelet.process import Command, Warmth
from controlplane.localcloud.kubelet.warm import WarmRuntime
folder = Path(sys.argv[1])
env = {**os.environ, "PYTHONPATH": str(folder), "IMPORTS": str(folder / "imports")}
def command(n):
    argv = [sys.executable, "-m", "program", "import signal; signal.signal(15, signal.SIG_IGN); time.sleep(60)"]
    return Command(argv, env, folder, folder / f"log{n}", Warmth("early"))
async def main():
    runtime = WarmRuntime()
    containers = [await runtime.start(command(n)) for n in range(2)]
    print(*(folder / "imports").read_text().split(), *(each.pid for each in containers), flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
