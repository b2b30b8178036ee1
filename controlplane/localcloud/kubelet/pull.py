"""Pulling images: the delay, the policy, the Events, and the back-off of what cannot be pulled."""

import asyncio
from collections.abc import Callable

from controlplane.localcloud.apiserver.api import Object
from controlplane.localcloud.kubelet.host import EventType, Machine, NodeState
from controlplane.localcloud.kubelet.images import parse_reference
from controlplane.localcloud.kubelet.record import ContainerRecord

FIRST_BACK_OFF_SECONDS = 10.0
LONGEST_BACK_OFF_SECONDS = 300.0


class Puller:
    """Gets one container's image onto its node."""

    def __init__(
        self,
        machine: Machine,
        node: NodeState,
        record: ContainerRecord,
        *,
        event: Callable[[EventType, str, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._node = node
        self._record = record
        self._event = event
        self._changed = changed

    async def pull(self, container: Object) -> None:
        """Return once the node has the image, however often that must be tried."""
        name = container["image"]
        tag = parse_reference(name).tag
        policy = container.get("imagePullPolicy") or ("Always" if tag == "latest" else "IfNotPresent")
        back_off = FIRST_BACK_OFF_SECONDS
        while True:
            if name in self._node.images and policy != "Always":
                self._event("Normal", "Pulled", f'Container image "{name}" already present on machine')
                return
            if policy == "Never":
                self._fail("ErrImageNeverPull", f'Container image "{name}" is not present with pull policy of Never')
            elif await self._try(name):
                return
            await self._wait(name, back_off)
            back_off = min(back_off * 2, LONGEST_BACK_OFF_SECONDS)

    async def _try(self, name: str) -> bool:
        self._event("Normal", "Pulling", f'Pulling image "{name}"')
        image = self._machine.images.find(name)
        if image is None:
            full = _canonical(name)
            text = (
                f'failed to pull and unpack image "{full}": failed to resolve reference "{full}": {full}: not found '
                "(the local cloud has no such image: see images.yaml)"
            )
            self._event("Warning", "Failed", f'Failed to pull image "{name}": rpc error: code = NotFound desc = {text}')
            self._fail("ErrImagePull", f"rpc error: code = NotFound desc = {text}")
            return False
        began = self._machine.clock.monotonic()
        async with self._node.pulls.setdefault(name, asyncio.Lock()):
            waited = self._machine.clock.monotonic() - began
            seconds = 0.0 if name in self._node.images else image.pull_seconds or 0.0
            if seconds > 0:
                await self._machine.clock.sleep(seconds)
            self._node.images.add(name)
        text = f'Successfully pulled image "{name}" in {seconds:.3g}s ({waited + seconds:.3g}s including waiting).'
        self._event("Normal", "Pulled", text)
        return True

    async def _wait(self, name: str, seconds: float) -> None:
        # The first failure stays visible for a moment, as between two syncs of a kubelet.
        await self._machine.clock.sleep(1.0)
        self._record.wait("ImagePullBackOff", f'Back-off pulling image "{name}"')
        self._event("Normal", "BackOff", f'Back-off pulling image "{name}"')
        self._event("Warning", "Failed", "Error: ImagePullBackOff")
        self._changed()
        await self._machine.clock.sleep(seconds - 1.0)

    def _fail(self, reason: str, message: str) -> None:
        self._record.wait(reason, message)
        self._event("Warning", "Failed", f"Error: {reason}")
        self._changed()


def _canonical(name: str) -> str:
    first = name.split("/", maxsplit=1)[0]
    if "/" not in name:
        name = f"docker.io/library/{name}"
    elif "." not in first and ":" not in first and first != "localhost":
        name = f"docker.io/{name}"
    return name if ":" in name.rsplit("/", maxsplit=1)[-1] else f"{name}:latest"
