"""One cluster's API server: the core, its in-process API, and its HTTP face with the faults that were asked for."""

from pathlib import Path

from controlplane.localcloud.apiserver.api import AdmissionHook, Api
from controlplane.localcloud.apiserver.bootstrap import server_endpoints
from controlplane.localcloud.apiserver.core import Administers, Authenticate, Core
from controlplane.localcloud.apiserver.http import HttpFace
from controlplane.localcloud.apiserver.local import LocalApi
from controlplane.localcloud.apiserver.logs import LogSource
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.faults import AsgiApp, FaultBook, with_faults


class ApiServer:
    """What the daemon starts once per cluster."""

    def __init__(
        self,
        cluster: str,
        *,
        clock: Clock,
        database: Path | None,
        authenticate: Authenticate,
        faults: FaultBook,
        administers: Administers = lambda _: True,
    ) -> None:
        self.core = Core(cluster, clock, database, authenticate, administers)
        self.api: Api = LocalApi(cluster, self.core)
        self._face = HttpFace(self.core, faults, cluster)
        self.app: AsgiApp = with_faults(self._face, faults, cluster, clock)

    def add_admission(self, hook: AdmissionHook, *, validating: bool = False) -> None:
        """Have a hook change objects before they are valid, or refuse them after."""
        self.core.admission.add(hook, validating=validating)

    def add_pod_log_source(self, source: LogSource) -> None:
        """Say where the logs of Pods come from."""
        self._face.log_source = source

    def announce(self, host: str, port: int) -> None:
        """Write where the Service `default/kubernetes` leads."""
        for resource, namespace, body in server_endpoints(host, port):
            present = self.api.find(resource, body["metadata"]["name"], namespace)
            if present is None:
                self.api.create(resource, body, namespace, user="system:apiserver")
            else:
                self.api.update(resource, {**present, **body, "metadata": present["metadata"]}, user="system:apiserver")

    def restrict(self, user: str) -> None:
        """Have this user's rights come from RBAC alone, so that 403s are real."""
        self.core.authorizer.restrict(user)

    def close(self) -> None:
        """Write what is pending and end every watch."""
        self._face.close()
        self.core.journal.close()
