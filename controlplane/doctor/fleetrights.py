"""Checks of what a Fleet's choices take besides the role that every reconciler has.

Clusters on demand and the Connect gateway each take permissions that only who chooses them grants. Without them a pass
fails only when it comes to make a cluster, or to call one: too late to learn of a role.
"""

from controlplane.doctor.clusters import Clusters
from controlplane.doctor.finding import Asker, Finding, State, command, well
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.inquiry import ACT_AS, Inquiry
from regional_deploy.runner import growth_permissions

GATEWAY_PERMISSIONS = tuple(f"gkehub.gateway.{verb}" for verb in ("delete", "get", "patch", "post", "put"))
"""One for each HTTP method: https://cloud.google.com/kubernetes-engine/fleet-management/docs/gateway."""
_COMPUTE, _IAM = "compute.googleapis.com", "iam.googleapis.com"
_MANAGER = "cloudresourcemanager.googleapis.com"


def chosen(inquiry: Inquiry, asker: Asker, clusters: Clusters) -> list[Finding]:
    """Ask for the permissions that the Fleet's choices take; nothing where it makes neither choice."""
    found: list[Finding] = []
    if clusters.wanted is not None and clusters.wanted.on_demand is not None:
        breaks = "no cluster is made on demand, and one that is idle is not deleted and goes on costing"
        mend = asker.custom_role("gpuHunterGrowth", "google-cloud-role-growth")
        found += _held(inquiry, asker, ("clusters on demand", growth_permissions()), breaks, mend)
        found += _nodes(inquiry, asker)
    if clusters.by_connect_gateway:
        breaks = "clusters called through the Connect gateway refuse every call, and nothing is placed there"
        mend = asker.grant("roles/gkehub.gatewayEditor")
        found += _held(inquiry, asker, ("the Connect gateway", GATEWAY_PERMISSIONS), breaks, mend)
    return found


def _nodes(inquiry: Inquiry, asker: Asker) -> list[Finding]:
    """Ask whether clusters may be made whose nodes run as Compute Engine's own account, as GKE demands of who does."""
    account, nodes, api = "", "nodes of clusters on demand", _COMPUTE
    breaks = "whether nodes may be given their account cannot be told; making a cluster tells"
    try:
        account = inquiry.node_account()
        api = _IAM
        usable = bool(account) and inquiry.usable(account)
    except GatewayError as error:
        return [asker.refused("permissions", account or nodes, error, api=api, breaks=breaks, optional=True)]
    if not account:
        look = command("gcloud", "compute", "project-info", "describe", f"--project={asker.project}")
        what = "Compute Engine tells of no account of its own"
        return [Finding("permissions", nodes, State.WARN, what, breaks, look)]
    if usable:
        return [well("permissions", account, "nodes of clusters on demand may run as it")]
    role = ("--role=roles/iam.serviceAccountUser", f"--project={asker.project}")
    bind = ("gcloud", "iam", "service-accounts", "add-iam-policy-binding", account)
    mend = command(*bind, f"--member={asker.member}", *role)
    return [Finding("permissions", account, State.FAIL, f"missing: {ACT_AS}", "no cluster is made on demand", mend)]


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
