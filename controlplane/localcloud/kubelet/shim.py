"""The parent of one container: starts it, writes its log, reports its end, and never outlives its own owner.

A program of its own, not a module of the daemon: `python -I -S shim.py LOG CWD ORPHAN_SECONDS ARGV...`. It imports as
little as it can because every container has one. The environment it is given is the container's.

The owner holds the other end of standard input. Lines on it are orders (`stop SECONDS`, `kill`); its end means that
the owner is dead, however it died, and then the container goes too: SIGTERM to the group, a short grace, SIGKILL.
Reports go to standard output: `started PID`, `failed TEXT`, `exited CODE`.

On Linux the shim is a subreaper, so that workers which left the container's session still become its children and can
be killed, and the container dies with the shim by the parent death signal. That signal is set between fork and exec in
this single-threaded process; done through a threaded parent it would follow the thread and not the process.
"""

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # without importing typing
    from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LARGEST_LOG_BYTES = 10 * 1024 * 1024
# How long output may still arrive from a pipe that someone outside the container keeps open.
DRAIN_SECONDS = 0.2


def seconds() -> float:
    """Give seconds that never go back; this process has no Clock."""
    return time.monotonic_ns() / 1e9


def prctl(option: int, value: int) -> None:
    """Set a property of this process; Linux only, silently nothing elsewhere."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def timestamp() -> str:
    """Give the present instant with nanoseconds, as container runtimes write it in logs."""
    whole, fraction = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{fraction:09d}Z"


def execute(argv: list[str]) -> None:
    """Become the container's program. Raises OSError."""
    os.execvp(argv[0], argv)  # noqa: S606 - the container's own program


class Replaced(BaseException):
    """The container's process goes on as its program without an exec: it has to leave the shim's frames."""


class Log:
    """The container's log in the runtime interface's format: `TIME STREAM F|P TEXT`, turned over at 10 MiB."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._file).st_size
        self._rest = {"stdout": b"", "stderr": b""}

    def feed(self, stream: str, data: bytes) -> None:
        """Write the whole lines of what came; keep the rest for later."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        if len(rest) > 16384:
            self._write(stream, "P", [rest])
            rest = b""
        self._rest[stream] = rest
        if lines:
            self._write(stream, "F", lines)

    def end(self, stream: str) -> None:
        """Write what is left of a stream that has ended."""
        if self._rest[stream]:
            self._write(stream, "F", [self._rest[stream]])
            self._rest[stream] = b""

    def _write(self, stream: str, tag: str, lines: list[bytes]) -> None:
        prefix = f"{timestamp()} {stream} {tag} ".encode()
        data = b"".join(prefix + line + b"\n" for line in lines)
        if self._size + len(data) > LARGEST_LOG_BYTES:
            self._turn_over()
        self._size += len(data)
        try:
            os.write(self._file, data)
        except OSError:
            return  # a full disk must not stop the container

    def _turn_over(self) -> None:
        os.close(self._file)
        os.replace(self._path, self._path + ".1")  # noqa: PTH105 - pathlib is not worth its memory here
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = 0


