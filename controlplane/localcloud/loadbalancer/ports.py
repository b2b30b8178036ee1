"""Which port each address answers on, where all addresses are one loopback address.

Google gives every frontend an IP address of its own. Here they differ by port: the first one is the scenario's, the
others are the free ones after it, and each is kept for as long as what it was given to is programmed.
"""

from controlplane.localcloud.loadbalancer.envoy import any_free_port, port_is_free
from controlplane.localcloud.loadbalancer.errors import LoadBalancerError
from controlplane.localcloud.loadbalancer.state import State


class Ports:
    """The ports of what is programmed. first: where they begin; 0 takes any that are free."""

    def __init__(self, state: State, first: int) -> None:
        self._state, self._first = state, first
        if state.first_port != first:
            # The scenario names another port now: addresses follow it.
            state.first_port = first
            state.ports.clear()

    def check(self) -> None:
        """Find out whether the first port can be had; raises LoadBalancerError."""
        if self._first and not port_is_free(self._first):
            raise LoadBalancerError(
                f"port {self._first} on 127.0.0.1 is in use, and the load balancer needs it: stop what listens there, "
                "or set load_balancer.port in the scenario to another one (0 takes any that is free)"
            )

    def renew(self) -> None:
        """Give other ports to addresses whose old ones were taken by somebody while nothing ran."""
        self._state.ports = {key: port for key, port in self._state.ports.items() if port_is_free(port)}
        self._state.tls_ports = {key: port for key, port in self._state.tls_ports.items() if port_is_free(port)}
        self._assign()

    def follow(self) -> None:
        """Give ports to what is programmed now, and take them from what no longer is."""
        frontends = {ingress.ident: ingress.frontend for ingress in self._state.wanted.ingresses}
        self._state.ports = {ident: port for ident, port in self._state.ports.items() if ident in frontends}
        secure = {ident: port for ident, port in self._state.tls_ports.items() if frontends.get(ident)}
        self._state.tls_ports = secure
        self._assign()

    def _assign(self) -> None:
        for ingress in self._state.wanted.ingresses:
            if ingress.ident not in self._state.ports:
                self._state.ports[ingress.ident] = self._next()
            if ingress.frontend is not None and ingress.ident not in self._state.tls_ports:
                self._state.tls_ports[ingress.ident] = self._next()

    def _next(self) -> int:
        if self._first == 0:
            return any_free_port()
        used = {*self._state.ports.values(), *self._state.tls_ports.values()}
        return next(port for port in range(self._first, 65536) if port not in used and port_is_free(port))
