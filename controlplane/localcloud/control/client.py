"""Speaking to the daemon: is it there, where does it listen, ask it something."""

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlplane.localcloud.control.errors import LocalCloudError, RefusedError

if TYPE_CHECKING:
    from controlplane.localcloud.clock import BlockingClock

NOT_RUNNING = "the local cloud is not running; start it with `gpuhunter local up`"
ANSWER_SECONDS = 60.0
START_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class DaemonFiles:
    """What the daemon leaves in the state folder for its clients."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Locked for as long as the daemon lives, however it ends."""
        return self.folder / "daemon.lock"

    @property
    def facts(self) -> Path:
        """Process id and admin address, written when it is ready."""
        return self.folder / "daemon.json"

    @property
    def token(self) -> Path:
        """What the admin endpoint asks for; only the owner can read it."""
        return self.folder / "admin-token"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.folder / "daemon.log"

    def locked(self) -> bool:
        """Whether a daemon lives."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise LocalCloudError(f"{self.lock}: {error.strerror}; choose another --state-dir") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False

    def pid(self) -> int | None:
        """Give the process id that the lock's holder wrote into it."""
        with contextlib.suppress(OSError, ValueError):
            return int(self.lock.read_text())
        return None

    def ready(self) -> Mapping[str, Any] | None:
        """Give the facts of the living daemon once it is ready."""
        with contextlib.suppress(OSError, ValueError):
            facts: dict[str, Any] = json.loads(self.facts.read_text())
            if facts.get("pid") == self.pid():
                return facts
        return None

    def wait_unlocked(self, seconds: float, clock: "BlockingClock") -> bool:
        """Wait for the daemon's end; False when it still lives after so long."""
        end = clock.monotonic() + seconds
        while self.locked():
            if clock.monotonic() >= end:
                return False
            clock.pause(POLL_SECONDS)
        return True


def wait_for_daemon(files: DaemonFiles, clock: "BlockingClock") -> Mapping[str, Any]:
    """Wait until a daemon that somebody else is just starting is ready."""
    end = clock.monotonic() + START_SECONDS
    while (facts := files.ready()) is None:
        if not files.locked():
            raise LocalCloudError(NOT_RUNNING)
        if clock.monotonic() >= end:
            raise LocalCloudError(f"the local cloud has not become ready for {START_SECONDS:g} s; see {files.log}")
        clock.pause(POLL_SECONDS)
    return facts


def ask(files: DaemonFiles, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Send one command to the admin endpoint and give its answer."""
    facts = files.ready() if files.locked() else None
    if facts is None:
        raise LocalCloudError(NOT_RUNNING)
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection("127.0.0.1", facts["admin_port"], timeout=ANSWER_SECONDS)
    try:
        headers = {"Authorization": f"Bearer {files.token.read_text()}", "Content-Type": "application/json"}
        connection.request("POST", f"/v1/{command}", json.dumps(arguments), headers)
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise LocalCloudError(f"the local cloud does not answer ({error}); see {files.log}") from error
    finally:
        connection.close()
    if response.status == 400:
        raise RefusedError(str(answer.get("error")))
    if response.status != 200:
        raise LocalCloudError(str(answer.get("error") or f"the local cloud answered {response.status}"))
    return answer
