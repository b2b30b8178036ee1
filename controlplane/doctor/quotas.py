"""Checks of quotas, for each region, GPU type and capacity type that a service may use."""

from collections.abc import Iterable, Mapping

from controlplane.decide.quotas import binding_quota, known_quotas
from controlplane.doctor.finding import Asker, Finding, State, api_disabled, command, well
from controlplane.gateways.cloudquotas import SERVICE, quota_id
from controlplane.gateways.signals import PROJECT_METRIC, ComputeSignals
from controlplane.model.facts import Known, Unknown, UnknownReason
from controlplane.model.observation import Quota, RegionSignals
from controlplane.model.offering import Accelerator, Capacity
from controlplane.model.quotas import by_family, family_metric, regional_metric
from controlplane.model.service import ServiceSpec

PROJECT_QUOTA = "GPUS-ALL-REGIONS-per-project"


def quotas(
    signals: ComputeSignals, asker: Asker, services: Iterable[ServiceSpec], regions: Iterable[str]
) -> list[Finding]:
    """Give a finding for the project, and one for each region and GPU type that a service allows and a region has."""
    wanted = list(services)
    if not wanted:
        return []
    types = {accelerator.type for service in wanted for accelerator in service.accelerators}
    seen = signals.regions(sorted(set(regions)), sorted(types))
    found = [_project(signals, asker, most(wanted))]
    for service in wanted:
        found += _of_service(service, seen, asker)
    return found


def most(services: Iterable[ServiceSpec]) -> int:
    """Give the GPUs that the services need at once."""
    return sum(service.replicas * max(each.count for each in service.accelerators) for service in services)


def _project(signals: ComputeSignals, asker: Asker, needed: int) -> Finding:
    fact = signals.project_gpu_quota()
    breaks = "no GPU of any type is given in any region"
    if isinstance(fact, Unknown):
        listing = command("gcloud", "compute", "project-info", "describe", f"--project={asker.project}")
        return Finding("quotas", PROJECT_METRIC, State.WARN, fact.message, "it may bind without being seen", listing)
    quota, what = fact.value, _room(fact.value)
    if quota.free < 1:
        mend = _raise(asker, PROJECT_METRIC, quota.limit + needed)
        return Finding("quotas", PROJECT_METRIC, State.FAIL, what, breaks, mend)
    return well("quotas", PROJECT_METRIC, what)


def _of_service(service: ServiceSpec, seen: Mapping[str, RegionSignals], asker: Asker) -> list[Finding]:
    """Look at each region and type: one that gives nothing is worth knowing, that none gives any is to be mended."""
    allowed = [region for region in seen if service.regions.permits(region)]
    found = [
        finding
        for region in allowed
        for accelerator in service.accelerators
        if (finding := _offered(service, region, accelerator, seen[region], asker)) is not None
    ]
    if any(finding.state is State.OK for finding in found):
        return found
    names = ", ".join(sorted({accelerator.type for accelerator in service.accelerators}))
    if not found:
        what = f"none of {len(allowed)} regions with a member cluster has {names}"
        types = command("gcloud", "compute", "accelerator-types", "list", f"--project={asker.project}")
        return [Finding("quotas", service.key, State.FAIL, what, "nothing is feasible", types)]
    if all("cannot be told" in finding.what for finding in found):
        return found
    what = f"no region has quota for {names}"
    raise_first = next(finding.mend for finding in found if finding.mend)
    return [*found, Finding("quotas", service.key, State.FAIL, what, "nothing is feasible", raise_first)]


def _offered(
    service: ServiceSpec, region: str, accelerator: Accelerator, signals: RegionSignals, asker: Asker
) -> Finding | None:
    """Give the finding of a region and GPU type; None where the region is known not to have the type."""
    subject = f"{region} {accelerator}"
    if isinstance(signals.accelerators, Known) and accelerator.type not in signals.accelerators.value:
        return None
    if not list(known_quotas(signals)) and isinstance(signals.quotas, Unknown):
        what = f"cannot be told: {signals.quotas.message}"
        describe = command("gcloud", "compute", "regions", "describe", region, f"--project={asker.project}")
        return Finding("quotas", subject, State.WARN, what, "quota is met only when a node is refused", describe)
    told, enough, lacking, limit = [], False, "", 0.0
    for capacity in service.capacity_types:
        bound = binding_quota(signals, accelerator.type, capacity)
        if bound is None:
            told.append(f"{capacity.value}: cannot be told, {_why_not(signals)}")
            continue
        metric, quota = bound
        told.append(f"{capacity.value}: {metric} {_room(quota)}")
        if quota.free >= accelerator.count:
            enough = True
        elif not lacking:
            lacking, limit = metric, quota.limit
    if enough:
        return well("quotas", subject, "; ".join(told))
    if not lacking:
        look = _where_to_look(accelerator, service.capacity_types[0], signals, asker)
        breaks = "quota is met only when a node is refused"
        return Finding("quotas", subject, State.WARN, "; ".join(told), breaks, look)
    mend = _raise(asker, lacking, limit + service.replicas * accelerator.count, region)
    return Finding("quotas", subject, State.WARN, "; ".join(told), f"no {accelerator.type} from {region}", mend)


def _why_not(signals: RegionSignals) -> str:
    fact = signals.family_quotas
    return fact.message if isinstance(fact, Unknown) and fact.message else "no metric is published"


def _where_to_look(accelerator: Accelerator, capacity: Capacity, signals: RegionSignals, asker: Asker) -> str:
    """Give what makes a quota known that is not: what keeps Cloud Quotas from telling is mended, or it is asked."""
    fact = signals.family_quotas
    if isinstance(fact, Unknown) and fact.reason is UnknownReason.FORBIDDEN:
        enable = command("gcloud", "services", "enable", "cloudquotas.googleapis.com", f"--project={asker.project}")
        return enable if api_disabled(fact.message) else asker.custom_role()
    metric = (family_metric if by_family(accelerator.type) else regional_metric)(accelerator.type, capacity)
    return command(
        "gcloud", "beta", "quotas", "info", "describe", quota_id(metric),
        f"--service={SERVICE}", f"--project={asker.project}",
    )  # fmt: skip


def _raise(asker: Asker, metric: str, limit: float, region: str = "") -> str:
    """Give the command that asks for a higher limit of a metric; one over families names its family too."""
    family = metric.partition("/")[2]
    named = {"region": region, "gpu_family": family}
    dimensions = ",".join(f"{name}={value}" for name, value in named.items() if value)
    return command(
        "gcloud", "beta", "quotas", "preferences", "create", f"--service={SERVICE}", f"--project={asker.project}",
        f"--quota-id={quota_id(metric) if region else PROJECT_QUOTA}",
        *([f"--dimensions={dimensions}"] if dimensions else ()),
        f"--preferred-value={limit:.0f}", "--justification=GPU service",
    )  # fmt: skip


def _room(quota: Quota) -> str:
    most = "" if quota.told else "at most "
    return f"{most}{quota.free:g}/{quota.limit:g} free"
