"""The controllers of one cluster of the local cloud: what kube-controller-manager does, as far as this project uses it."""

from controlplane.localcloud.apiserver.api import Api
from controlplane.localcloud.apiserver.schema.types import builtin_types
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.catalogue import UNTRACKED, Catalogue, builtin_kinds
from controlplane.localcloud.controllers.deployment import DeploymentController
from controlplane.localcloud.controllers.events import EventExpiry, EventRecorder
from controlplane.localcloud.controllers.garbage import GarbageCollector
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.namespaces import NamespaceController, NamespaceDefaults
from controlplane.localcloud.controllers.replicaset import ReplicaSetController
from controlplane.localcloud.controllers.runtime import Controller, Runner
from controlplane.localcloud.controllers.services import EndpointsController

__all__ = ["Controller", "EventRecorder", "Runner", "build_controllers"]


def build_controllers(api: Api, clock: Clock, *, ca_pem: str = "") -> list[Runner]:
    """Give everything that has to run beside one API server; `ca_pem` is its certificate authority."""
    informer = Informer(api, Catalogue(builtin_kinds(builtin_types())), untracked=UNTRACKED)

    def recorder(component: str) -> EventRecorder:
        return EventRecorder(api, clock, component)

    return [
        informer,
        DeploymentController(informer, clock, recorder("deployment-controller")),
        ReplicaSetController(informer, clock, recorder("replicaset-controller")),
        EndpointsController(informer, clock),
        GarbageCollector(informer, clock),
        NamespaceController(informer, clock),
        NamespaceDefaults(informer, clock, ca_pem=ca_pem),
        EventExpiry(api, clock),
    ]
