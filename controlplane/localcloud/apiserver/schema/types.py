"""The kinds this API server serves: their names, verbs and subresources, and the node that describes their objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from controlplane.localcloud.apiserver.schema.definitions import Compiler, raw_definitions
from controlplane.localcloud.apiserver.schema.node import ANY, Node

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CREATE_ONLY = ("create",)


@dataclass(frozen=True)
class PrinterColumn:
    """An additionalPrinterColumn of a custom resource."""

    name: str
    type: str
    json_path: str
    format: str = ""
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class ScalePaths:
    """Where the scale subresource finds its numbers, as JSON paths."""

    replicas: str
    status_replicas: str
    selector: str = ""


@dataclass(frozen=True)
class TypeInfo:
    """One served version of one resource."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    list_kind: str = ""
    definition: str = ""  # the OpenAPI definition; "" for custom resources
    custom: bool = False
    storage: bool = True
    deprecated: bool = False
    printer_columns: tuple[PrinterColumn, ...] = ()
    scale: ScalePaths | None = None
    schema: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)  # a custom resource's own schema
    custom_node: Node | None = field(default=None, compare=False, repr=False)

    @property
    def resource(self) -> str:
        """Name it as `plural` or `plural.group`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """Give the apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def node(self) -> Node:
        """Give the compiled schema."""
        if self.custom:
            return self.custom_node or ANY
        return nodes().get(self.definition, ANY)


_CORE = "io.k8s.api.core.v1."
_STATUS = ("status",)
_SCALE = ("scale", "status")
_ALL = ("all",)
_REPLICAS = ScalePaths(".spec.replicas", ".status.replicas", ".status.selector")

# group, version, definition prefix, rows of (kind, plural, namespaced, short names, categories, subresources)
_TABLE: tuple[tuple[str, str, str, tuple[tuple[Any, ...], ...]], ...] = (
    (
        "",
        "v1",
        _CORE,
        (
            ("Namespace", "namespaces", False, ("ns",), (), ("finalize", "status")),
            ("Node", "nodes", False, ("no",), (), ("proxy", "status")),
            ("Pod", "pods", True, ("po",), _ALL, ("binding", "ephemeralcontainers", "eviction", "log", "status")),
            ("Service", "services", True, ("svc",), _ALL, _STATUS),
            ("Endpoints", "endpoints", True, ("ep",), (), ()),
            ("Event", "events", True, ("ev",), (), ()),
            ("ConfigMap", "configmaps", True, ("cm",), (), ()),
            ("Secret", "secrets", True, (), (), ()),
            ("ServiceAccount", "serviceaccounts", True, ("sa",), (), ("token",)),
            ("ReplicationController", "replicationcontrollers", True, ("rc",), _ALL, _SCALE),
            ("PersistentVolume", "persistentvolumes", False, ("pv",), (), _STATUS),
            ("PersistentVolumeClaim", "persistentvolumeclaims", True, ("pvc",), (), _STATUS),
            ("LimitRange", "limitranges", True, ("limits",), (), ()),
            ("ResourceQuota", "resourcequotas", True, ("quota",), (), _STATUS),
            ("PodTemplate", "podtemplates", True, (), (), ()),
            ("Binding", "bindings", True, (), (), ()),
        ),
    ),
    (
        "apps",
        "v1",
        "io.k8s.api.apps.v1.",
        (
            ("Deployment", "deployments", True, ("deploy",), _ALL, _SCALE),
            ("ReplicaSet", "replicasets", True, ("rs",), _ALL, _SCALE),
            ("StatefulSet", "statefulsets", True, ("sts",), _ALL, _SCALE),
            ("DaemonSet", "daemonsets", True, ("ds",), _ALL, _STATUS),
            ("ControllerRevision", "controllerrevisions", True, (), (), ()),
        ),
    ),
    (
        "batch",
        "v1",
        "io.k8s.api.batch.v1.",
        (
            ("Job", "jobs", True, (), _ALL, _STATUS),
            ("CronJob", "cronjobs", True, ("cj",), _ALL, _STATUS),
        ),
    ),
    (
        "discovery.k8s.io",
        "v1",
        "io.k8s.api.discovery.v1.",
        (("EndpointSlice", "endpointslices", True, (), (), ()),),
    ),
    ("events.k8s.io", "v1", "io.k8s.api.events.v1.", (("Event", "events", True, ("ev",), (), ()),)),
    ("coordination.k8s.io", "v1", "io.k8s.api.coordination.v1.", (("Lease", "leases", True, (), (), ()),)),
    (
        "policy",
        "v1",
        "io.k8s.api.policy.v1.",
        (("PodDisruptionBudget", "poddisruptionbudgets", True, ("pdb",), (), _STATUS),),
    ),
    (
        "networking.k8s.io",
        "v1",
        "io.k8s.api.networking.v1.",
        (
            ("Ingress", "ingresses", True, ("ing",), (), _STATUS),
            ("IngressClass", "ingressclasses", False, (), (), ()),
            ("NetworkPolicy", "networkpolicies", True, ("netpol",), (), ()),
        ),
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "io.k8s.api.rbac.v1.",
        (
            ("Role", "roles", True, (), (), ()),
            ("RoleBinding", "rolebindings", True, (), (), ()),
            ("ClusterRole", "clusterroles", False, (), (), ()),
            ("ClusterRoleBinding", "clusterrolebindings", False, (), (), ()),
        ),
    ),
    (
        "scheduling.k8s.io",
        "v1",
        "io.k8s.api.scheduling.v1.",
        (("PriorityClass", "priorityclasses", False, ("pc",), (), ()),),
    ),
    (
        "autoscaling",
        "v2",
        "io.k8s.api.autoscaling.v2.",
        (("HorizontalPodAutoscaler", "horizontalpodautoscalers", True, ("hpa",), _ALL, _STATUS),),
    ),
    (
        "storage.k8s.io",
        "v1",
        "io.k8s.api.storage.v1.",
        (("StorageClass", "storageclasses", False, ("sc",), (), ()),),
    ),
    (
        "apiextensions.k8s.io",
        "v1",
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.",
        (
            (
                "CustomResourceDefinition",
                "customresourcedefinitions",
                False,
                ("crd", "crds"),
                ("api-extensions",),
                _STATUS,
            ),
        ),
    ),
    (
        "authentication.k8s.io",
        "v1",
        "io.k8s.api.authentication.v1.",
        (
            ("TokenReview", "tokenreviews", False, (), (), ()),
            ("SelfSubjectReview", "selfsubjectreviews", False, (), (), ()),
        ),
    ),
    (
        "authorization.k8s.io",
        "v1",
        "io.k8s.api.authorization.v1.",
        (
            ("LocalSubjectAccessReview", "localsubjectaccessreviews", True, (), (), ()),
            ("SelfSubjectAccessReview", "selfsubjectaccessreviews", False, (), (), ()),
            ("SelfSubjectRulesReview", "selfsubjectrulesreviews", False, (), (), ()),
            ("SubjectAccessReview", "subjectaccessreviews", False, (), (), ()),
        ),
    ),
)
# Bodies of subresources and requests: not resources of their own, but decoded, explained and validated like them.
EXTRA_DEFINITIONS = (
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.authentication.v1.TokenRequest",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
)


