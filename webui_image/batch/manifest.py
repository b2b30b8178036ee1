"""`manifest.json`: what became of each picture. Written whole each time, made again from the folder after a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from webui_image.batch.parameters import Batch, Picture
from webui_image.batch.written import Facts, write
from webui_image.clock import Clock

NAME = "manifest.json"
_LEAST_SECONDS = 1.0  # between two writings
_SHARE = 20  # writing takes at most this part of the time, however long the list


@dataclass(slots=True)
class Manifest:
    """Collects results and writes them, often enough and not too often."""

    folder: Path
    batch: Batch
    clock: Clock
    model: str = ""
    device: str = ""
    done: dict[int, Facts] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    stale: tuple[str, ...] = ()
    _started: str = ""
    _due: float = 0.0
    _digests: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = _stamp(self.clock)

    def digest(self, picture: Picture) -> str:
        """Give a picture's digest, computed once."""
        found = self._digests.get(picture.index)
        if found is None:
            found = self._digests[picture.index] = picture.digest(self.model)
        return found

    def finish(self, picture: Picture, facts: Facts) -> None:
        """Write a finished picture down."""
        self.done[picture.index] = facts
        self.failed.pop(picture.index, None)

    def fail(self, picture: Picture, reason: str) -> None:
        """Write down why there is no picture."""
        self.failed[picture.index] = reason

    @property
    def missing(self) -> int:
        """How many pictures are neither there nor known to fail."""
        return len(self.batch.pictures) - len(self.done) - len(self.failed.keys() - self.done.keys())

    def save_if_due(self) -> None:
        """Write the file if the last time is long enough ago."""
        if self.clock.monotonic() >= self._due:
            self.save("rendering")

    def save(self, state: str) -> None:
        """Write the file. `state`: rendering, complete, failed (some pictures) or interrupted."""
        before = self.clock.monotonic()
        text = json.dumps(self.as_dict(state), indent=1, ensure_ascii=False)
        write(self.folder / NAME, text.encode("utf-8", "replace"))
        now = self.clock.monotonic()
        self._due = now + max(_LEAST_SECONDS, _SHARE * (now - before))

    def as_dict(self, state: str) -> dict[str, Any]:
        """Give the manifest as data."""
        counts = {
            "asked": len(self.batch.pictures),
            "done": len(self.done),
            "failed": len(self.failed),
            "missing": self.missing,
        }
        return {
            "version": 1,
            "name": self.batch.name,
            "parameters": {"file": self.batch.file, "sha256": self.batch.sha256},
            "state": state,
            "started": self._started,
            "updated": _stamp(self.clock),
            "device": self.device,
            "counts": counts,
            "stale": list(self.stale),
            "pictures": [self._entry(picture) for picture in self.batch.pictures],
        }

    def _entry(self, picture: Picture) -> dict[str, Any]:
        generation = picture.generation
        entry: dict[str, Any] = {
            "index": picture.index,
            "file": picture.file_name,
            "status": "missing",
            "seed": generation.seed,
            "prompt": generation.prompt,
            "line": picture.line,
            "sha256": self.digest(picture),
        }
        facts = self.done.get(picture.index)
        if facts is not None:
            told = {"seconds": round(facts.seconds, 3), "model": facts.model, "model_hash": facts.model_hash}
            return entry | {"status": "done"} | told
        if picture.index in self.failed:
            return entry | {"status": "failed", "error": self.failed[picture.index]}
        return entry


def earlier_failures(folder: Path) -> Mapping[str, str]:
    """Give the reasons in the last run's manifest by digest; empty where there is none that can be read."""
    try:
        data = json.loads((folder / NAME).read_bytes())
        return {p["sha256"]: str(p["error"]) for p in data["pictures"] if p.get("status") == "failed"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _stamp(clock: Clock) -> str:
    return clock.now().isoformat(timespec="seconds").replace("+00:00", "Z")
