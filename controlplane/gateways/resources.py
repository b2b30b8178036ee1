"""Where the kinds live that the reconciler reads and writes, as REST paths."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind at a Kubernetes API server."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, *, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """Give the path of the collection or of one object; segments are names that the API server has checked."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return (
            f"{root}{scope}/{self.plural}" + (f"/{name}" if name else "") + (f"/{subresource}" if subresource else "")
        )


DEPLOYMENTS = Resource("apps", "v1", "deployments")
AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers")
JOBS = Resource("batch", "v1", "jobs")
PODS = Resource("", "v1", "pods")
EVENTS = Resource("", "v1", "events")
NODES = Resource("", "v1", "nodes", namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
SERVICES = Resource("", "v1", "services")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies")
PRIORITY_CLASSES = Resource("scheduling.k8s.io", "v1", "priorityclasses", namespaced=False)
LEASES = Resource("coordination.k8s.io", "v1", "leases")
GPU_BATCHES = Resource("gpuhunter.dev", "v1alpha1", "gpubatches")
FLEETS = Resource("gpuhunter.dev", "v1alpha1", "fleets", namespaced=False)
GPU_SERVICES = Resource("gpuhunter.dev", "v1alpha1", "gpuservices")
CUSTOM_RESOURCE_DEFINITIONS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False)

RBAC = "rbac.authorization.k8s.io"
_BY_KIND = {
    ("apps/v1", "Deployment"): DEPLOYMENTS,
    ("autoscaling/v2", "HorizontalPodAutoscaler"): AUTOSCALERS,
    ("batch/v1", "Job"): JOBS,
    ("v1", "Service"): SERVICES,
    ("v1", "ServiceAccount"): SERVICE_ACCOUNTS,
    ("v1", "Namespace"): NAMESPACES,
    ("v1", "Event"): EVENTS,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): Resource(RBAC, "v1", "clusterroles", namespaced=False),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): Resource(
        RBAC, "v1", "clusterrolebindings", namespaced=False
    ),
    ("scheduling.k8s.io/v1", "PriorityClass"): PRIORITY_CLASSES,
    ("policy/v1", "PodDisruptionBudget"): DISRUPTION_BUDGETS,
    ("networking.k8s.io/v1", "NetworkPolicy"): NETWORK_POLICIES,
    ("gpuhunter.dev/v1alpha1", "GPUService"): GPU_SERVICES,
    ("gpuhunter.dev/v1alpha1", "GPUBatch"): GPU_BATCHES,
    ("gpuhunter.dev/v1alpha1", "Fleet"): FLEETS,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): CUSTOM_RESOURCE_DEFINITIONS,
    ("networking.gke.io/v1", "MultiClusterIngress"): Resource("networking.gke.io", "v1", "multiclusteringresses"),
    ("networking.gke.io/v1", "MultiClusterService"): Resource("networking.gke.io", "v1", "multiclusterservices"),
    ("networking.gke.io/v1beta1", "FrontendConfig"): Resource("networking.gke.io", "v1beta1", "frontendconfigs"),
    ("networking.gke.io/v1", "GCPGatewayPolicy"): Resource("networking.gke.io", "v1", "gcpgatewaypolicies"),
    ("cloud.google.com/v1", "BackendConfig"): Resource("cloud.google.com", "v1", "backendconfigs"),
    ("gateway.networking.k8s.io/v1", "Gateway"): Resource("gateway.networking.k8s.io", "v1", "gateways"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): Resource("gateway.networking.k8s.io", "v1", "httproutes"),
    ("networking.gke.io/v1", "GCPBackendPolicy"): Resource("networking.gke.io", "v1", "gcpbackendpolicies"),
    ("networking.gke.io/v1", "HealthCheckPolicy"): Resource("networking.gke.io", "v1", "healthcheckpolicies"),
    ("net.gke.io/v1", "ServiceExport"): Resource("net.gke.io", "v1", "serviceexports"),
}


def resource_of(manifest: Mapping[str, Any]) -> Resource:
    """Give where a manifest's kind lives. Raises KeyError for a kind the reconciler has no business with."""
    return _BY_KIND[manifest["apiVersion"], manifest["kind"]]
