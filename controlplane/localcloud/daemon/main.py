"""The daemon: one process that is the local cloud. Started detached by `control.up`; ends on SIGTERM.

Its life is tied to a lock on a file, which the kernel lets go however the process ends. While it starts, it reports
over a pipe to whoever started it: progress, then `ready` or one line of error.
"""

import argparse
import asyncio
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
import signal
import sqlite3
from pathlib import Path
from typing import IO

from controlplane.localcloud.control.client import DaemonFiles
from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.daemon.pki import write_private
from controlplane.localcloud.daemon.state import StateDir, load_state

log = logging.getLogger("controlplane.localcloud.daemon")

STOP_SECONDS = 8.0
MOST_FILES = 65536


class Report:
    """The pipe to whoever started the daemon; quiet once they have left."""

    def __init__(self, descriptor: int | None) -> None:
        self._pipe: IO[str] | None = None if descriptor is None else os.fdopen(descriptor, "w", encoding="utf-8")

    def say(self, word: str, text: str = "") -> None:
        """Send one line."""
        if self._pipe is not None:
            try:
                self._pipe.write(json.dumps([word, text]) + "\n")
                self._pipe.flush()
            except OSError:
                self._pipe = None

    def close(self) -> None:
        """Hang up."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.close()
            self._pipe = None


def take_lock(files: DaemonFiles) -> None:
    """Become the one daemon of this folder. The descriptor stays open: the lock ends with the process, not before."""
    descriptor = os.open(files.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise LocalCloudError(f"a local cloud is running in {files.folder} already") from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())


def choose_scenario(directory: StateDir, asked: Path | None) -> tuple[Path | None, str]:
    """Give the scenario file to use (None: the default one), and refuse to change the world of a living cloud."""
    state = load_state(directory)
    remedy = "; `gpuhunter local reset` starts afresh"
    if state is None:
        return asked, ""
    if asked is not None and str(asked.resolve()) != state.scenario:
        raise LocalCloudError(f"{directory.folder}: this local cloud was made from {state.scenario}{remedy}")
    path = Path(state.scenario)
    if not path.exists():
        raise LocalCloudError(f"{path}: the scenario of this local cloud is gone{remedy}")
    return path, state.scenario_digest


async def serve_cloud(files: DaemonFiles, scenario_file: Path | None, report: Report) -> None:
    """Run the local cloud until SIGTERM or SIGINT."""
    from controlplane.localcloud.daemon.admin import AdminApp
    from controlplane.localcloud.daemon.cloud import LocalCloud
    from controlplane.localcloud.daemon.commands import AdminCommands
    from controlplane.localcloud.scenario import load_scenario
    from controlplane.localcloud.serving import serve

    directory = StateDir(files.folder)
    path, digest = choose_scenario(directory, scenario_file)
    scenario = load_scenario(path)
    present = hashlib.sha256(scenario.path.read_bytes()).hexdigest()
    if digest and digest != present:
        text = f"{scenario.path}: the scenario has changed since this local cloud was made from it"
        raise LocalCloudError(f"{text}; `gpuhunter local reset` starts afresh")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    cloud = LocalCloud(directory, scenario, progress=lambda text: report.say("progress", text))
    cloud.state.scenario, cloud.state.scenario_digest = str(scenario.path.resolve()), present
    try:
        await cloud.start()
        token = secrets.token_urlsafe(32)
        write_private(files.token, token.encode())
        app = AdminApp(token, AdminCommands(cloud, pid=os.getpid()).table())
        admin = await serve(app, "127.0.0.1", 0, None, None)
        write_private(files.facts, json.dumps({"pid": os.getpid(), "admin_port": admin.port}).encode())
        log.info("ready")
        report.say("ready")
        report.close()
        await ended.wait()
        log.info("stopping")
        await admin.stop()
    finally:
        files.facts.unlink(missing_ok=True)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await cloud.stop()
        except TimeoutError:
            log.warning("parts of the local cloud did not end in time")


def raise_file_limit() -> None:
    """Ask for all the open files that the system allows: each watch, Pod and cluster needs some."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def known_error(error: BaseException) -> str | None:
    """Give the line for the user when the error is one that they can mend."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is missing; the local cloud needs `pip install 'gpu-hunter[local]'`"
    from controlplane.localcloud.kubelet import ImageMapError
    from controlplane.localcloud.loadbalancer import LoadBalancerError
    from controlplane.localcloud.scenario import ScenarioError

    if isinstance(error, LocalCloudError | ScenarioError | ImageMapError | LoadBalancerError):
        return str(error)
    if isinstance(error, sqlite3.DatabaseError):
        return f"a cluster's database is corrupted ({error}); `gpuhunter local reset` starts afresh"
    if isinstance(error, OSError) and error.errno is not None:
        return f"the local cloud cannot start: {error}"
    return None


def run(files: DaemonFiles, scenario: Path | None, report: Report) -> int:
    """Run the daemon to its end."""
    try:
        take_lock(files)
    except LocalCloudError:
        # Somebody else started one in the same moment; that one will do.
        report.say("running")
        return 0
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_cloud(files, scenario, report))
    except Exception as error:
        text = known_error(error)
        if text is None:
            log.exception("the local cloud failed")
        else:
            log.error("%s", text)  # noqa: TRY400 - the line says it all
        report.say("error", text or f"the local cloud failed: {error!r}; see {files.log}")
        return 1
    finally:
        report.close()
    return 0


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="controlplane.localcloud.daemon", description=__doc__)
    parser.add_argument("state_dir", type=Path)
    parser.add_argument("--scenario", type=Path)
    parser.add_argument("--report", type=int, help="file descriptor to report to")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    os.umask(0o077)
    raise_file_limit()
    return run(DaemonFiles(options.state_dir.resolve()), options.scenario, Report(options.report))
