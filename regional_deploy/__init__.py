"""What is deployed into one region: plain YAML manifests, their renderer, and the RBAC that the reconciler needs."""

from regional_deploy.batch import job, job_name
from regional_deploy.render import (
    autoscaler,
    deployment,
    namespace,
    placement_manifests,
    priority_class,
    region_manifests,
    release_order,
)

__all__ = [
    "autoscaler",
    "deployment",
    "job",
    "job_name",
    "namespace",
    "placement_manifests",
    "priority_class",
    "region_manifests",
    "release_order",
]
