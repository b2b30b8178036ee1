"""Checks of the project: credentials, APIs, permissions, the ingress feature, reserved addresses."""

from dataclasses import dataclass

from controlplane.doctor.finding import LOGIN, Asker, Finding, Kubectl, State, command, missing_permission, well
from controlplane.gateways import errors
from controlplane.gateways.access import GoogleAccess
from controlplane.gateways.errors import GatewayError
from controlplane.gateways.inquiry import Inquiry
from controlplane.gateways.retrying import guarded
from controlplane.model.offering import ClusterRef
from controlplane.model.service import ServiceSpec
from regional_deploy.runner import permissions

NEEDED_APIS = {
    "container.googleapis.com": "no cluster is found",
    "compute.googleapis.com": "GPU types, quotas and the load balancer's health are unknown",
    "gkehub.googleapis.com": "no cluster can be a member of the fleet",
    "multiclusteringress.googleapis.com": "no global address is wired",
}
JOB_APIS = ("run.googleapis.com", "cloudscheduler.googleapis.com")
_USAGE, _MANAGER, _HUB = "serviceusage.googleapis.com", "cloudresourcemanager.googleapis.com", "gkehub.googleapis.com"


@dataclass(frozen=True, slots=True)
class Account:
    """The check of the credentials, and in whose name all else is asked."""

    findings: list[Finding]
    asker: Asker
    usable: bool


def credentials(access: GoogleAccess, kubectl: Kubectl | None) -> Account:
    """Get a token, and look at whose it is."""
    project = access.project.name
    nothing = "nothing can be asked of Google Cloud, and nothing of the clusters"
    try:
        guarded(access.token, write=False)
    except GatewayError as error:
        file = access.project.credentials_file
        account = f"--iam-account=gpu-hunter@{project}.iam.gserviceaccount.com"
        mend = (
            LOGIN
            if file is None
            else command("gcloud", "iam", "service-accounts", "keys", "create", str(file), account)
        )
        found = Finding("credentials", project, State.FAIL, error.message, nothing, mend)
        return Account([found], Asker(project, kubectl=kubectl), usable=False)
    identity = access.identity()
    asker = Asker(project, identity.email, kubectl)
    who = identity.email or "an account that does not tell its name"
    if identity.project not in ("", project):
        what = f"{who} belongs to project {identity.project}, and {project} is asked"
        breaks = f"if {project} did not grant it access, every call is refused"
        return Account([Finding("credentials", project, State.WARN, what, breaks, asker.grant())], asker, usable=True)
    if identity.quota_project not in ("", project):
        what = f"calls are billed to project {identity.quota_project}, not to {project}"
        mend = command("gcloud", "auth", "application-default", "set-quota-project", project)
        breaks = "its quota of API calls is used up, and its APIs must be enabled"
        return Account([Finding("credentials", project, State.WARN, what, breaks, mend)], asker, usable=True)
    return Account([well("credentials", project, f"{who} was given a token")], asker, usable=True)


def apis(inquiry: Inquiry, asker: Asker) -> list[Finding]:
    """Ask which APIs are enabled."""
    try:
        enabled = inquiry.enabled_apis()
    except GatewayError as error:
        breaks = "which APIs are enabled cannot be told; the calls themselves tell"
        return [asker.refused("apis", asker.project, error, api=_USAGE, breaks=breaks, optional=True)]
    found = [
        Finding("apis", api, State.FAIL, "is not enabled", breaks, _enable(asker, api))
        for api, breaks in NEEDED_APIS.items()
        if api not in enabled
    ]
    if absent := [api for api in JOB_APIS if api not in enabled]:
        breaks = "the reconciler cannot run as a scheduled Cloud Run job"
        what = "not enabled"
        found.append(Finding("apis", " ".join(absent), State.WARN, what, breaks, _enable(asker, *absent)))
    return found or [well("apis", asker.project, f"all {len(NEEDED_APIS) + len(JOB_APIS)} that are used are enabled")]


def _enable(asker: Asker, *names: str) -> str:
    return command("gcloud", "services", "enable", *names, f"--project={asker.project}")


