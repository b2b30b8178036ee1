"""Checks of what a multi-cluster Gateway needs of the project beyond Multi Cluster Ingress; made where a service asks.

Its kinds in the clusters are looked for with the others' (`clusters`): GKE installs them in the config cluster when its
Gateway API is switched on, and in the members when service discovery is.
Source: cloud.google.com/kubernetes-engine/docs/how-to/prepare-environment-multi-cluster-gateways.
"""

from controlplane.doctor.finding import Asker, Finding, State, command, well
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.inquiry import DISCOVERY, Inquiry

APIS = {
    f"{DISCOVERY}.googleapis.com": "no Service of a member is known to the Gateway, so nothing answers behind it",
    "trafficdirector.googleapis.com": "the Gateway is not programmed, so there is no address",
}
_BREAKS = "no ServiceExport becomes a backend, so nothing answers behind the Gateway"


def gateway(inquiry: Inquiry, asker: Asker) -> list[Finding]:
    """Look at the APIs and at the fleet feature that are the Gateway's alone."""
    return [*_apis(inquiry, asker), *_discovery(inquiry, asker)]


def _apis(inquiry: Inquiry, asker: Asker) -> list[Finding]:
    try:
        enabled = inquiry.enabled_apis()
    except GatewayError:
        return []  # why they cannot be listed is the finding of the check of all APIs
    return [
        Finding(
            "apis", api, State.FAIL, "is not enabled, and a service asks for a multi-cluster Gateway", breaks,
            command("gcloud", "services", "enable", api, f"--project={asker.project}"),
        )
        for api, breaks in APIS.items()
        if api not in enabled
    ]  # fmt: skip


def _discovery(inquiry: Inquiry, asker: Asker) -> list[Finding]:
    try:
        found = inquiry.feature(DISCOVERY)
    except GatewayError as error:
        return [asker.refused("feature", DISCOVERY, error, api="gkehub.googleapis.com", breaks=_BREAKS, optional=True)]
    if found is None:
        mend = _command(asker, "enable")
        return [Finding("feature", DISCOVERY, State.FAIL, "is not enabled", _BREAKS, mend)]
    describe = _command(asker, "describe")
    if found.code not in ("", "OK"):
        state = State.WARN if found.code == "WARNING" else State.FAIL
        return [Finding("feature", DISCOVERY, state, f"{found.code}: {found.description}", _BREAKS, describe)]
    if bad := found.not_well:
        what = f"not OK for {', '.join(bad)}"
        return [
            Finding("feature", DISCOVERY, State.WARN, what, "Services of these clusters are not exported", describe)
        ]
    return [well("feature", DISCOVERY, "enabled")]


def _command(asker: Asker, verb: str) -> str:
    return command("gcloud", "container", "fleet", "multi-cluster-services", verb, f"--project={asker.project}")
