"""What a user can do with a project: see how it stands and what it would cost, make it ready, take it down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.bootstrap.blueprint import Documents, blueprint, extra_clusters
from controlplane.bootstrap.emptying import Emptying
from controlplane.bootstrap.handlers import handlers
from controlplane.bootstrap.names import Names, cluster_part
from controlplane.bootstrap.plan import Step, Verb, apply_plan, destroy_plan
from controlplane.bootstrap.ports import Gateways
from controlplane.bootstrap.remedies import Halted, halted
from controlplane.bootstrap.run import Outcome, Patience, Run, Say
from controlplane.bootstrap.running import RUNNING
from controlplane.bootstrap.values import LABEL, OURS, STANDING, Cluster, Part, State, thing
from controlplane.clock import Clock
from controlplane.gateways.administration import disabled
from controlplane.gateways.errors import GatewayError
from controlplane.model.fleet import FleetSpec
from controlplane.model.growth import ON_DEMAND
from controlplane.model.offering import ClusterRef


@dataclass(frozen=True, slots=True)
class Survey:
    """How a project stands, and what is done about it.

    missing: permissions that the caller lacks; None while that cannot be told. left_over: clusters of ours that the
    Fleet does not name.
    """

    steps: tuple[Step, ...]
    missing: tuple[str, ...] | None
    left_over: tuple[ClusterRef, ...] = ()

    @property
    def blocked(self) -> tuple[Step, ...]:
        """Those that nothing can be done about by us."""
        return tuple(step for step in self.steps if step.verb is Verb.REFUSE)

    @property
    def changes(self) -> tuple[Step, ...]:
        """Those that something is done about."""
        return tuple(step for step in self.steps if step.verb is not Verb.KEEP)


@dataclass(slots=True)
class Bootstrap:
    """One project. tag: of the reconciler's image. Nothing is asked before the first call."""

    fleet: FleetSpec
    documents: Documents
    tag: str
    gateways: Gateways
    clock: Clock
    say: Say
    patience: Patience = field(default_factory=Patience)
    _names: Names | None = None

    def names(self) -> Names:
        """Give what everything is called. Raises Halted when the project cannot be seen."""
        if self._names is None:
            project = self.fleet.project
            try:
                number = self.gateways.administration.number()
            except GatewayError as error:
                raise halted(f"project {project}", error, api="serviceusage", project=project) from error
            self._names = Names(self.fleet, number, self.tag)
        return self._names

    def parts(self) -> tuple[Part, ...]:
        """Give all parts that the Fleet needs. Raises Halted when the project cannot be seen."""
        return blueprint(self.names(), self.documents)

    def survey(self, *, destroy: bool = False) -> Survey:
        """Look at everything and say what would be done. Writes nothing."""
        extra = self._left_over()
        parts = self._all(extra) if destroy else self.parts()
        seen = self._run(parts).look()
        steps = (destroy_plan if destroy else apply_plan)(parts, seen)
        wanted = sorted({each for step in steps if step.verb is not Verb.KEEP for each in step.part.permissions})
        return Survey(steps, self._missing(wanted), tuple(extra))

    def apply(self) -> Outcome:
        """Make what is missing. Raises Halted with what to do; all that was made until then stands."""
        parts = self.parts()
        run = self._run(parts)

        def permitted() -> None:
            """Ask before anything is made that costs something, so that nothing is left half made."""
            missing = self._missing(sorted({each for part in parts for each in part.permissions}))
            if missing:
                raise Halted("permissions", f"missing: {', '.join(missing)}", self._grant())

        return run.apply(after={parts[0].name: permitted})

    def destroy(self, *, take_services: Callable[[], None] | None = None) -> Outcome:
        """Take down what is ours, in the order that leaks nothing. Raises Halted.

        take_services: deletes GPUServices and waits until they are gone; without it, those that are there stop it.
        """
        parts = self._all(self._left_over())
        run = self._run(parts)
        clusters = [part for part in parts if isinstance(part.thing, Cluster)]
        stands = run.look_at(next(part for part in clusters if part.name == cluster_part(self.fleet.config)))
        if stands.state is State.UNKNOWN:
            raise Halted(cluster_part(self.fleet.config), stands.detail, stands.remedy)
        if stands.state not in STANDING:
            return run.destroy()  # nothing can be wired without it: it is the last to go, or was never made
        emptying = Emptying(self.fleet, self.gateways, self.clock, self.say, self.patience)
        emptying.check(take=take_services is not None)

        def unwired() -> None:
            if take_services is not None:
                take_services()
            emptying.wait([thing(part, Cluster).ref for part in clusters])

        return run.destroy(before={last_unwired(parts): unwired})

    def _all(self, extra: Mapping[ClusterRef, str]) -> tuple[Part, ...]:
        """Give the parts with those of clusters that the Fleet does not name; these go after all that needs them."""
        first, *rest = self.parts()
        return (first, *extra_clusters(self.names(), extra), *rest)

    def _left_over(self) -> dict[ClusterRef, str]:
        """Find clusters of ours that the Fleet does not name: of a region that was taken out, or made on demand.

        Gives the label by which each is told. Raises Halted while some regions cannot be listed.
        """
        named = {part.thing.ref for part in self.parts() if isinstance(part.thing, Cluster)}
        try:
            listing = self.gateways.provisioning.clusters()
        except GatewayError as error:
            if disabled(error):
                return {}
            raise halted("clusters", error, api="container", project=self.fleet.project) from error
        if listing.unlisted:
            what = f"those of {', '.join(listing.unlisted)} could not be listed"
            raise Halted("clusters", what, "run this again once they can be")
        found = {ref: each.labels.get(LABEL, "") for ref, each in listing.clusters.items() if ref not in named}
        return {ref: label for ref, label in sorted(found.items()) if label in (OURS, ON_DEMAND)}

    def _missing(self, wanted: Sequence[str]) -> tuple[str, ...] | None:
        try:
            has = self.gateways.administration.granted(wanted)
        except GatewayError:
            return None  # the API that tells is not enabled, or may not be asked; the calls themselves tell
        return tuple(each for each in wanted if each not in has)

    def _grant(self) -> str:
        return (
            "grant them to the account that runs this, or an owner's role: `gcloud projects add-iam-policy-binding"
            f" {self.fleet.project} --member=user:EMAIL --role=roles/owner`; then run this again"
        )

    def _run(self, parts: Sequence[Part]) -> Run:
        table = handlers(self.gateways)
        return Run(parts, table, self.gateways.administration, self.clock, self.say, self.fleet.project, self.patience)


def last_unwired(parts: Sequence[Part]) -> str:
    """Give the part ahead of which, on the way back, the address must lead nowhere; what starts passes is gone then."""
    return next(part.name for part in reversed(parts) if not part.kept and part.name not in RUNNING)
