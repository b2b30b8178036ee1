"""Checks of what a Fleet's choices take besides the role that every reconciler has.

Clusters on demand and the Connect gateway each take permissions that only who chooses them grants. Without them a pass
fails only when it comes to make a cluster, or to call one: too late to learn of a role.
"""

from controlplane.doctor.clusters import Clusters
from controlplane.doctor.finding import Asker, Finding, State, well
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.inquiry import Inquiry
from regional_deploy.runner import growth_permissions

GATEWAY_PERMISSIONS = tuple(f"gkehub.gateway.{verb}" for verb in ("delete", "get", "patch", "post", "put"))
"""One for each HTTP method: https://cloud.google.com/kubernetes-engine/fleet-management/docs/gateway."""
_MANAGER = "cloudresourcemanager.googleapis.com"


def chosen(inquiry: Inquiry, asker: Asker, clusters: Clusters) -> list[Finding]:
    """Ask for the permissions that the Fleet's choices take; nothing where it makes neither choice."""
    found: list[Finding] = []
    if clusters.wanted is not None and clusters.wanted.on_demand is not None:
        breaks = "no cluster is made on demand, and one that is idle is not deleted and goes on costing"
        mend = asker.custom_role("gpuHunterGrowth", "google-cloud-role-growth")
        found += _held(inquiry, asker, ("clusters on demand", growth_permissions()), breaks, mend)
    if clusters.by_connect_gateway:
        breaks = "clusters called through the Connect gateway refuse every call, and nothing is placed there"
        mend = asker.grant("roles/gkehub.gatewayEditor")
        found += _held(inquiry, asker, ("the Connect gateway", GATEWAY_PERMISSIONS), breaks, mend)
    return found


def _held(inquiry: Inquiry, asker: Asker, wanted: tuple[str, tuple[str, ...]], breaks: str, mend: str) -> list[Finding]:
    choice, names = wanted
    try:
        has = inquiry.granted(names)
    except GatewayError as error:
        untold = f"whether {choice} may be used cannot be told; the calls themselves tell"
        return [asker.refused("permissions", choice, error, api=_MANAGER, breaks=untold, optional=True)]
    if missing := [name for name in names if name not in has]:
        return [Finding("permissions", choice, State.FAIL, f"missing: {', '.join(missing)}", breaks, mend)]
    return [well("permissions", choice, f"all {len(names)} are granted")]
