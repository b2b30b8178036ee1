"""The controllers of one cluster: what kube-controller-manager does, as far as the local cloud needs it."""

from controlplane.localcloud.apiserver.api import Api
from controlplane.localcloud.apiserver.schema.types import builtin_types
from controlplane.localcloud.clock import Clock
from controlplane.localcloud.controllers.catalogue import UNTRACKED, Catalogue, builtin_kinds
from controlplane.localcloud.controllers.cronjob import CronJobController
from controlplane.localcloud.controllers.deployment import DeploymentController
from controlplane.localcloud.controllers.disruption import DisruptionController
from controlplane.localcloud.controllers.events import EventExpiry, EventRecorder
from controlplane.localcloud.controllers.eviction import PodCollector, TaintEviction
from controlplane.localcloud.controllers.garbage import GarbageCollector
from controlplane.localcloud.controllers.horizontal import HorizontalController, NoMetrics, PodMetrics
from controlplane.localcloud.controllers.informer import Informer
from controlplane.localcloud.controllers.job import JobController
from controlplane.localcloud.controllers.namespaces import NamespaceController, NamespaceDefaults
from controlplane.localcloud.controllers.nodelifecycle import NodeLifecycle
from controlplane.localcloud.controllers.replicaset import ReplicaSetController
from controlplane.localcloud.controllers.runtime import Controller, Runner
from controlplane.localcloud.controllers.services import EndpointsController

__all__ = ["Controller", "EventRecorder", "Runner", "build_controllers"]


def build_controllers(
    api: Api,
    clock: Clock,
    *,
    ca_pem: str = "",
    node_grace_seconds: float = 40.0,
    orphan_quarantine_seconds: float = 5.0,
    metrics: PodMetrics | None = None,
) -> list[Runner]:
    """Give everything that has to run beside one API server.

    `ca_pem` is the certificate authority that Pods find in `kube-root-ca.crt`; a kubelet silent for longer than
    `node_grace_seconds` makes its node unreachable; Pods of a node that is gone for `orphan_quarantine_seconds` go too.
    `metrics` knows what Pods use; without it there is no metrics server.
    """
    informer = Informer(api, Catalogue(builtin_kinds(builtin_types())), untracked=UNTRACKED)

    def recorder(component: str) -> EventRecorder:
        return EventRecorder(api, clock, component)

    return [
        informer,
        DeploymentController(informer, clock, recorder("deployment-controller")),
        ReplicaSetController(informer, clock, recorder("replicaset-controller")),
        JobController(informer, clock, recorder("job-controller")),
        CronJobController(informer, clock, recorder("cronjob-controller")),
        HorizontalController(informer, clock, recorder("horizontal-pod-autoscaler"), metrics or NoMetrics()),
        EndpointsController(informer, clock),
        GarbageCollector(informer, clock),
        NamespaceController(informer, clock),
        NamespaceDefaults(informer, clock, ca_pem=ca_pem),
        DisruptionController(informer, clock, recorder("controllermanager")),
        NodeLifecycle(informer, clock, recorder("node-controller"), grace_seconds=node_grace_seconds),
        TaintEviction(informer, clock, recorder("taint-eviction-controller")),
        PodCollector(informer, clock, quarantine_seconds=orphan_quarantine_seconds),
        EventExpiry(api, clock),
    ]