class Shim:
    """One container from fork to last report."""

    def __init__(self, log: Log, orphan_seconds: float, become: "Callable[[list[str]], None]" = execute) -> None:
        self._log = log
        self._orphan_seconds = orphan_seconds
        self._become = become
        self._pid = 0
        self._code: int | None = None
        self._kill_at: float | None = None
        self._orders = b""
        self._owner_alive = True

    def run(self, argv: list[str], directory: str) -> int:
        """Start the container, serve it until it has ended, and tell how it ended."""
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        failure = self._start(argv, directory, out_write, err_write)
        os.close(out_write)
        os.close(err_write)
        if failure:
            self._report(f"failed {failure}")
            return 1
        self._report(f"started {self._pid}")
        self._serve(wake_read, {out_read: "stdout", err_read: "stderr"})
        self._report(f"exited {self._code}")
        return 0

    def _start(self, argv: list[str], directory: str, out: int, err: int) -> str:
        """Fork and exec; give the reason when the program could not be started."""
        error_read, error_write = os.pipe()  # closed by a successful exec
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            replaced = False
            try:
                os.setsid()
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != parent:
                    os._exit(137)
                signal.set_wakeup_fd(-1)
                for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
                    signal.signal(number, signal.SIG_DFL)
                null = os.open(os.devnull, os.O_RDONLY)
                os.dup2(null, 0)
                os.dup2(out, 1)
                os.dup2(err, 2)
                os.chdir(directory)
                os.umask(0o022)  # as in a container; the daemon's own is stricter
                self._become(argv)
            except Replaced:
                replaced = True
                raise
            except OSError as error:
                os.write(error_write, f'exec: "{argv[0]}": {error.strerror}'.encode())
            finally:
                if not replaced:
                    os._exit(128)
        os.close(error_write)
        failure = os.read(error_read, 4096).decode("utf-8", "replace")
        os.close(error_read)
        if failure:
            os.waitpid(self._pid, 0)
        return failure

    def _serve(self, wake: int, streams: dict[int, str]) -> None:
        poll = select.poll()
        for number in (0, wake, *streams):
            poll.register(number, select.POLLIN)
        drain_until: float | None = None
        while True:
            now = seconds()
            if self._kill_at is not None and now >= self._kill_at:
                self._kill_everything()
                self._kill_at = None
            if drain_until is not None and (not streams or now >= drain_until):
                return
            deadlines = [at for at in (self._kill_at, drain_until) if at is not None]
            wait = max(0.0, min(deadlines) - now) * 1000 + 1 if deadlines else None
            for number, _ in poll.poll(wait):
                if number == 0:
                    if not self._read_orders():
                        poll.unregister(0)
                elif number == wake:
                    self._read_signals(wake)
                elif not self._copy(number, streams):
                    poll.unregister(number)
            if self._reap() and drain_until is None:
                drain_until = seconds() + DRAIN_SECONDS

    def _read_orders(self) -> bool:
        try:
            data = os.read(0, 4096)
        except OSError:
            data = b""
        if not data:
            self._owner_alive = False
            self._stop(self._orphan_seconds, group=True)
            return False
        *orders, self._orders = (self._orders + data).split(b"\n")
        for order in orders:
            word, _, value = order.decode().partition(" ")
            if word == "kill":
                self._kill_everything()
            elif word == "stop":
                self._stop(float(value or 0))
        return True

    def _read_signals(self, wake: int) -> None:
        if any(number != signal.SIGCHLD for number in os.read(wake, 4096)):
            self._stop(self._orphan_seconds, group=True)

    def _copy(self, number: int, streams: dict[int, str]) -> bool:
        data = os.read(number, 65536)
        if data:
            self._log.feed(streams[number], data)
            return True
        self._log.end(streams.pop(number))
        os.close(number)
        return False

    def _stop(self, grace: float, *, group: bool = False) -> None:
        """Ask the container to end; force it after the grace. A second, shorter grace wins over the first."""
        at = seconds() + grace
        self._kill_at = at if self._kill_at is None else min(at, self._kill_at)
        if self._code is None:
            self._signal(-self._pid if group else self._pid, signal.SIGTERM)

    def _reap(self) -> bool:
        """Collect the dead; when the main process is among them, nothing else of the container may live on."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return self._code is not None
            if pid == 0:
                break
            if pid == self._pid:
                self._code = os.waitstatus_to_exitcode(status)
                if self._code < 0:
                    self._code = 128 - self._code
        if self._code is not None:
            self._kill_everything()
        return False

    def _kill_everything(self) -> None:
        self._signal(-self._pid, signal.SIGKILL)
        for pid in self._descendants():
            self._signal(pid, signal.SIGKILL)

    def _descendants(self) -> list[int]:
        """Give all processes below this one, children of dead ones included, since those were handed to us."""
        if sys.platform != "linux":
            return []
        parents: dict[int, list[int]] = {}
        for entry in os.listdir("/proc"):  # noqa: PTH208 - pathlib is not worth its memory here
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123 - as above
                        parent = int(file.read().rpartition(b")")[2].split()[1])
                except (OSError, ValueError, IndexError):
                    continue
                parents.setdefault(parent, []).append(int(entry))
        found: list[int] = []
        level = [os.getpid()]
        while level:
            level = [child for parent in level for child in parents.get(parent, [])]
            found += level
        return found

    def _signal(self, pid: int, number: int) -> None:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def _report(self, line: str) -> None:
        if self._owner_alive:
            try:
                os.write(1, line.replace("\n", " ").encode() + b"\n")
            except OSError:
                self._owner_alive = False


def main() -> int:
    """Run one container as told by the arguments."""
    log, directory, orphan_seconds, *argv = sys.argv[1:]
    return Shim(Log(log), float(orphan_seconds)).run(argv, directory)


if __name__ == "__main__":
    sys.exit(main())
