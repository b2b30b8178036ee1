"""The status of the Fleet that users read: its clusters, why each belongs or not, and what is not known of them.

`kubectl get fleet` prints from here. Nothing in it changes while the fleet stays as it is, so that a quiet pass has
nothing to write: of what could not be asked it tells the kind of failure, and not the failure's own words.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.api.status import rfc3339
from controlplane.model.facts import Known, Unknown
from controlplane.model.fleet import ClusterStanding, FleetSeen, FleetSpec, IngressFeatureSeen

LABEL, ON_DEMAND = "gpu-hunter", "on-demand"
SHOWN_OTHERS = 50
Told = tuple[str, str, str, str]
"""A condition's type, status, reason and message."""


def fleet_status(
    stored: Mapping[str, Any],
    spec: FleetSpec | None,
    seen: Known[FleetSeen] | Unknown,
    now: datetime,
    *,
    problem: str = "",
) -> dict[str, Any]:
    """Give the whole status; what another part keeps there (`memory`) stays. `problem`: why `spec` is None.

    What could not be seen keeps the clusters as they were told last, under a condition that says so.
    """
    previous: Mapping[str, Any] = stored.get("status") or {}
    generation = int(stored.get("metadata", {}).get("generation", 0))
    status: dict[str, Any] = {**previous, "observedGeneration": generation}
    if isinstance(seen, Known):
        members = [each for each in seen.value.standings if each.belongs]
        others = [each for each in seen.value.standings if not each.belongs]
        status["clusters"] = f"{sum(each.usable for each in members)}/{len(members)}"
        status["members"] = [_member(each) for each in members]
        status["others"] = [_other(each) for each in others[:SHOWN_OTHERS]]
        if spec is not None:
            status["onDemand"] = _on_demand(spec, seen.value)
    told = [_valid(problem), _complete(seen), _ingress(seen)]
    status["conditions"] = _conditions(told, previous.get("conditions"), generation, now)
    return status


def _on_demand(spec: FleetSpec, seen: FleetSeen) -> str:
    made = sum(each.labels.get(LABEL) == ON_DEMAND for each in seen.standings)
    most = spec.on_demand.max_clusters if spec.on_demand else 0
    return f"{made}/{most}" if most or made else "none"


def _member(each: ClusterStanding) -> dict[str, str]:
    shown = {
        "cluster": each.ref.link,
        "region": each.ref.region,
        "state": "LEAVING" if each.leaving else each.state,
        "version": each.version,
        "endpoint": each.endpoint,
        "reason": each.why,
        "ingress": each.ingress,
    }
    return {key: value for key, value in shown.items() if value}


def _other(each: ClusterStanding) -> dict[str, str]:
    state = {"state": "LEAVING"} if each.leaving else {}
    return {"cluster": each.ref.link, "reason": each.why, **state}


def _valid(problem: str) -> Told:
    if problem:
        return "Valid", "False", "SpecInvalid", problem
    return "Valid", "True", "SpecValid", "the Fleet can be used"


def _complete(seen: Known[FleetSeen] | Unknown) -> Told:
    if isinstance(seen, Unknown):
        return "Discovered", "Unknown", seen.reason.value, "the project's clusters could not be listed"
    memberships = seen.value.memberships
    if isinstance(memberships, Unknown):
        text = "the hub did not tell the fleet's memberships; what GKE says of them stands in"
        return "Discovered", "Unknown", memberships.reason.value, text
    if seen.value.unlisted:
        text = f"left out: {', '.join(seen.value.unlisted)}; clusters there are not taken to be gone"
        return "Discovered", "Unknown", "ListIncomplete", text
    return "Discovered", "True", "ListComplete", f"{len(seen.value.standings)} clusters besides the config cluster"


def _ingress(seen: Known[FleetSeen] | Unknown) -> Told:
    feature = seen.value.feature if isinstance(seen, Known) else seen
    if isinstance(feature, Unknown):
        return "IngressFeature", "Unknown", feature.reason.value, "the fleet's ingress feature could not be asked"
    return _feature(feature.value)


def _feature(feature: IngressFeatureSeen) -> Told:
    name = "IngressFeature"
    if not feature.enabled:
        text = "`gcloud container fleet ingress enable` with the config cluster's membership enables it"
        return name, "False", "NotEnabled", text
    if feature.ours is False:
        return name, "False", "OtherConfigCluster", f"its config membership is {feature.membership or 'none'}"
    if feature.code:
        return name, "False" if feature.code == "ERROR" else "Unknown", feature.code.capitalize(), feature.says
    return name, "True", "Enabled", "the config cluster holds the ingress objects"


def _conditions(told: list[Told], previous: object, generation: int, now: datetime) -> list[dict[str, Any]]:
    before = {str(c.get("type")): c for c in previous if isinstance(c, Mapping)} if isinstance(previous, list) else {}
    own = {kind for kind, *_ in told}
    kept = [dict(condition) for kind, condition in before.items() if kind not in own]
    result = []
    for kind, status, reason, message in told:
        old = before.get(kind, {})
        same = old.get("status") == status and "lastTransitionTime" in old
        result.append(
            {
                "type": kind,
                "status": status,
                "reason": reason,
                "message": message,
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same else rfc3339(now),
            }
        )
    return [*result, *kept]
