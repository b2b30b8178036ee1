"""The shim with real processes: exit codes, signals, logs, and no survivors."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from controlplane.localcloud.kubelet.process import SHIM, Command, ShimRuntime, StartError


def command(folder, script):
    return Command(argv=["sh", "-c", script], env={"PATH": os.environ["PATH"]}, directory=folder, log=folder / "log")


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def read_pid(path):
    for _ in range(500):
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} was never written")


@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param("exit 0", 0, id="success"),
        pytest.param("exit 3", 3, id="failure"),
        pytest.param("kill -KILL $$", 137, id="killed"),
        pytest.param("kill -TERM $$", 143, id="terminated"),
        pytest.param("no-such-program-here", 127, id="not-found-by-the-shell"),
    ],
)
def test_exit_codes_are_those_of_a_container_runtime(tmp_path, script, code):
    """An exit gives its code, a signal 128 and its number."""

    async def story():
        process = await ShimRuntime().start(command(tmp_path, script))
        return await process.wait()

    assert asyncio.run(story()) == code


def test_a_program_that_does_not_exist_cannot_be_started(tmp_path):
    """The reason names the program."""

    async def story():
        await ShimRuntime().start(Command(["/no/such"], {}, tmp_path, tmp_path / "log"))

    with pytest.raises(StartError, match='exec: "/no/such": No such file'):
        asyncio.run(story())


def test_the_log_has_a_time_and_a_stream_on_each_line(tmp_path):
    """Both streams land in one file in the runtime's format, the last line without its end included."""

    async def story():
        process = await ShimRuntime().start(command(tmp_path, "echo one; echo two >&2; printf three"))
        await process.wait()

    asyncio.run(story())
    fields = [line.split(" ", 3) for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted((stream, tag, text) for _, stream, tag, text in fields) == [
        ("stderr", "F", "two"),
        ("stdout", "F", "one"),
        ("stdout", "F", "three"),
    ]
    assert all(len(time) == 30 and time.endswith("Z") for time, *_ in fields)


def test_a_stubborn_container_dies_after_exactly_its_grace(tmp_path):
    """A container that ignores SIGTERM is killed when the grace is over."""

    async def story():
        process = await ShimRuntime().start(command(tmp_path, "trap '' TERM; echo up; while :; do sleep 0.1; done"))
        while b"up" not in (tmp_path / "log").read_bytes():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        began = time.monotonic()
        process.stop(0.5)
        return await process.wait(), time.monotonic() - began

    code, seconds = asyncio.run(story())
    assert code == 137
    assert 0.45 < seconds < 2


def test_workers_that_left_the_session_die_with_their_container(tmp_path, gone_within):
    """A process that hid in a session of its own does not outlive the main process."""

    async def story():
        pid_file = f"{tmp_path}/pid"
        script = f"setsid sh -c 'echo $$ > {pid_file}; exec sleep 60' & while [ ! -s {pid_file} ]; do sleep 0.01; done"
        process = await ShimRuntime().start(command(tmp_path, script))
        pid = await read_pid(tmp_path / "pid")
        assert await process.wait() == 0
        return pid

    assert gone_within([asyncio.run(story())], 2)


def start_owner(folder, script):
    """Start a process that owns a shim through a pipe and does nothing else."""
    program = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-I', '-S', {str(SHIM)!r},\n"
        f"  {str(folder / 'log')!r}, {str(folder)!r}, '0.3',\n"
        f"  'sh', '-c', {script!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)\n"
        "time.sleep(60)\n"
    )
    return subprocess.Popen([sys.executable, "-c", program])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["sigkill", "sigterm"])
def test_nothing_survives_the_death_of_the_owner(tmp_path, number, gone_within):
    """When the owner dies, even a container that ignores SIGTERM and hides its worker is gone within a second."""
    script = (
        f"trap '' TERM; setsid sh -c \"trap '' TERM; echo \\$\\$ > {tmp_path}/worker; sleep 60; sleep 60\" & "
        f"echo $$ > {tmp_path}/main; while :; do sleep 1; done"
    )
    owner = start_owner(tmp_path, script)
    pids = [asyncio.run(read_pid(tmp_path / name)) for name in ("main", "worker")]
    owner.send_signal(number)
    owner.wait()
    assert gone_within(pids, 1.5)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent death signal is Linux's")
def test_a_container_dies_with_its_shim(tmp_path, gone_within):
    """SIGKILL to the shim takes the container with it, and the kubelet sees 137."""

    async def story():
        process = await ShimRuntime().start(command(tmp_path, "exec sleep 60"))
        os.kill(parent_of(process.pid), signal.SIGKILL)
        return process.pid, await process.wait()

    pid, code = asyncio.run(story())
    assert code == 137
    assert gone_within([pid], 1)
