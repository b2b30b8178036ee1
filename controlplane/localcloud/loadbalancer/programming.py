"""Programming Envoy: what is programmed, with its endpoints, certificates and guards, becomes Envoy's files."""

from collections.abc import Iterable

from controlplane.localcloud.loadbalancer import cloud_resources, edge, guards
from controlplane.localcloud.loadbalancer.edge import EdgeStore
from controlplane.localcloud.loadbalancer.envoy_config import Programmed, Tls, documents
from controlplane.localcloud.loadbalancer.proxy import Proxy
from controlplane.localcloud.loadbalancer.state import State
from controlplane.localcloud.loadbalancer.wanted import Backend, Ingress


class Programmer:
    """Writes Envoy's files. client_region: where all clients are, for whom near regions come first."""

    def __init__(self, proxy: Proxy, store: EdgeStore, *, client_region: str) -> None:
        self._proxy, self._edge, self._client_region = proxy, store, client_region

    def program(self, state: State, lingering: Iterable[Backend]) -> None:
        """Write what is programmed; lingering: backend services that stay although no route leads there."""
        wanted = state.wanted
        files = documents(
            [self._programmed(state, ingress) for ingress in wanted.ingresses],
            [*wanted.backends(), *lingering],
            cloud_resources.endpoints_of(wanted, state.members),
            directory=self._proxy.config_dir,
            access_log=self._proxy.access_log,
            client_region=self._client_region,
            guards={backend.name: self._guard(backend) for backend in wanted.backends()},
        )
        self._proxy.write(files)
        self._proxy.sweep(files)

    def _programmed(self, state: State, ingress: Ingress) -> Programmed:
        port, frontend = state.ports[ingress.ident], ingress.frontend
        if frontend is None:
            return Programmed(ingress, port)
        policy = self._edge.get(edge.SSL_POLICIES, frontend.ssl_policy) if frontend.ssl_policy else {}
        certificates = tuple(self._edge.certificate(name) for name in frontend.certificates)
        least = str(policy.get("minTlsVersion", "TLS_1_0"))
        return Programmed(ingress, port, Tls(state.tls_ports[ingress.ident], certificates, least))

    def _guard(self, backend: Backend) -> str:
        name = backend.security_policy
        policy = self._edge.get(edge.SECURITY_POLICIES, name) if name else None
        return guards.script(policy, backend.iap_client)
