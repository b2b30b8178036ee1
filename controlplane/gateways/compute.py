"""The compute API's clients, built by the first call that needs one: importing them takes over a second."""

import threading
from typing import Any

from controlplane.gateways.access import GoogleAccess


class ComputeClients:
    """The compute API's clients, built when first used."""

    def __init__(self, access: GoogleAccess) -> None:
        self.access = access
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Any:
        """Give the client of this class name."""
        self.access.token()
        with self._lock:
            if name not in self._clients:
                from google.cloud import compute_v1

                self._clients[name] = self.access.client("compute", getattr(compute_v1, name))
            return self._clients[name]

    @property
    def project(self) -> str:
        """The project's id."""
        return self.access.project.name
