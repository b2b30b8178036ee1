"""Builds the gateways for one Google Cloud project; `wiring` hands them to the engine."""

import threading
from dataclasses import astuple, dataclass

from controlplane.clock import Clock, SystemClock
from controlplane.gateways.access import GoogleAccess, Project
from controlplane.gateways.balancer import EndpointGroups, LoadBalancerHealth
from controlplane.gateways.cloudquotas import FamilyLimits
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.configcluster import ConfigCluster
from controlplane.gateways.fleet import Fleet
from controlplane.gateways.hub import Hub
from controlplane.gateways.kubeapi import KubernetesApi
from controlplane.gateways.members import Members
from controlplane.gateways.memberships import Memberships
from controlplane.gateways.provisioning import Provisioning
from controlplane.gateways.rest import Rest
from controlplane.gateways.retrying import Retrying
from controlplane.gateways.signals import ALL_TOGETHER, ComputeSignals
from controlplane.model.fleet import EndpointChoice
from controlplane.model.offering import ClusterRef


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to connect, for one answer, for a read with its retries, and for an answer that may be missing.

    signals: for all that is asked at once before anything is paid.
    """

    connect: float = 3.0
    answer: float = 6.0
    read: float = 8.0
    extra: float = 3.0
    signals: float = ALL_TOGETHER

    def times(self, factor: float) -> "Patience":
        """Give one that is so many times as long, in everything."""
        return Patience(*(factor * seconds for seconds in astuple(self)))


class ConfigConnection:
    """Finds the config cluster once and keeps its connection."""

    def __init__(self, fleet: Fleet, access: GoogleAccess, retrying: Retrying, patience: Patience) -> None:
        self._fleet, self._access, self._retrying, self._patience = fleet, access, retrying, patience
        self._opened: tuple[KubernetesApi, ConfigCluster] | None = None
        self._lock = threading.Lock()

    def api(self) -> KubernetesApi:
        """Give the config cluster's API server, for what the command line applies there."""
        return self._connection()[0]

    def open(self) -> ConfigCluster:
        """Give the config cluster. Raises ConfigurationProblem when there is none of that name."""
        return self._connection()[1]

    def _connection(self) -> tuple[KubernetesApi, ConfigCluster]:
        with self._lock:
            if self._opened is None:
                timeouts = (self._patience.connect, self._patience.answer)
                endpoint = self._fleet.config_endpoint()
                token, refused = self._access.token, self._access.refused
                api = KubernetesApi(endpoint, token, retrying=self._retrying, timeouts=timeouts, refused=refused)
                self._opened = (api, ConfigCluster(api))
            return self._opened


@dataclass(frozen=True, slots=True)
class GoogleCloud:
    """All gateways of one project."""

    access: GoogleAccess
    config: ConfigConnection
    fleet: Fleet
    hub: Hub
    members: Members
    signals: ComputeSignals
    health: LoadBalancerHealth
    provisioning: Provisioning
    memberships: Memberships
    groups: EndpointGroups


def google_cloud(
    project: Project,
    config: ClusterRef,
    *,
    clock: Clock | None = None,
    patience: Patience | None = None,
    choice: EndpointChoice = EndpointChoice.AUTO,
) -> GoogleCloud:
    """Build them. Nothing is imported or connected before the first call. choice: of the config cluster's endpoint."""
    clock, patience = clock or SystemClock(), patience or Patience()
    retrying = Retrying(patience=patience.read, clock=clock)
    access = GoogleAccess(project, clock)
    hub = Hub(access, clock, retrying, patience.answer)
    fleet = Fleet(access, config, hub, clock=clock, retrying=retrying, timeout=patience.answer, choice=choice)
    compute = ComputeClients(access)
    once = Retrying(attempts=1, clock=clock)
    quotas = Rest(access, retrying=once, timeouts=(patience.extra, patience.extra), clock=clock)
    return GoogleCloud(
        access=access,
        config=ConfigConnection(fleet, access, retrying, patience),
        fleet=fleet,
        hub=hub,
        members=Members(
            access.token,
            retrying=retrying,
            timeouts=(patience.connect, patience.answer),
            refused=access.refused,
        ),
        signals=ComputeSignals(
            compute,
            clock,
            retrying=retrying,
            timeout=patience.answer,
            families=FamilyLimits(quotas, clock),
            left=access.meter.left,
            within=patience.signals,
        ),
        health=LoadBalancerHealth(compute, clock, retrying=retrying, timeout=patience.answer),
        provisioning=Provisioning(access, retrying=retrying, timeout=patience.answer),
        memberships=Memberships(access, retrying=retrying, timeout=patience.answer),
        groups=EndpointGroups(compute, retrying=retrying, timeout=patience.answer),
    )
