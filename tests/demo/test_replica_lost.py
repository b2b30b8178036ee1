"""A replica dies while pictures are drawn, and every one of them is drawn all the same."""

import os
import signal
import threading
from pathlib import Path

import pytest
import yaml

from controlplane.bench.world import KEY, small, world
from controlplane.clock import SystemClock
from controlplane.demo.drawing import Painter, Picture, Wish
from controlplane.demo.painting import PROMPTS
from controlplane.demo.play import SERVICE

REQUESTS, CLIENTS, KILL_AFTER = 36, 6, 9


def service() -> dict:
    """Give the demonstration's service with three replicas side by side, so that all three are asked."""
    manifest = yaml.safe_load(SERVICE.read_text(encoding="utf-8"))
    manifest["spec"] |= {"replicas": 3, "spread": {"maxReplicasPerRegion": 3}}
    return manifest


def replicas(state_dir: Path) -> list[int]:
    """Give the process ids of the web UIs that this local cloud's Pods run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            inside = (entry / "cwd").readlink().is_relative_to(state_dir)
        except OSError:
            continue
        if b"webui_image" in words and b"serve" in words and inside and b"-I" not in words:
            found.append(int(entry.name))
    return found


@pytest.mark.e2e
@pytest.mark.timeout(1200)
def test_every_picture_comes_although_one_replica_of_three_is_killed() -> None:
    """Requests through both APIs and the load balancer, SIGKILL to one replica of three: as many pictures."""
    clock = SystemClock()
    with world(clock, small()) as cloud:
        cloud.app.apply([service()])
        address = cloud.until_serving(1, seconds=400)
        wishes = iter([Wish(PROMPTS[n % len(PROMPTS)], seed=n, streamed=n % 2 == 0) for n in range(REQUESTS)])
        pictures: list[Picture] = []
        failures: list[Exception] = []
        enough, lock = threading.Event(), threading.Lock()

        def client() -> None:
            painter = Painter(address, clock)
            while True:
                with lock:
                    wish = next(wishes, None)
                if wish is None:
                    return
                try:
                    picture = painter.draw(wish)
                except Exception as error:  # whatever it is, the test must tell it
                    failures.append(error)
                else:
                    pictures.append(picture)
                if len(pictures) >= KILL_AFTER:
                    enough.set()

        threads = [threading.Thread(target=client, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        assert enough.wait(300)
        running = replicas(cloud.state_dir)
        assert len(running) == 3
        os.kill(running[0], signal.SIGKILL)
        for thread in threads:
            thread.join(400)
        assert failures == []
        assert sorted(picture.wish.seed for picture in pictures) == list(range(REQUESTS))
        assert cloud.app.services(*KEY)
