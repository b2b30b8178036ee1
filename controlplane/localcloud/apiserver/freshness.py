"""A read that names a resourceVersion waits a moment for the server to get there, as on a real watch cache.

A client may ask one replica for what another one just told it, so "not yet" is not an error at once. Here there is one
server: only a version of another life of the cluster is ever waited for, and the answer comes after the same seconds.
"""

from controlplane.localcloud.apiserver.errors import too_large_resource_version
from controlplane.localcloud.apiserver.reads import parse_version
from controlplane.localcloud.apiserver.store import Store
from controlplane.localcloud.clock import Clock

PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.05


async def await_version(store: Store, clock: Clock, text: str) -> None:
    """Wait until the store has reached this resourceVersion; 504 where it does not."""
    version = parse_version(text)
    if version is None:
        return
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while version > store.rv:
        if clock.monotonic() >= deadline:
            raise too_large_resource_version(version, store.rv)
        await clock.sleep(_LOOK_SECONDS)