def granted(inquiry: Inquiry, asker: Asker) -> list[Finding]:
    """Ask for every permission that the reconciler uses, by name."""
    wanted = permissions()
    try:
        has = inquiry.granted(wanted)
    except GatewayError as error:
        if missing_permission(error) or isinstance(error, errors.Gone):
            breaks = "the project cannot be seen at all: it does not exist, or nothing in it is granted"
            mend = command("gcloud", "projects", "describe", asker.project)
            return [Finding("permissions", asker.project, State.FAIL, error.message, breaks, mend)]
        breaks = "which permissions are granted cannot be told; the calls themselves tell"
        return [asker.refused("permissions", asker.project, error, api=_MANAGER, breaks=breaks, optional=True)]
    if missing := [name for name in wanted if name not in has]:
        mend = f"{asker.create_role()}; {asker.grant()}"
        breaks = "what needs them stays unknown, and no write rests on the unknown"
        what = f"missing: {', '.join(missing)}"
        return [Finding("permissions", asker.project, State.FAIL, what, breaks, mend)]
    return [well("permissions", asker.project, f"all {len(wanted)} are granted")]


def feature(inquiry: Inquiry, asker: Asker, config: ClusterRef) -> list[Finding]:
    """Look at the fleet's ingress feature, and at whether the config cluster is its config membership."""
    breaks = "no global address is wired, whatever serves in the regions"
    try:
        found = inquiry.ingress_feature()
    except GatewayError as error:
        return [asker.refused("feature", "multiclusteringress", error, api=_HUB, breaks=breaks, optional=True)]
    membership = f"projects/{asker.project}/locations/{config.region}/memberships/{config.name}"
    change = f"--config-membership={membership}", f"--project={asker.project}"
    if found is None:
        mend = command("gcloud", "container", "fleet", "ingress", "enable", *change)
        return [Finding("feature", "multiclusteringress", State.FAIL, "is not enabled", breaks, mend)]
    mend = command("gcloud", "container", "fleet", "ingress", "update", *change)
    # An older membership is global, and its project may be given by number: the name at the end tells.
    if found.config_membership.rpartition("/")[2] != config.name:
        what = f"its config membership is {found.config_membership or 'none'}, not {config.name}"
        return [Finding("feature", "multiclusteringress", State.FAIL, what, breaks, mend)]
    if found.code not in ("", "OK"):
        state = State.WARN if found.code == "WARNING" else State.FAIL
        what = f"{found.code}: {found.description}"
        describe = command("gcloud", "container", "fleet", "ingress", "describe", f"--project={asker.project}")
        return [Finding("feature", "multiclusteringress", state, what, breaks, describe)]
    bad = sorted(name for name, code in found.members.items() if code not in ("", "OK"))
    if bad:
        what = f"not OK for {', '.join(name.rpartition('/')[2] for name in bad)}"
        describe = command("gcloud", "container", "fleet", "ingress", "describe", f"--project={asker.project}")
        return [
            Finding("feature", "multiclusteringress", State.WARN, what, "no traffic is led to these clusters", describe)
        ]
    return [well("feature", "multiclusteringress", f"enabled, with config membership {config.name}")]


def addresses(inquiry: Inquiry, asker: Asker, services: list[ServiceSpec]) -> list[Finding]:
    """Look at whether each service's address is reserved, and global."""
    if not services:
        return []
    wanted = {service.key: service.ingress.static_address for service in services}
    reserve = command(
        "gcloud", "compute", "addresses", "create", "gpu-hunter", "--global", f"--project={asker.project}"
    )
    found = [
        Finding(
            "address", key, State.WARN, "asks for no reserved address",
            "the address changes when the ingress is made anew, and HTTPS needs a reserved one",
            f"{reserve} && gcloud compute addresses describe gpu-hunter --global --project={asker.project}"
            " --format='value(address)'  # for spec.ingress.staticAddress",
        )
        for key, address in wanted.items()
        if address is None
    ]  # fmt: skip
    if not any(wanted.values()):
        return found
    try:
        scopes = {each.address: each for each in inquiry.addresses()}
    except GatewayError as error:
        breaks = "whether the addresses are reserved cannot be told"
        refused = asker.refused(
            "address", asker.project, error, api="compute.googleapis.com", breaks=breaks, optional=True
        )
        return [*found, refused]
    breaks = "the load balancer does not take it, and nothing answers there"
    for key, address in wanted.items():
        if address is None:
            continue
        reserved = scopes.get(address)
        if reserved is None:
            what = f"{address} is not reserved in {asker.project}"
            found.append(Finding("address", key, State.FAIL, what, breaks, reserve))
        elif reserved.scope != "global":
            what = f"{address} ({reserved.name}) is reserved in {reserved.scope}; a global address is needed"
            found.append(Finding("address", key, State.FAIL, what, breaks, reserve))
        else:
            found.append(well("address", key, f"{address} ({reserved.name}) is reserved and global"))
    return found
