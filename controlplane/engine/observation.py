"""One service's part of the view, with what each of its offerings costs: the observation that is decided on.

Prices are joined here, for only here is it known which offerings concern a service. Google Cloud's live Spot prices
are taken where they are sane beside the table of prices; a mistake there must not move a service.
"""

import math
from collections.abc import Iterable, Mapping

from controlplane.engine.ports import AdviceSource
from controlplane.engine.view import View
from controlplane.engine.wirings import Wirings, ingress_fact
from controlplane.model.facts import Known, Unknown, map_fact
from controlplane.model.observation import Advice, ClusterInfo, Member, Observation
from controlplane.model.offering import Capacity, ClusterRef, Offering
from controlplane.model.service import ServiceSpec

Prices = Mapping[tuple[str, str, Capacity], float]
DEAREST_SPOT = 2.0
"""A live Spot price above so many times the on-demand price of the table is taken for a mistake."""


def observation_of(
    spec: ServiceSpec,
    view: View,
    wirings: Wirings,
    prices: Prices,
    advice: AdviceSource | None = None,
    *,
    remembered: Iterable[Offering] = (),
) -> Observation:
    """Give what concerns one service. `remembered`: what it held before; a silent region is paid for all the same."""
    infos = {ref: _info(view, ref) for ref in view.members}
    key = (spec.namespace, spec.name)
    members = {
        ref: Member(infos[ref], map_fact(fact, lambda workloads: workloads.get(key, ())))
        for ref, fact in view.members.items()
    }
    offerings = [
        Offering(ref, accelerator, capacity)
        for ref in sorted(infos)
        for accelerator in spec.accelerators
        for capacity in spec.capacity_types
    ]
    held = [w.offering for m in members.values() if isinstance(m.workloads, Known) for w in m.workloads.value]
    possible = [offering for offering in offerings if spec.regions.permits(offering.region)]
    advised = advice.advice(possible) if advice is not None else {}
    priced = {
        offering: price
        for offering in {*offerings, *held, *remembered}
        if (price := _price(offering, prices, advised.get(offering))) is not None
    }
    return Observation(
        at=view.at,
        fleet=map_fact(view.fleet, lambda listing: listing.clusters),
        members=members,
        signals=view.signals,
        ingress=ingress_fact(spec, view.wiring, wirings, view.health, view.at),
        project_gpu_quota=view.project_gpu_quota,
        prices=priced,
        advice=advised,
        unlisted=view.unlisted,
    )


def _price(offering: Offering, prices: Prices, advice: Known[Advice] | Unknown | None) -> float | None:
    """Give USD per GPU-hour: for Spot what Google Cloud says, where it is sane beside the table; else the table's."""
    kind, region = offering.accelerator.type, offering.region
    listed = prices.get((kind, region, offering.capacity))
    told = advice.value.spot_price if isinstance(advice, Known) else None
    if offering.capacity is not Capacity.SPOT or told is None:
        return listed
    live, on_demand = told / offering.accelerator.count, prices.get((kind, region, Capacity.ON_DEMAND), 0.0)
    return live if math.isfinite(live) and 0 < live <= DEAREST_SPOT * on_demand else listed


def _info(view: View, ref: ClusterRef) -> ClusterInfo:
    listed = view.fleet.value.clusters if isinstance(view.fleet, Known) else ()
    return next((info for info in listed if info.ref == ref), ClusterInfo(ref))
