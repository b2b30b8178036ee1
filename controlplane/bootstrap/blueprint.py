"""Which parts a fleet needs, in the order of making them.

Pure: a fleet, the project's number and the tag of the image give the same parts every time. The order is that of the
needs; clusters stand early, since they take minutes and are made side by side while the rest is done.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controlplane.bootstrap import access, running
from controlplane.bootstrap.names import NAME, Names, cluster_part, objects_part
from controlplane.bootstrap.values import (
    LABEL,
    MARK,
    OURS,
    Address,
    Apis,
    Charge,
    Cluster,
    Command,
    Feature,
    Json,
    Objects,
    Part,
    Registration,
    gcloud,
)
from controlplane.model.fleet import EndpointChoice, FleetSpec
from controlplane.model.naming import FIELD_MANAGER
from controlplane.model.offering import ClusterRef

APIS = (
    "artifactregistry", "cloudbuild", "cloudquotas", "cloudresourcemanager", "cloudscheduler", "compute", "container",
    "containerfilesystem", "gkehub", "iam", "multiclusteringress", "multiclusterservicediscovery", "run",
    "serviceusage", "storage", "trafficdirector",
)  # fmt: skip
APIS_PART = "APIs"
INGRESS, DISCOVERY = "multiclusteringress", "multiclusterservicediscovery"
_ADMIN_OF_CLUSTERS = (
    "container.clusters.connect", "container.clusterRoles.bind", "container.clusterRoles.create",
    "container.clusterRoles.escalate", "container.clusterRoleBindings.create",
    "container.customResourceDefinitions.create",
)  # fmt: skip
WIRED_PODS = 2
"""How many backend Pods the cost table reckons with."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Kubernetes objects, rendered: the definitions of our kinds, and what config cluster and members hold besides."""

    definitions: tuple[Json, ...]
    config: tuple[Json, ...]
    member: tuple[Json, ...]


def blueprint(names: Names, documents: Documents) -> tuple[Part, ...]:
    """Give all parts, each after those that it needs."""
    fleet = names.fleet
    apis = _apis(fleet)
    refs = (fleet.config, *(fleet.cluster(region) for region in fleet.regions))
    clusters = [_cluster(names, ref, apis.name) for ref in refs]
    accounts = access.accounts(names, apis.name)
    memberships = [_membership(fleet, ref, part.name) for ref, part in zip(refs, clusters, strict=True)]
    features = _features(fleet, memberships[0].name)
    return (
        apis,
        *clusters,
        *accounts,
        _address(fleet, apis.name),
        *running.image_parts(names, apis.name),
        *memberships,
        *features,
        *access.agents(names),
        *_objects(names, documents, refs),
        *running.job_parts(names, apis.name),
    )


def _apis(fleet: FleetSpec) -> Part:
    gateway = fleet.endpoint is EndpointChoice.CONNECT_GATEWAY
    names = tuple(f"{name}.googleapis.com" for name in sorted((*APIS, *(("connectgateway",) if gateway else ()))))
    return Part(
        APIS_PART,
        Apis(fleet.project, names),
        commands=(gcloud("services", "enable", *names, f"--project={fleet.project}"),),
        permissions=("serviceusage.services.enable", "serviceusage.services.list"),
        kept="stays enabled: that costs nothing, and others may use it",
    )


def _cluster(names: Names, ref: ClusterRef, apis: str, label: str = OURS) -> Part:
    labels = {**names.fleet.labels, LABEL: label}
    told = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    where = (f"--location={ref.location}", f"--project={names.project}")
    return Part(
        cluster_part(ref),
        Cluster(names.project, ref, labels),
        (apis,),
        (
            gcloud(
                "container", "clusters", "create-auto", ref.name, *where, "--release-channel=regular",
                f"--fleet-project={names.project}", "--enable-dns-access", f"--labels={told}",
            ),
        ),
        (gcloud("container", "clusters", "delete", ref.name, *where, "--quiet"),),
        (Charge("cluster"),),
        ("container.clusters.create", "container.clusters.delete", "container.clusters.get",
         "container.clusters.list", "container.operations.get"),
    )  # fmt: skip


