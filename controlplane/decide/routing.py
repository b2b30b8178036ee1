"""Which clusters the address is wired to: always a whole list, never an empty one, additions before removals.

A cluster enters with its first Ready Pod. It stays while a placement that the service means to keep holds a GPU there,
so that a readiness blip does not reprogram a global load balancer; the load balancer's own health checks bridge that.
It leaves only while another cluster of the list is known to be healthy.
"""

from controlplane.decide.world import Holding, World
from controlplane.model.decision import WireIngress
from controlplane.model.offering import ClusterRef
from controlplane.model.service import ServiceSpec
from controlplane.model.template import ingress_spec_hash


def route(spec: ServiceSpec, world: World, goal: int, *, may_remove: bool) -> WireIngress | None:
    """Give the list to write into the service's wiring, or None when it stands as it should or must not be touched.

    What must stay for now is left in here already: a guard would take the additions out along with the removal.
    """
    ingress = world.ingress
    if ingress is None or ingress.foreign:
        return None
    current = frozenset(ingress.clusters or ())
    entering = {h.link for h in world.holdings if _enters(h)} - current
    leaving = frozenset(link for link in current if not _stays(spec, world, link)) if may_remove else frozenset()
    if not _enough(world, current - leaving, leaving, goal):
        leaving -= {h.link for h in world.holdings if h.serving} | unseen_but_healthy(world)
    if not healthy(world, current - leaving):
        leaving = frozenset()
    wanted = tuple(sorted((current | entering) - leaving))
    left = ingress.kind is not spec.ingress.kind  # its list is kept, its settings are not touched any more
    changed = not left and ingress.spec_hash != ingress_spec_hash(spec)
    if not wanted or (wanted == tuple(sorted(current)) and not changed):
        return None
    why = _why(entering, leaving)
    adds, removes = tuple(sorted(entering)), tuple(sorted(leaving))
    return WireIngress(wanted, adds, removes, why, kind=ingress.kind, list_only=left)


def _enough(world: World, rest: frozenset[str], leaving: frozenset[str], goal: int) -> bool:
    """Tell whether enough serve without the leaving ones; where the user forbids a region, one elsewhere is enough."""
    expelled = all(not h.permitted for h in world.holdings if h.link in leaving and h.serving)
    serving = sum(h.serving for h in world.holdings if h.link in rest and h.visible)
    return serving >= (min(1, goal) if expelled else goal)


def unseen_but_healthy(world: World) -> frozenset[str]:
    """Give the clusters that did not answer although the load balancer sees healthy backends in their region."""
    health = world.health or {}
    return frozenset(c.link for c in world.clusters if c not in world.visible and health.get(c.region, 0) > 0)


def healthy(world: World, links: frozenset[str]) -> frozenset[str]:
    """Give the clusters among these in whose region the load balancer is known to see a healthy backend."""
    if world.health is None:
        return frozenset()
    held = {h.link: h.region for h in world.holdings if h.serving and not h.lost}
    return frozenset(link for link in links if link in held and world.health.get(held[link], 0) > 0)


def _enters(holding: Holding) -> bool:
    return holding.visible and holding.kept and holding.ready > 0 and holding.impaired < holding.scheduled


def _stays(spec: ServiceSpec, world: World, link: str) -> bool:
    here = [h for h in world.holdings if h.link == link]
    cluster = next((c for c in world.clusters if c.link == link), None)
    if cluster is None or link in world.gone:
        return False
    if cluster in world.visible:
        return any(h.kept and h.scheduled > h.impaired for h in here) or _left_out(world, cluster)
    if not spec.regions.permits(cluster.region) or (here and not any(h.kept for h in here)):
        return False
    silent = any(h.lost for h in here) or not here
    return not (silent and world.health is not None and not world.health.get(cluster.region, 0))


def _left_out(world: World, cluster: ClusterRef) -> bool:
    """Tell whether a cluster shows nothing of the service while the load balancer sees it answer from there.

    A list that was cut short looks like that. A Deployment that somebody deleted does too, until its Pods are gone.
    """
    shown = [h for h in world.holdings if h.offering.cluster == cluster and h.workload is not None]
    going = [w for w in world.removing.values() if w.offering.cluster == cluster]
    others = [c for c in world.clusters if c.region == cluster.region and c != cluster]
    answers = world.health is not None and world.health.get(cluster.region, 0) > 0
    return answers and not shown and not going and not others


def _why(entering: set[str], leaving: frozenset[str]) -> str:
    told = []
    if entering:
        told.append(f"Ready in {', '.join(sorted(entering))}")
    if leaving:
        told.append(f"{', '.join(sorted(leaving))} is not to take traffic any more")
    return "; ".join(told) or "the ingress settings changed"
