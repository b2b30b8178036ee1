"""Builds a Bootstrap for a project: its gateways, and the Kubernetes objects that clusters are given."""

import threading
from collections.abc import Callable

from controlplane.api.crd import definitions
from controlplane.bootstrap import source
from controlplane.bootstrap.blueprint import Documents
from controlplane.bootstrap.names import Names
from controlplane.bootstrap.ports import ClusterApi, Gateways
from controlplane.bootstrap.project import Bootstrap
from controlplane.bootstrap.run import Patience, Say
from controlplane.bootstrap.values import Json
from controlplane.clock import Clock
from controlplane.gateways.access import GoogleAccess, Project
from controlplane.gateways.administration import Administration
from controlplane.gateways.balancer import EndpointGroups
from controlplane.gateways.compute import ComputeClients
from controlplane.gateways.factory import google_cloud
from controlplane.gateways.fleetparts import FleetFeatures, GlobalAddresses
from controlplane.gateways.memberships import Memberships
from controlplane.gateways.provisioning import Provisioning
from controlplane.gateways.retrying import Retrying
from controlplane.model.fleet import EndpointChoice, FleetSpec
from controlplane.model.offering import ClusterRef
from regional_deploy.runner import rights

_CONNECT, _ANSWER, _READ = 5.0, 60.0, 90.0
"""Seconds: to connect, for an answer and for a read with its retries. A person waits, and creating takes its time."""


def documents(fleet: FleetSpec, fleet_object: Json) -> Documents:
    """Render what clusters are given. fleet_object: the Fleet as the user wrote it."""
    account = Names(fleet, "0", "none").account
    stored = {key: fleet_object[key] for key in ("apiVersion", "kind", "spec")}
    stored["metadata"] = {"name": fleet_object["metadata"]["name"]}
    return Documents(
        tuple(definitions()), (*rights("config-cluster", account), stored), tuple(rights("member", account))
    )


def bootstrap(
    project: Project, fleet: FleetSpec, fleet_object: Json, *, clock: Clock, say: Say, patience: Patience, tag: str = ""
) -> Bootstrap:
    """Build it. tag: of an image that is there already, empty for the one of this very code."""
    retrying = Retrying(patience=_READ, clock=clock)
    access = GoogleAccess(project, clock)
    compute = ComputeClients(access)
    gateways = Gateways(
        administration=Administration(access, retrying=retrying, timeouts=(_CONNECT, _ANSWER)),
        provisioning=Provisioning(access, retrying=retrying, timeout=_ANSWER),
        memberships=Memberships(access, retrying=retrying, timeout=_ANSWER),
        groups=EndpointGroups(compute, retrying=retrying, timeout=_ANSWER),
        features=FleetFeatures(access, retrying=retrying, timeout=_ANSWER),
        addresses=GlobalAddresses(access, compute, retrying=retrying, timeout=_ANSWER),
        connect=_Connections(project, fleet.endpoint, clock).open,
        source=source.archive,
    )
    return Bootstrap(fleet, documents(fleet, fleet_object), tag or source.tag(), gateways, clock, say, patience)


class _Connections:
    """One connection to each cluster's API server, as the passes make theirs to the config cluster."""

    def __init__(self, project: Project, choice: EndpointChoice, clock: Clock) -> None:
        self._project, self._choice, self._clock = project, choice, clock
        self._opened: dict[ClusterRef, Callable[[], ClusterApi]] = {}
        self._lock = threading.Lock()

    def open(self, ref: ClusterRef) -> ClusterApi:
        with self._lock:
            if ref not in self._opened:
                self._opened[ref] = google_cloud(self._project, ref, clock=self._clock, choice=self._choice).config.api
            opened = self._opened[ref]
        return opened()
