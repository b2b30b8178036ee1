"""`python -m tests.soak.batches`: a batch over three regions, one of them lost and Pods preempted meanwhile.

The workers are the real ones, as processes of a local cloud. At the end every picture of the parameters file must stand
exactly once in the manifest, and as a whole file in the folder. Exit code 1 when one does not.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from controlplane.api.checking import API_VERSION
from controlplane.bench.world import small
from controlplane.clock import SystemClock
from controlplane.demo.stage import local_target
from controlplane.gateways.parameters import ParametersReader
from controlplane.localcloud import control
from controlplane.wiring import build, configure_logs
from tests.soak.outside import Outside

REGIONS = ("asia-southeast1", "europe-west4", "us-central1")
KINDS = ("nvidia-l4", "nvidia-tesla-t4")
NAME = "soak"


def main() -> int:
    """Run it."""
    options = _options()
    configure_logs(machine=False, verbose=False)
    folder = Path(options.dir or tempfile.mkdtemp(prefix="gpu-hunter-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    state = folder / "cloud"
    (folder / "scenario.yaml").write_text(yaml.safe_dump(_scenario()), encoding="utf-8")
    (folder / "soak.yaml").write_text(_parameters(options.pictures), encoding="utf-8")
    control.up(state, folder / "scenario.yaml")
    try:
        play = Play(state, folder, options)
        play.run()
    finally:
        control.reset(state)
    return _counted(folder / "out" / NAME, options.pictures, play)


class Play:
    """The batch, the harm done to it, and what was seen meanwhile."""

    def __init__(self, state: Path, folder: Path, options: argparse.Namespace) -> None:
        self.app, self.clock = build(local_target(state)), SystemClock()
        self.state, self.folder, self.options = state, folder, options
        self.outside = Outside(state)
        self.random = random.Random(options.seed)
        self.pods: set[str] = set()
        self.preempted: set[str] = set()
        self.lost, self.seconds = "", 0.0
        self.status: dict[str, Any] = {}

    def run(self) -> None:
        """Submit, harm, and make passes until it is over."""
        reader = ParametersReader()
        read = reader.read(reader.tray(self.folder.as_uri()), "soak.yaml")
        assert not isinstance(read, str), read
        name, _ = self.app.submit(self._template(), read, "soak.yaml")
        begun = self.clock.monotonic()
        while self.status.get("phase") not in ("Succeeded", "Failed"):
            self.seconds = self.clock.monotonic() - begun
            if self.seconds > self.options.minutes * 60:
                print("not over in time", flush=True)
                return
            self.app.run_pass(keep_lease=True)
            self.status = dict(self.app.batches("default", name)[0].get("status") or {})
            self._harm(len(list((self.folder / "out" / NAME).glob("*.png"))))
            self.clock.sleep(1.5)

    def _harm(self, done: int) -> None:
        running = self._running()
        self.pods |= running.keys()
        if done >= self.options.pictures:
            return
        if not self.lost and done >= self.options.pictures // 5 and running:
            self.lost = max(running.values())
            control.call(self.state, "region-down", region=self.lost, how="refuse")
            print(f"{self.seconds:.0f} s, {done} pictures: {self.lost} is lost", flush=True)
        due = len(self.preempted) < self.options.preempted * len(self.pods)
        left = sorted({region for region in running.values() if region != self.lost})
        if self.lost and due and left:
            region = self.random.choice(left)
            nodes = control.call(self.state, "preempt", region=region, count=1)["nodes"]
            self.preempted |= set(nodes)
            print(f"{self.seconds:.0f} s, {done} pictures: {nodes} preempted in {region}", flush=True)

    def _running(self) -> dict[str, str]:
        """Give the uids of the workers that run, each with its region."""
        found = {}
        for region in (region for region in REGIONS if region != self.lost):
            pods = self.outside.items(f"gpu-{region}", "/api/v1/namespaces/default/pods")
            for pod in pods:
                if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]:
                    found[str(pod["metadata"]["uid"])] = region
        return found

    def _template(self) -> dict[str, Any]:
        out = (self.folder / "out").as_uri()
        spec = {
            "parameters": f"{out}/parameters/",
            "output": out,
            "shardSize": self.options.shard_size,
            "parallelism": 3,
            "accelerators": [{"type": kind} for kind in KINDS],
            "capacityTypes": ["spot"],
            "worker": {
                "image": "gpu-hunter/sd-webui:1",
                "resources": {"cpu": "1", "memory": "2Gi", "ephemeral-storage": "10Gi"},
            },
        }
        metadata = {"name": "submitted", "namespace": "default"}
        return {"apiVersion": API_VERSION, "kind": "GPUBatch", "metadata": metadata, "spec": spec}


def _counted(out: Path, pictures: int, play: Play) -> int:
    """Count each picture in the manifest and in the folder; tell, and give the exit code."""
    try:
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        manifest = {"pictures": [], "state": "missing"}
    entries = [entry for entry in manifest["pictures"] if entry["status"] == "done"]
    times = Counter(entry["index"] for entry in entries)
    once = sum(times[index] == 1 for index in range(pictures))
    files = {entry["file"] for entry in entries}
    whole = sum(_whole(out / name) for name in files)
    regions = Counter(entry.get("region", "?") for entry in entries)
    good = once == len(entries) == whole == len(list(out.glob("[0-9]*.png"))) == pictures
    print(
        f"{pictures} pictures: {once} exactly once in the manifest ({manifest['state']}), {whole} whole files; "
        f"{play.seconds:.0f} s, {len(play.pods)} workers ran, {len(play.preempted)} preempted, {play.lost} lost; "
        f"by region {dict(regions)}; {play.status.get('phase')}, {play.status.get('done')}",
        flush=True,
    )
    return 0 if good and play.lost and play.status.get("phase") == "Succeeded" else 1


def _whole(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
    except OSError:
        return False
    return True


def _parameters(pictures: int) -> str:
    prompt = "a blue square on a white background"
    images = [{"prompt": prompt, "seed": 1, "count": pictures}]
    return yaml.safe_dump({"name": NAME, "defaults": {"size": "64x64", "steps": 8}, "images": images})


def _scenario() -> dict[str, Any]:
    scenario = small()
    scenario["clusters"] = [{"name": f"gpu-{r}", "location": r, "zones": [f"{r}-a"]} for r in REGIONS]
    scenario["stock"] = {f"{r}-a": {kind: {"spot": 1, "on-demand": 0} for kind in KINDS} for r in REGIONS}
    scenario["prices"] = {
        r: {kind: {"spot": 0.2 + n / 10, "on-demand": 0.6} for n, kind in enumerate(KINDS)} for r in REGIONS
    }
    scenario["advice"] = {}
    scenario["preempted_stock_returns"] = True
    scenario["delays"]["spot_grace"] = 2
    return scenario


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="which workers are preempted")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--shard-size", type=int, default=10)
    parser.add_argument("--preempted", type=float, default=0.3, help="share of the workers")
    parser.add_argument("--minutes", type=float, default=15, help="given up after so long")
    parser.add_argument("--dir", default="", help="where state and pictures are kept")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