@lru_cache(maxsize=1)
def builtin_types() -> list[TypeInfo]:
    """Give every built-in type, in the order of their groups."""
    return [_info(group, version, prefix, *row) for group, version, prefix, rows in _TABLE for row in rows]


def _info(  # noqa: PLR0917 - one parameter for each column of the table
    group: str,
    version: str,
    prefix: str,
    kind: str,
    plural: str,
    namespaced: bool,
    short_names: tuple[str, ...],
    categories: tuple[str, ...],
    subresources: tuple[str, ...],
) -> TypeInfo:
    create_only = kind.endswith("Review") or kind == "Binding"
    return TypeInfo(
        group=group,
        version=version,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        namespaced=namespaced,
        short_names=short_names,
        categories=categories,
        subresources=subresources,
        verbs=CREATE_ONLY if create_only else ALL_VERBS,
        list_kind="" if create_only else f"{kind}List",
        definition=prefix + kind,
        scale=_REPLICAS if "scale" in subresources else None,
    )


@lru_cache(maxsize=1)
def _builtin_index() -> dict[tuple[str, str], TypeInfo]:
    return {(info.api_version, info.kind): info for info in builtin_types()}


def builtin_type(api_version: str, kind: str) -> TypeInfo | None:
    """Find a built-in type by its apiVersion and kind."""
    return _builtin_index().get((api_version, kind))


@lru_cache(maxsize=1)
def nodes() -> dict[str, Node]:
    """Compile the definitions that the served kinds reach; everything else is let go."""
    wanted = [info.definition for info in builtin_types()]
    return Compiler(raw_definitions()).compile([*wanted, *EXTRA_DEFINITIONS])


def extra_node(definition: str) -> Node:
    """Give the node of a body that is no resource, such as an Eviction."""
    return nodes().get(definition, ANY)


def object_meta() -> Node:
    """Give the node of metadata, which custom resources share."""
    return extra_node("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
