"""The permissions that exist here, and the predefined roles that grant them.

Google has some ten thousand permissions. Here are those of the APIs that the local cloud serves and of what a GPU
Hunter's neighbours need; a custom role that names another one is refused, as Google refuses one that does not exist.
Source: https://cloud.google.com/iam/docs/roles-permissions.
"""

from fnmatch import fnmatchcase
from functools import cache

_CRUD = "create delete get list update"
_POLICY = "getIamPolicy setIamPolicy"
_KINDS = {
    "artifactregistry.dockerimages": "get list",
    "artifactregistry.files": "delete get list",
    "artifactregistry.locations": "get list",
    "artifactregistry.packages": "delete get list update",
    "artifactregistry.repositories": f"{_CRUD} {_POLICY} deleteArtifacts downloadArtifacts readViaVirtualRepository "
    "uploadArtifacts",
    "artifactregistry.tags": _CRUD,
    "artifactregistry.versions": "delete get list",
    "cloudbuild.builds": "create get list update",
    "cloudbuild.operations": "get list",
    "cloudquotas.quotas": "get update",
    "cloudscheduler.jobs": f"{_CRUD} enable fullView pause run",
    "cloudscheduler.locations": "get list",
    "compute.acceleratorTypes": "get list",
    "compute.addresses": "create delete get list setLabels use",
    "compute.advice": "capacity capacityHistory",
    "compute.backendServices": f"{_CRUD} {_POLICY} use",
    "compute.forwardingRules": "create delete get list setLabels setTarget update use",
    "compute.globalAddresses": "create delete get list setLabels use",
    "compute.globalForwardingRules": "create delete get list setLabels setTarget update",
    "compute.globalOperations": "delete get list",
    "compute.healthChecks": f"{_CRUD} use useReadOnly",
    "compute.instances": "create delete get list",
    "compute.machineTypes": "get list",
    "compute.networkEndpointGroups": "attachNetworkEndpoints create delete detachNetworkEndpoints get list use",
    "compute.networks": f"{_CRUD} use",
    "compute.projects": "get setCommonInstanceMetadata",
    "compute.regionOperations": "delete get list",
    "compute.regions": "get list",
    "compute.securityPolicies": f"{_CRUD} use",
    "compute.sslCertificates": "create delete get list",
    "compute.sslPolicies": "create delete get list use",
    "compute.subnetworks": f"{_CRUD} use",
    "compute.targetHttpProxies": f"{_CRUD} use",
    "compute.targetHttpsProxies": f"{_CRUD} use",
    "compute.urlMaps": f"{_CRUD} use",
    "compute.zones": "get list",
    "container.clusters": f"{_CRUD} connect getCredentials impersonate",
    "container.clusterRoleBindings": _CRUD,
    "container.clusterRoles": f"{_CRUD} bind escalate",
    "container.customResourceDefinitions": _CRUD,
    "container.deployments": _CRUD,
    "container.namespaces": _CRUD,
    "container.operations": "get list",
    "container.pods": _CRUD,
    "container.services": _CRUD,
    "gkehub.features": f"{_CRUD} {_POLICY}",
    "gkehub.fleet": "create delete get update",
    "gkehub.gateway": "delete generateCredentials get patch post put stream",
    "gkehub.locations": "get list",
    "gkehub.memberships": f"{_CRUD} {_POLICY} generateConnectManifest",
    "gkehub.operations": "cancel delete get list",
    "iam.roles": f"{_CRUD} undelete",
    "iam.serviceAccountKeys": "create delete disable enable get list",
    "iam.serviceAccounts": f"{_CRUD} {_POLICY} actAs disable enable getAccessToken getOpenIdToken "
    "implicitDelegation signBlob signJwt undelete",
    "logging.logEntries": "create list route",
    "monitoring.metricDescriptors": "create delete get list",
    "monitoring.timeSeries": "create list",
    "resourcemanager.projects": f"{_POLICY} get list update",
    "run.executions": "cancel delete get list",
    "run.jobs": f"{_CRUD} {_POLICY} run runWithOverrides",
    "run.locations": "list",
    "run.operations": "delete get list",
    "run.routes": "get invoke list",
    "run.services": f"{_CRUD} {_POLICY}",
    "run.tasks": "get list",
    "secretmanager.versions": "access",
    "serviceusage.quotas": "get update",
    "serviceusage.services": "disable enable get list use",
    "storage.buckets": f"{_CRUD} {_POLICY}",
    "storage.objects": _CRUD,
}
PERMISSIONS = frozenset(f"{kind}.{verb}" for kind, verbs in _KINDS.items() for verb in verbs.split())
# Basic roles read this much and no more; an editor changes everything but who may do what.
_READ = ("*.get", "*.list", "compute.advice.*", "artifactregistry.repositories.downloadArtifacts")
_NO_EDITOR = (
    "*.setIamPolicy",
    "iam.roles.create",
    "iam.roles.delete",
    "iam.roles.undelete",
    "iam.roles.update",
    "iam.serviceAccounts.getAccessToken",
    "iam.serviceAccounts.getOpenIdToken",
    "iam.serviceAccounts.sign*",
    "iam.serviceAccounts.implicitDelegation",
    "container.clusterRoleBindings.*",
    "container.clusterRoles.*",
    "cloudquotas.quotas.update",
)
_SEEN = ("resourcemanager.projects.get", "resourcemanager.projects.list")
_ROLES: dict[str, tuple[str, ...]] = {
    "roles/owner": ("*",),
    "roles/viewer": _READ,
    "roles/browser": (*_SEEN, "resourcemanager.projects.getIamPolicy"),
    "roles/artifactregistry.admin": ("artifactregistry.*",),
    "roles/artifactregistry.reader": (
        "artifactregistry.*.get",
        "artifactregistry.*.list",
        "artifactregistry.repositories.downloadArtifacts",
    ),
    "roles/artifactregistry.writer": (
        "artifactregistry.*.get",
        "artifactregistry.*.list",
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.uploadArtifacts",
        "artifactregistry.tags.create",
        "artifactregistry.tags.update",
    ),
    "roles/cloudbuild.builds.builder": (
        "artifactregistry.*.get",
        "artifactregistry.*.list",
        "artifactregistry.repositories.downloadArtifacts",
        "artifactregistry.repositories.uploadArtifacts",
        "artifactregistry.tags.create",
        "artifactregistry.tags.update",
        "cloudbuild.builds.*",
        "logging.logEntries.create",
        "logging.logEntries.list",
        "storage.buckets.create",
        "storage.buckets.get",
        "storage.buckets.list",
        "storage.objects.*",
        *_SEEN,
    ),
    "roles/cloudbuild.builds.editor": ("cloudbuild.builds.*", *_SEEN),
    "roles/cloudbuild.builds.viewer": ("cloudbuild.builds.get", "cloudbuild.builds.list", *_SEEN),
    "roles/cloudquotas.admin": ("cloudquotas.quotas.*", *_SEEN),
    "roles/cloudquotas.viewer": ("cloudquotas.quotas.get", *_SEEN),
    "roles/cloudscheduler.admin": ("cloudscheduler.*", "serviceusage.services.get", "serviceusage.services.list"),
    "roles/cloudscheduler.jobRunner": ("cloudscheduler.jobs.run",),
    "roles/cloudscheduler.viewer": ("cloudscheduler.*.get", "cloudscheduler.*.list", "cloudscheduler.jobs.fullView"),
    "roles/compute.admin": ("compute.*", *_SEEN),
    "roles/compute.loadBalancerAdmin": (
        *(f"compute.{kind}.*" for kind in ("addresses", "backendServices", "forwardingRules", "globalAddresses")),
        *(f"compute.{kind}.*" for kind in ("globalForwardingRules", "healthChecks", "networkEndpointGroups")),
        *(f"compute.{kind}.*" for kind in ("targetHttpProxies", "targetHttpsProxies", "urlMaps")),
        "compute.globalOperations.get",
        *_SEEN,
    ),
    "roles/compute.networkViewer": ("compute.*.get", "compute.*.list"),
    "roles/compute.viewer": ("compute.*.get", "compute.*.list", "compute.advice.*", *_SEEN),
    "roles/container.admin": ("container.*", *_SEEN),
    "roles/container.clusterAdmin": (
        *(f"container.clusters.{verb}" for verb in _CRUD.split()),
        "container.operations.*",
        *_SEEN,
    ),
    "roles/container.clusterViewer": ("container.clusters.get", "container.clusters.list", *_SEEN),
    "roles/container.developer": (
        "container.clusters.connect",
        "container.clusters.get",
        "container.clusters.list",
        *(f"container.{kind}.*" for kind in ("deployments", "namespaces", "pods", "services")),
        *_SEEN,
    ),
    "roles/container.viewer": ("container.*.get", "container.*.list", "container.clusters.connect", *_SEEN),
    "roles/gkehub.admin": (
        *(f"gkehub.{kind}.*" for kind in ("features", "fleet", "locations", "memberships", "operations")),
        *_SEEN,
    ),
    "roles/gkehub.editor": (
        *(f"gkehub.{kind}.{verb}" for kind in ("features", "memberships") for verb in _CRUD.split()),
        "gkehub.fleet.*",
        "gkehub.operations.*",
        *_SEEN,
    ),
    "roles/gkehub.gatewayAdmin": ("gkehub.gateway.*", "gkehub.memberships.get", "serviceusage.services.get"),
    "roles/gkehub.gatewayEditor": (
        *(f"gkehub.gateway.{verb}" for verb in ("delete", "generateCredentials", "get", "patch", "post", "put")),
        "gkehub.memberships.get",
        "serviceusage.services.get",
    ),
    "roles/gkehub.gatewayReader": (
        "gkehub.gateway.generateCredentials",
        "gkehub.gateway.get",
        "gkehub.memberships.get",
        "serviceusage.services.get",
    ),
    "roles/gkehub.viewer": ("gkehub.*.get", "gkehub.*.list", *_SEEN),
    "roles/iam.roleAdmin": ("iam.roles.*", *_SEEN, "resourcemanager.projects.getIamPolicy"),
    "roles/iam.securityAdmin": ("*.getIamPolicy", "*.setIamPolicy", "iam.roles.get", "iam.roles.list", *_SEEN),
    "roles/iam.serviceAccountAdmin": (
        *(f"iam.serviceAccounts.{verb}" for verb in f"{_CRUD} {_POLICY} disable enable undelete".split()),
        *_SEEN,
    ),
    "roles/iam.serviceAccountTokenCreator": (
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
        "iam.serviceAccounts.implicitDelegation",
        "iam.serviceAccounts.signBlob",
        "iam.serviceAccounts.signJwt",
    ),
    "roles/iam.serviceAccountUser": (
        "iam.serviceAccounts.actAs",
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.list",
        *_SEEN,
    ),
    "roles/iam.workloadIdentityUser": (
        "iam.serviceAccounts.get",
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
        "iam.serviceAccounts.list",
    ),
    "roles/logging.logWriter": ("logging.logEntries.create", "logging.logEntries.route"),
    "roles/monitoring.metricWriter": (
        "monitoring.metricDescriptors.create",
        "monitoring.metricDescriptors.get",
        "monitoring.metricDescriptors.list",
        "monitoring.timeSeries.create",
    ),
    "roles/multiclusterservicediscovery.serviceAgent": ("compute.*", "container.*", "gkehub.*.get", "gkehub.*.list"),
    "roles/resourcemanager.projectIamAdmin": (*_SEEN, *(f"resourcemanager.projects.{v}" for v in _POLICY.split())),
    "roles/run.admin": ("run.*", *_SEEN),
    "roles/run.developer": (
        *(f"run.{kind}.*" for kind in ("executions", "locations", "operations", "routes", "tasks")),
        *(f"run.{kind}.{verb}" for kind in ("jobs", "services") for verb in (*_CRUD.split(), "getIamPolicy")),
        "run.jobs.run",
        "run.jobs.runWithOverrides",
        *_SEEN,
    ),
    "roles/run.invoker": ("run.executions.cancel", "run.jobs.run", "run.routes.invoke"),
    "roles/run.jobsExecutor": ("run.executions.cancel", "run.jobs.run"),
    "roles/run.jobsExecutorWithOverrides": ("run.executions.cancel", "run.jobs.run", "run.jobs.runWithOverrides"),
    "roles/run.viewer": ("run.*.get", "run.*.list", "run.*.getIamPolicy", *_SEEN),
    "roles/serviceusage.serviceUsageAdmin": ("serviceusage.*", *_SEEN),
    "roles/serviceusage.serviceUsageConsumer": (
        "serviceusage.services.get",
        "serviceusage.services.list",
        "serviceusage.services.use",
    ),
    "roles/serviceusage.serviceUsageViewer": ("serviceusage.services.get", "serviceusage.services.list", *_SEEN),
    "roles/storage.admin": ("storage.*", *_SEEN),
    "roles/storage.objectViewer": ("storage.objects.get", "storage.objects.list", *_SEEN),
}
PREDEFINED = frozenset((*_ROLES, "roles/editor"))


@cache
def granted_by(role: str) -> frozenset[str]:
    """Give the permissions of a predefined role; none for a role that is not one."""
    if role == "roles/editor":
        return frozenset(each for each in PERMISSIONS if not any(fnmatchcase(each, not_) for not_ in _NO_EDITOR))
    patterns = _ROLES.get(role, ())
    return frozenset(each for each in PERMISSIONS if any(fnmatchcase(each, pattern) for pattern in patterns))