def _membership(fleet: FleetSpec, ref: ClusterRef, cluster: str) -> Part:
    """Give the membership. It comes with the cluster; one that is not there is made by itself."""
    where = (f"--location={ref.region}", f"--project={fleet.project}")
    link, words = f"--gke-cluster={ref.link}", ("container", "fleet", "memberships")
    return Part(
        f"membership {ref.link}",
        Registration(fleet.project, ref),
        (cluster,),
        (gcloud(*words, "describe", ref.name, *where),),
        (gcloud(*words, "unregister", ref.name, link, *where),),
        permissions=("gkehub.memberships.create", "gkehub.memberships.delete", "gkehub.memberships.list",
                     "gkehub.operations.get"),
    )  # fmt: skip


def _features(fleet: FleetSpec, config_membership: str) -> tuple[Part, ...]:
    ref, where = fleet.config, f"--project={fleet.project}"
    full = f"projects/{fleet.project}/locations/{ref.region}/memberships/{ref.name}"
    permissions = ("gkehub.features.create", "gkehub.features.delete", "gkehub.features.get", "gkehub.features.update")
    return (
        Part(
            f"feature {INGRESS}",
            Feature(fleet.project, INGRESS, ref),
            (config_membership,),
            (gcloud("container", "fleet", "ingress", "enable", f"--config-membership={full}", where),),
            (gcloud("container", "fleet", "ingress", "disable", where, "--quiet"),),
            (Charge("forwarding-rule"), Charge("wired-pod", WIRED_PODS)),
            permissions,
        ),
        Part(
            f"feature {DISCOVERY}",
            Feature(fleet.project, DISCOVERY),
            (config_membership,),
            (gcloud("container", "fleet", "multi-cluster-services", "enable", where),),
            (gcloud("container", "fleet", "multi-cluster-services", "disable", where, "--quiet"),),
            permissions=permissions,
        ),
    )


def _address(fleet: FleetSpec, apis: str) -> Part:
    where = ("--global", f"--project={fleet.project}")
    return Part(
        f"address {NAME}",
        Address(fleet.project, NAME),
        (apis,),
        (gcloud("compute", "addresses", "create", NAME, *where, f"--description={MARK}"),),
        (gcloud("compute", "addresses", "delete", NAME, *where, "--quiet"),),
        (Charge("idle-address"),),
        ("compute.globalAddresses.create", "compute.globalAddresses.delete", "compute.globalAddresses.get",
         "compute.globalOperations.get"),
    )  # fmt: skip


def _objects(names: Names, documents: Documents, refs: Iterable[ClusterRef]) -> Iterable[Part]:
    us = ("gpuhunter", f"--project={names.project}", f"--config-cluster={names.fleet.config.link}")
    for ref in refs:
        config = ref == names.fleet.config
        login = gcloud(
            "container", "clusters", "get-credentials", ref.name, f"--location={ref.location}",
            f"--project={names.project}", "--dns-endpoint",
        )  # fmt: skip
        apply = ("kubectl", "apply", "--server-side", f"--field-manager={FIELD_MANAGER}")
        stdin = (*apply, "--filename=-")
        rights = Command(stdin, (*us, "runner", "rights", "config-cluster" if config else "member"))
        needs = cluster_part(ref)
        if config:
            definitions = f"definitions in {ref.link}"
            yield Part(
                definitions,
                Objects(ref, documents.definitions),
                (needs,),
                (login, Command(stdin, (*us, "crd"))),
                permissions=_ADMIN_OF_CLUSTERS,
                kept="goes with its cluster",
            )
            needs = definitions
        yield Part(
            objects_part(ref),
            Objects(ref, documents.config if config else documents.member),
            (needs,),
            (login, rights, *((Command((*apply, "--filename=fleet.yaml")),) if config else ())),
            permissions=_ADMIN_OF_CLUSTERS,
            kept="goes with its cluster",
        )


def extra_clusters(names: Names, labels: Mapping[ClusterRef, str]) -> tuple[Part, ...]:
    """Give the parts of clusters of ours that the fleet does not name. labels: by which label each is told."""
    found: list[Part] = []
    for ref, label in sorted(labels.items()):
        cluster = _cluster(names, ref, APIS_PART, label)
        found += [cluster, _membership(names.fleet, ref, cluster.name)]
    return tuple(found)
