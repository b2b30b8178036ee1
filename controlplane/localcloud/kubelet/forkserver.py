"""The parent of an image's containers where starting each from nothing would cost more than the container does.

Importing torch and diffusers takes many seconds of computing and half a gigabyte for each Pod. Here it is done once, in
a process of its own; a container is then a fork of it, which starts at once and shares that memory. It remains what it
is elsewhere: a process below a shim of its own, with its own session, environment, directory, log and end.

A program of its own, not a module of the daemon: `python -P forkserver.py SOCKET MODULE ROOM`, with the image's
environment; in the place of ROOM the command line of a container is shown to `ps`. It imports MODULE, says `ready` on
the socket, and then forks a shim for every order: a JSON object (argv, env, directory, log, orphan_seconds) with two
descriptors, the shim's standard input and output. When the owner's end of the socket is closed, it ends; the shims live
on until their own orders end too.

Forking is sound for a process with one thread alone, so a MODULE that starts threads is refused.
"""

import ctypes
import gc
import importlib
import importlib.util
import json
import os
import runpy
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from controlplane.localcloud.kubelet import shim
else:
    _spec = importlib.util.spec_from_file_location("_shim", Path(__file__).with_name("shim.py"))
    shim = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(shim)

LARGEST_ORDER_BYTES = 1024 * 1024
THREADS = 3
"""The exit code that says that the module started threads."""


def prepare(module: str) -> dict[str, str]:
    """Import the module; gives the variables that importing it set. Ends the process where it left threads behind."""
    before = dict(os.environ)
    importlib.import_module(module)
    tasks = Path("/proc/self/task")
    if tasks.is_dir() and len(list(tasks.iterdir())) > 1:
        sys.stderr.write(f"{module} starts threads when it is imported: its containers cannot be forked\n")
        sys.exit(THREADS)
    gc.collect()
    gc.freeze()  # what is never collected is not written to either, and so stays shared
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def serve(orders: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Fork for every order; gives the order in the fork, and None here when the owner is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects the shims
    orders.send(b"ready")
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, LARGEST_ORDER_BYTES, 2)
        if not data:
            return None
        if os.fork() == 0:
            return json.loads(data), descriptors
        for descriptor in descriptors:
            os.close(descriptor)


def hold(order: dict[str, Any], descriptors: list[int]) -> int:
    """Be the shim of one container until it has ended; raises Replaced in the container's own process."""
    os.setsid()
    show(["shim", order["log"]])
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor, place in zip([*descriptors, null], (0, 1, 2), strict=True):
        os.dup2(descriptor, place)
        os.close(descriptor)
    log = shim.Log(order["log"])
    return shim.Shim(log, order["orphan_seconds"], become).run(order["argv"], order["directory"])


def become(_argv: list[str]) -> NoReturn:
    """Go on as the container's program: nothing of the shim's is left open, and its frames are left."""
    os.closerange(3, 1024)
    raise shim.Replaced


def show(argv: list[str]) -> None:
    """Let the system tell these arguments as this process's own, as far as there is room (proc(5), arg_start)."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if not 0 < start < end:  # kernels may keep it to themselves
        return
    words = b"\0".join(map(os.fsencode, argv))[: end - start - 1]
    ctypes.memmove(start, words.ljust(end - start, b"\0"), end - start)


def run(argv: list[str], env: dict[str, str]) -> None:
    """Do what `python -m MODULE ARGUMENTS` does after Python itself has started."""
    os.environ.clear()
    os.environ.update(env)
    if generator := sys.modules.get("numpy.random"):  # its state was copied; Python's own generator sees to itself
        generator.seed()
    show(argv)
    sys.argv, sys.orig_argv = argv[2:], argv
    sys.path.insert(0, str(Path.cwd()))
    runpy.run_module(argv[2], run_name="__main__", alter_sys=True)


def main() -> None:
    """Serve until the owner is gone; in a fork, be a shim and then a container."""
    shim.prctl(shim.PR_SET_PDEATHSIG, signal.SIGKILL)
    orders = socket.socket(fileno=int(sys.argv[1]))
    added = prepare(sys.argv[2])
    accepted = serve(orders)
    if accepted is None:
        return
    orders.close()
    order, descriptors = accepted
    try:
        code = hold(order, descriptors)
    except shim.Replaced:
        pass
    else:
        os._exit(code)
    run(order["argv"], {**added, **order["env"]})


if __name__ == "__main__":
    main()
