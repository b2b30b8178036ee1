"""Runs one program that must not outlive its owner: `guard.py OWNER_PID PROGRAM ARGUMENT...`.

On Linux it asks the kernel for SIGKILL at the owner's death and becomes the program, so that it costs no memory. The
request is made here, in a process with one thread, rather than in the owner between fork and exec. Elsewhere it stays
as the program's parent and watches a pipe from the owner, which closes whatever way the owner dies. Standard library
only: it starts in some 20 ms.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Become, or watch over, the program."""
    owner, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # The owner may have died before the request was made.
        if os.getppid() != owner:
            return 1
        os.execv(program[0], program)  # noqa: S606 - no shell is wanted
    child = subprocess.Popen(program, stdin=subprocess.DEVNULL)

    def watch() -> None:
        while os.read(0, 1):
            pass
        child.kill()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    threading.Thread(target=watch, daemon=True).start()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
