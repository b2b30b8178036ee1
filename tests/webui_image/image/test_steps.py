"""The image's own steps, followed in an empty folder: its code compiles and runs there, and writes nowhere else."""

import base64
import compileall
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

READY_SECONDS = 400


def environment(dockerfile, scratch: Path, **more: str) -> dict[str, str]:
    """Give the final stage's environment, its two folders moved below `scratch`, and no more than a container has."""
    image = {
        name: re.sub(r"^/(tmp|cache)", rf"{scratch}/\1", value)
        for name, value in dockerfile.final.env().items()
        if name not in {"LD_LIBRARY_PATH", "APP_VERSION"}
    }
    needed = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**needed, **image, "TMPDIR": f"{scratch}/tmp", "OMP_NUM_THREADS": "1", "TORCH_THREADS": "1", **more}


def as_user(dockerfile, image: Path) -> dict[str, object]:
    """Give how to run as the image's user, where tests run as root and that user may use this Python; else nothing."""
    if os.geteuid() != 0:
        return {}
    number = int(dockerfile.final.all("USER")[0].split(":")[0])
    options = {"user": number, "group": number, "extra_groups": []}
    try:
        done = subprocess.run([sys.executable, "-c", "import typer"], cwd=image, check=False, **options)
    except PermissionError:
        return {}
    return options if done.returncode == 0 else {}


@contextmanager
def serving(dockerfile, image: Path, scratch: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the image's entry point with its command, as its user, in its folder; give the process and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, *dockerfile.exec_form("ENTRYPOINT")[1:], *dockerfile.exec_form("CMD")]
    env = environment(dockerfile, scratch, PORT=str(port), **more)
    with subprocess.Popen(
        command,
        cwd=image / "app",
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **as_user(dockerfile, image),
    ) as process:
        try:
            yield process, port
        finally:
            process.kill()


def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=200)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_all_that_is_copied_compiles(image):
    """The code stage's compileall succeeds."""
    assert compileall.compile_dir(image / "app", quiet=1)


def test_the_entry_point_runs_from_what_is_copied(image, dockerfile, scratch):
    """The command line answers in a folder that holds nothing else of the project, with the image's environment."""
    where = "import sys, webui_image; sys.exit(not webui_image.__file__.startswith(sys.argv[1]))"
    options = {"cwd": image / "app", "env": environment(dockerfile, scratch)}
    subprocess.run([sys.executable, "-c", where, image / "app"], check=True, **options)
    command = [sys.executable, *dockerfile.exec_form("ENTRYPOINT")[1:], "--help"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout


def test_it_knows_its_version(image, dockerfile, scratch):
    """The image holds the code without its package's metadata, and tells the version it was built as."""
    script = (
        "import sys, importlib.metadata as m\n"
        "def version(name): raise m.PackageNotFoundError(name)\n"
        "m.version = version\n"
        "from webui_image.cli.app import run\n"
        "sys.exit(run(['--version']))"
    )
    options = {"cwd": image / "app", "env": environment(dockerfile, scratch, APP_VERSION="1.2.3")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, **options)
    assert done.stdout.strip() == "webui_image 1.2.3"


def test_it_is_not_open_to_all_unless_somebody_says_so(image, dockerfile, scratch):
    """As it comes, the image listens on every address and so refuses to serve without sign-in, in one line."""
    with serving(dockerfile, image, scratch) as (process, _):
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 64
    assert "ALLOW_ANONYMOUS" in output.strip().splitlines()[-1]


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_it_draws_writes_nowhere_and_heeds_sigterm(image, dockerfile, scratch):
    """As the image's user, with its own small model: ready, a picture, 0 on SIGTERM, no file of its own."""
    compileall.compile_dir(image / "app", quiet=1)
    before = files(image / "app")
    with serving(dockerfile, image, scratch, HOST="127.0.0.1", DRAIN_SECONDS="0.1") as (process, port):
        for _ in range(READY_SECONDS * 5):
            if ask(port, "GET", "/readyz")[0] == 200:
                break
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.2)
        body = {"prompt": "a red circle on a white background", "steps": 8, "width": 64, "height": 64, "seed": 1}
        status, answer = ask(port, "POST", "/sdapi/v1/txt2img", body)
        assert status == 200
        assert base64.b64decode(json.loads(answer)["images"][0]).startswith(b"\x89PNG")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=200) == 0, process.stdout.read()
    assert files(image / "app") == before
