"""Starting the daemon: detached, its first words over a pipe, and an honest line when it does not come up."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from controlplane.localcloud.control.client import DaemonFiles
from controlplane.localcloud.control.errors import LocalCloudError
from controlplane.localcloud.daemon.state import StateDir

LARGEST_LOG_BYTES = 10 * 1024 * 1024


def start_daemon(state_dir: Path, scenario: Path | None, progress: Callable[[str], None]) -> None:
    """Start the daemon and come back when it says that it is ready, or that another one is there already."""
    files = DaemonFiles(state_dir)
    try:
        if (found := StateDir(state_dir).occupied()) is not None:
            raise LocalCloudError(f"{state_dir / found}: belongs to no local cloud; choose another --state-dir")
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if files.log.exists() and files.log.stat().st_size > LARGEST_LOG_BYTES:
            files.log.replace(files.log.with_name("daemon.log.1"))
        log = os.open(files.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocalCloudError(f"{state_dir}: {error.strerror}; choose another --state-dir") from error
    reading, writing = os.pipe()
    arguments = [sys.executable, "-m", "controlplane.localcloud.daemon", str(state_dir), "--report", str(writing)]
    if scenario is not None:
        arguments += ["--scenario", str(scenario.resolve())]
    with os.fdopen(reading, encoding="utf-8") as report:
        try:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(writing,),
                cwd="/",
                env=_environment(),
            )
        finally:
            os.close(writing)
            os.close(log)
        for line in report:
            word, text = json.loads(line)
            if word in {"ready", "running"}:
                return
            if word == "error":
                process.wait()
                raise LocalCloudError(text)
            progress(text)
    code = process.wait()
    raise LocalCloudError(f"the local cloud ended with code {code} while starting: {_last_line(files.log)}")


def _environment() -> dict[str, str]:
    """Let the daemon find this very package, wherever it was started from, and keep gRPC out of its forks."""
    package = str(Path(__file__).resolve().parents[3])
    others = os.environ.get("PYTHONPATH")
    path = f"{package}{os.pathsep}{others}" if others else package
    return {**os.environ, "PYTHONPATH": path, "GRPC_ENABLE_FORK_SUPPORT": "0", "GRPC_VERBOSITY": "ERROR"}


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return f"{lines[-1]} (see {log})" if lines else f"see {log}"
