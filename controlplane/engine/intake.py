"""Files that were dropped into an inbox become batches, each once, whatever happens on the way.

An inbox is a GPUBatch whose `parameters` end in a slash: a folder. A file is taken in steps, each of which may be done
again: read and check it; put it, with all that it names, where nobody changes it; create its GPUBatch, whose name
follows from the content; mark the file as taken. Whoever is killed in between, or told of a file twice or never,
changes nothing of that: the next look at the folder finds what is not marked.
Which folders there are, and how marks and batches are called, is in `controlplane/model/inbox.py`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from controlplane.engine.fence import Fence
from controlplane.engine.outcome import Looked
from controlplane.engine.ports import BatchMaker, ParametersSource
from controlplane.gateways.errors import AlreadyExists
from controlplane.gateways.parameters import Parameters, Tray
from controlplane.model import naming
from controlplane.model.batch import BatchSpec
from controlplane.model.inbox import batch_name, mark, wanted

Json = dict[str, Any]


class Writes(Protocol):
    """What must hold before anything is written. Raises FenceLost."""

    def check(self, *, destructive: bool = False) -> None: ...


class Unfenced:
    """For who takes files without the lease: each step may be done twice, so nothing needs to keep others out."""

    def check(self, *, destructive: bool = False) -> None:
        """Let everything through."""


class Intake:
    """Takes files from inboxes."""

    def __init__(self, source: ParametersSource, batches: BatchMaker, fence: "Writes | Fence") -> None:
        self._source, self._batches, self._fence = source, batches, fence
        self._log = structlog.get_logger("intake")

    def look(self, inbox: BatchSpec, template: Json, *, only: str = "", write: bool = True) -> Looked:
        """Take every file that is not taken yet, or `only` one; without `write`, name them and leave them there.

        Raises GatewayError for a folder that cannot be reached.
        """
        tray = self._source.tray(inbox.parameters)
        files = {name: v for name, v in tray.versions().items() if wanted(name) and only in ("", name)}
        taken = tray.names("taken") if files else frozenset()
        fresh = {name: version for name, version in files.items() if mark(name, version) not in taken}
        made, rejected, waiting = [], [], []
        for name, version in sorted(fresh.items()):
            found, refused = self._take(inbox, template, tray, name, version) if write else ("", False)
            made += [found] if found else []
            rejected += [name] if refused else []
            waiting += [] if found or refused else [name]
        return Looked(tuple(made), tuple(rejected), len(files) - len(fresh), tuple(waiting))

    def submit(self, inbox: BatchSpec, template: Json, read: Parameters, name: str) -> tuple[str, bool]:
        """Make a batch of a file that is read already; give its name, and whether it is new.

        The same content into the same output is the same batch.
        """
        return self._begin(inbox, template, self._source.tray(inbox.parameters), name, read)

    def _take(self, inbox: BatchSpec, template: Json, tray: Tray, name: str, version: str) -> tuple[str, bool]:
        read = self._source.read(tray, name)
        if tray.versions().get(name) != version:
            self._log.info("a file changed while it was read; it is read again", file=name)
            return "", False
        self._fence.check()
        if isinstance(read, str):
            return "", self._reject(tray, name, version, read)
        batch, _ = self._begin(inbox, template, tray, name, read)
        self._fence.check()
        tray.publish(f"taken/{mark(name, version)}", f"{batch}\n".encode())
        return batch, False

    def _begin(self, inbox: BatchSpec, template: Json, tray: Tray, name: str, read: Parameters) -> tuple[str, bool]:
        """Put a file with all that it names where nobody changes it, then create its GPUBatch."""
        batch = name_of(read, inbox.output)
        for path, content in read.files.items():
            self._fence.check()
            tray.publish(f"batches/{batch}/{path}", content)
        self._fence.check()
        try:
            self._batches.create_batch(_child(inbox, template, batch, name, read))
        except AlreadyExists:
            self._log.info("the same file again", file=name, batch=batch)
            return batch, False
        return batch, True

    def _reject(self, tray: Tray, name: str, version: str, problems: str) -> bool:
        """Move what is wrong out of the way, with its report beside it; what came in its place meanwhile stays."""
        content = tray.read(name)
        if content is not None:
            tray.publish(f"rejected/{name}", content)
            tray.publish(f"rejected/{name}.txt", f"{problems}\n".encode())
            self._fence.check(destructive=True)
            tray.remove(name, version)
        self._log.warning("a parameters file was refused", file=name, detail=problems.splitlines()[0])
        return True


def name_of(read: Parameters, output: str) -> str:
    """Give the name of the GPUBatch of a file that was read."""
    return batch_name(read.name, read.digest, output)


def _child(inbox: BatchSpec, template: Mapping[str, Any], batch: str, name: str, read: Parameters) -> Json:
    """Give the GPUBatch of one file: what the inbox says of all of them, and what this one is."""
    return {
        "apiVersion": template["apiVersion"],
        "kind": template["kind"],
        "metadata": {
            "name": batch,
            "namespace": inbox.namespace,
            "labels": {naming.LABEL_MANAGED_BY: naming.FIELD_MANAGER, naming.LABEL_INBOX: inbox.name},
            "annotations": {
                naming.ANNOTATION_SOURCE: f"{inbox.parameters}{name}",
                naming.ANNOTATION_RESULTS: read.name,
            },
        },
        "spec": {
            **template["spec"],
            "parameters": f"{inbox.parameters}batches/{batch}/{name}",
            "pictures": read.pictures,
        },
    }
