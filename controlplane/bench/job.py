"""What the Cloud Run job weighs and how soon it works: its packages' size, and the time to its first API call."""

import importlib.metadata
import importlib.util
import json
import marshal
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import regional_deploy
from controlplane.bench.figures import Figure
from controlplane.clock import SystemClock
from controlplane.localcloud.metadata import MetadataServer
from regional_deploy.reconciler.slim import MODULES, UNUSED

CLOCK = SystemClock()
LOCK = Path(regional_deploy.__file__).parent / "reconciler" / "requirements.lock"
ROUNDS = 5
PATIENCE = 60.0
_LOADED = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(list(sys.modules)))
"""


def job() -> list[Figure]:
    """Weigh the packages of the image's lock as installed here, and start the job five times."""
    names, weight = locked(), 0
    for name in names:
        weight += _sources(importlib.metadata.distribution(name))
    weight += _compiled()
    seconds = statistics.median(first_call() for _ in range(ROUNDS))
    detail = f"{len(names)} packages, and the bytecode of what a pass imports"
    return [
        Figure("Cloud Run job: installed dependencies", weight / 1e6, 200, "MB", detail=detail),
        Figure("Cloud Run job: start to first API call", seconds, 1.5, "s", detail=f"median of {ROUNDS}"),
    ]


def locked() -> list[str]:
    """Give the packages that the image installs."""
    return re.findall(r"^([a-z0-9-]+)==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)


def _sources(found: importlib.metadata.Distribution) -> int:
    files = (str(file) for file in found.files or ())
    kept = (f for f in files if not f.endswith(".pyc") and not f.startswith(UNUSED))
    return sum(path.stat().st_size for file in kept if (path := Path(str(found.locate_file(file)))).exists())


def _compiled() -> int:
    """Give the size of the bytecode that the image's build leaves; it is made here where Python has kept none."""
    command = [sys.executable, "-c", _LOADED, *MODULES]
    loaded = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603
    size = 0
    for name in loaded:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            continue  # made at run time, by no file of its own
        if spec is not None and spec.origin and spec.origin.endswith(".py") and "site-packages" in spec.origin:
            size += len(marshal.dumps(compile(Path(spec.origin).read_bytes(), spec.origin, "exec"))) + 16
    return size


def first_call() -> float:
    """Start the job as Cloud Run does, with a metadata server, and time its first request to the GKE API."""
    with (
        socket.create_server(("127.0.0.1", 0)) as api,
        MetadataServer("p", "hunter@p.example", lambda: "t") as metadata,
    ):
        arrived: list[float] = []
        api.settimeout(PATIENCE)

        def listen() -> None:
            connection, _ = api.accept()
            with connection:
                connection.recv(65536)
                arrived.append(CLOCK.monotonic())
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        waiting = threading.Thread(target=listen, daemon=True)
        waiting.start()
        url = f"http://127.0.0.1:{api.getsockname()[1]}"
        begun = CLOCK.monotonic()
        subprocess.run(
            [sys.executable, "-m", "controlplane", "reconcile"],
            env=cloud_run(url, metadata), check=False, capture_output=True, timeout=PATIENCE,
        )  # fmt: skip
        waiting.join(PATIENCE)
    return arrived[0] - begun if arrived else float("inf")


def cloud_run(url: str, metadata: MetadataServer) -> dict[str, str]:
    """Give the environment of a Cloud Run job whose APIs are all at one address."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH") if name in os.environ}
    return {
        **kept,
        "HOME": "/nonexistent",
        "CLOUD_RUN_JOB": "gpu-hunter",
        "CLOUD_RUN_EXECUTION": "gpu-hunter-bench",
        "CLOUD_RUN_TASK_INDEX": "0",
        "CLOUD_RUN_TASK_ATTEMPT": "0",
        "GPUHUNTER_PROJECT": "p",
        "GPUHUNTER_CONFIG_CLUSTER": "us-west2/hunt-config",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER": url,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{url}/compute/v1/",
        **metadata.environment,
    }
