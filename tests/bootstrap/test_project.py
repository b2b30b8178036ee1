"""Bootstrap over a project of the local cloud, through the same clients that reach Google Cloud."""

from copy import deepcopy
from dataclasses import replace

import pytest

from controlplane.api.crd import definitions
from controlplane.bootstrap import project as bootstrapped
from controlplane.bootstrap.emptying import WIRED
from controlplane.bootstrap.remedies import Halted
from controlplane.bootstrap.run import Patience
from controlplane.bootstrap.values import Cluster
from controlplane.gateways.resources import CUSTOM_RESOURCE_DEFINITIONS, GPU_SERVICES
from controlplane.model.offering import ClusterRef

CONFIG, MEMBER = ClusterRef("us-west2", "hunt-config"), ClusterRef("us-central1", "gpu-us-central1")
WEB = {"apiVersion": "gpuhunter.dev/v1alpha1", "kind": "GPUService",
       "metadata": {"name": "web", "namespace": "default"},
       "spec": {"accelerators": [{"type": "nvidia-l4"}], "pod": {"image": "app:1"}}}  # fmt: skip


class Killed(BaseException):
    """The process ends here."""


class Deadly:
    """A handler after whose first write the process ends."""

    def __init__(self, handler):
        self.handler = handler

    def look(self, part):
        return self.handler.look(part)

    def make(self, part, seen):
        self.handler.make(part, seen)
        raise Killed(part.name)

    def remove(self, part, seen):
        self.handler.remove(part, seen)
        raise Killed(part.name)


@pytest.fixture
def deadly(monkeypatch):
    """Have every run end with its first write."""
    table = bootstrapped.handlers
    monkeypatch.setattr(
        bootstrapped, "handlers", lambda gateways: {kind: Deadly(each) for kind, each in table(gateways).items()}
    )


def until_it_ends(begin):
    """Run again and again, each killed after its first write; give what each wrote."""
    written = []
    while True:
        try:
            begin()
        except Killed as killed:
            assert written.count(str(killed)) < 3, written
            written.append(str(killed))
        else:
            return written


def left(project):
    """Give what is in the project beside what a new one has. An API that is not enabled has nothing."""

    def read(path, method="GET"):
        answer = project.call(method, path)
        return answer.json() if answer.status_code == 200 else {}

    place, admin = f"projects/{project.name}/locations", project.google.to_state()["admin"]
    ours = ("gpu-hunter@", "gpu-hunter-build@", "gcp-sa-multiclusteringress", "gke-mcs")
    bindings = read(f"/v1/projects/{project.name}:getIamPolicy", "POST").get("bindings", [])
    found = {
        "clusters": project.host.clusters,
        "memberships": read(f"/v1/{place}/-/memberships"),
        "features": read(f"/v1/{place}/global/features"),
        "accounts": [each for each in admin["accounts"] if each.startswith(ours)],
        "roles": read(f"/v1/projects/{project.name}/roles"),
        "bindings": [each for each in bindings if any(own in member for own in ours for member in each["members"])],
        "repositories": read(f"/v1/{place}/us-west2/repositories"),
        "jobs": read(f"/v2/{place}/us-west2/jobs"),
        "triggers": read(f"/v1/{place}/us-west2/jobs"),
        "buckets": admin["storage"]["buckets"],
        "addresses": read(f"/compute/v1/projects/{project.name}/global/addresses").get("items"),
    }
    return {key: value for key, value in found.items() if value}


def test_an_empty_project_is_made_ready_and_empty_again(project):
    """Plan, apply, apply again, destroy: everything is there, the second time nothing is done, then nothing is left."""
    first = project.bootstrap()
    survey = first.survey()
    assert {step.verb.value for step in survey.steps} <= {"create", "update", "create if absent"}
    made = {name for name, _ in first.apply().done}
    # Memberships come with their clusters; all else is made by itself.
    assert made == {part.name for part in first.parts() if not part.name.startswith("membership")}
    assert project.bootstrap().apply().done == ()
    assert project.bootstrap().survey().changes == ()
    names = [each["metadata"]["name"] for each in project.connect(CONFIG).list(CUSTOM_RESOURCE_DEFINITIONS)]
    assert {"fleets.gpuhunter.dev", "gpuservices.gpuhunter.dev"} <= set(names)
    assert len(left(project)) == 11
    project.bootstrap().destroy()
    assert left(project) == {}
    assert project.bootstrap().destroy().done == ()


def test_what_is_killed_at_every_step_is_resumed(project, deadly):
    """Each run dies right after its first write; together they make all, nothing twice, and then leave nothing."""
    written = until_it_ends(lambda: project.bootstrap().apply())
    parts = {part.name for part in project.bootstrap().parts() if not part.name.startswith("membership")}
    assert sorted(written) == sorted(parts)
    assert project.bootstrap().survey().changes == ()
    until_it_ends(lambda: project.bootstrap().destroy())
    assert left(project) == {}


def test_what_differs_is_brought_to_what_is_wanted(project):
    """New code is a new image and a changed job; a role that lost a permission gets it back; the rest is untouched."""
    project.bootstrap().apply()
    role = f"/v1/projects/{project.name}/roles/gpuHunter"
    project.call("PATCH", f"{role}?updateMask=includedPermissions", {"includedPermissions": ["compute.regions.list"]})
    changed = ["role gpuHunter", "image of the reconciler", "Cloud Run job gpu-hunter"]
    assert [step.part.name for step in project.bootstrap(tag="v2").survey().changes] == changed
    assert [name for name, _ in project.bootstrap(tag="v2").apply().done] == changed
    assert project.bootstrap(tag="v2").survey().changes == ()


def test_a_cluster_of_that_name_is_never_adopted_in_silence(project):
    """The line says how to hand it over; nothing was made, and destroy leaves it standing."""
    project.run(project.host.create(CONFIG.name, CONFIG.location, {}))
    with pytest.raises(Halted) as halt:
        project.bootstrap().apply()
    assert halt.value.message == "cluster us-west2/hunt-config: a cluster of that name is there already"
    assert "--update-labels=gpu-hunter=bootstrap" in halt.value.hint
    project.bootstrap().destroy()
    assert list(project.host.clusters) == [(CONFIG.location, CONFIG.name)]


def test_a_taken_bucket_is_one_line(project):
    """Bucket names are one space for the whole world; the line names the part."""
    project.google._admin._storage.taken.add(f"{project.name}-gpu-hunter-build")
    with pytest.raises(Halted, match="bucket of the build: "):
        project.bootstrap().apply()


def test_missing_permissions_are_told_before_anything_is_made(project):
    """All of them in one line, ahead of the first cluster."""
    project.bootstrap().gateways.administration.write(
        "serviceusage", "POST", f"/v1/projects/{project.name}/services:batchEnable",
        {"serviceIds": ["cloudresourcemanager.googleapis.com", "iam.googleapis.com"]},
    )  # fmt: skip
    project.google.deny(["run.jobs.create", "iam.roles.create"])
    with pytest.raises(Halted) as halt:
        project.bootstrap().apply()
    assert halt.value.message == "permissions: missing: iam.roles.create, run.jobs.create"
    assert "roles/owner" in halt.value.hint
    assert project.host.clusters == {}


def test_an_api_that_may_not_be_enabled_is_one_line(project):
    """The first part needs a permission of its own, and the line names it."""
    project.google.deny(["serviceusage.services.enable"])
    with pytest.raises(Halted) as halt:
        project.bootstrap().apply()
    assert halt.value.message.startswith("APIs: Permission denied to enable services")
    assert "roles/owner" in halt.value.hint


def test_a_quota_that_is_used_up_is_told_with_what_stands(project):
    """The cluster that failed is shown as such, with what to do; once mended and deleted, apply goes on."""
    project.host.refuses = "Insufficient regional quota to satisfy request: resource 'CPUS': request requires '8.0'."
    with pytest.raises(Halted) as halt:
        project.bootstrap().apply()
    assert "Insufficient regional quota" in halt.value.message
    assert "iam-admin/quotas" in halt.value.hint
    failed = {step.part.name: step for step in project.bootstrap().survey().steps if step.seen.state.value == "failed"}
    assert set(failed) == {f"cluster {CONFIG.link}", f"cluster {MEMBER.link}"}
    assert "gcloud container clusters delete" in failed[f"cluster {CONFIG.link}"].seen.remedy
    project.host.refuses = ""
    project.bootstrap().destroy()
    project.bootstrap().apply()
    assert len(project.host.clusters) == 2


def test_a_project_that_cannot_be_seen_is_one_line(project):
    """A mistyped project, or one in which nothing is granted."""
    fleet = project.fleet()
    fleet["spec"]["project"] = "another-project"
    project.name = "another-project"
    with pytest.raises(Halted, match=r"^project another-project: "):
        project.bootstrap(fleet).survey()


def test_gpuservices_keep_it_from_being_taken_down(project):
    """A service that runs is named, and nothing is touched, trigger included."""
    project.bootstrap().apply()
    project.connect(CONFIG).create(GPU_SERVICES, WEB)
    with pytest.raises(Halted, match=r"GPUServices: default/web would be"):
        project.bootstrap().destroy()
    assert project.bootstrap().survey().changes == ()

    def take():
        (found,) = project.connect(CONFIG).list(GPU_SERVICES)
        project.connect(CONFIG).delete(GPU_SERVICES, "web", namespace="default", uid=found["metadata"]["uid"])

    project.bootstrap().destroy(take_services=take)
    assert project.host.clusters == {}


def test_clusters_that_the_fleet_no_longer_names_are_shown_and_taken_down(project):
    """A region that left the Fleet keeps its cluster until destroy, which takes those made on demand too."""
    project.bootstrap(project.fleet("us-central1", "us-east4")).apply()
    project.run(project.host.create("gpu-europe-west4", "europe-west4", {"gpu-hunter": "on-demand"}))
    survey = project.bootstrap().survey()
    assert [ref.link for ref in survey.left_over] == ["europe-west4/gpu-europe-west4", "us-east4/gpu-us-east4"]
    project.bootstrap().destroy()
    assert project.host.clusters == {}


def test_the_clusters_go_only_after_the_load_balancer_has_let_go(project):
    """While an ingress object stands, destroy waits, and in the end says what holds it; features and clusters stand."""
    project.bootstrap().apply()
    mci = WIRED[0]
    assert mci.plural == "multiclusteringresses"
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{mci.plural}.{mci.group}"},
        "spec": {
            "group": mci.group, "scope": "Namespaced",
            "names": {"plural": mci.plural, "singular": "multiclusteringress", "kind": "MultiClusterIngress"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}],
        },
    }  # fmt: skip
    api = project.connect(CONFIG)
    api.apply(definition)
    ingress = {"apiVersion": "networking.gke.io/v1", "kind": "MultiClusterIngress"}
    api.create(mci, {**ingress, "metadata": {"name": "other", "namespace": "default"}, "spec": {}})
    impatient = project.bootstrap()
    impatient.patience = Patience(first=0.01, longest=0.05, whole=0.3)
    with pytest.raises(Halted, match=r"load balancer: still holds the ingress objects default/other"):
        impatient.destroy()
    states = {step.part.name: step.seen.state.value for step in project.bootstrap().survey().steps}
    assert states["feature multiclusteringress"] == "present"
    assert all(
        states[part.name] == "present" for part in project.bootstrap().parts() if isinstance(part.thing, Cluster)
    )


def test_a_config_cluster_that_lacks_a_new_label_of_the_fleet_is_still_emptied_first(project):
    """The Fleet got a label since: apply says how to give it; destroy still asks what is wired, and leaves nothing."""
    project.bootstrap().apply()
    api = project.connect(CONFIG)
    created = api.create(GPU_SERVICES, WEB)
    fleet = project.fleet()
    fleet["spec"]["members"]["labels"] = {"team": "art"}
    with pytest.raises(Halted, match=r"cluster us-west2/hunt-config: it lacks the labels team") as halt:
        project.bootstrap(fleet).apply()
    assert "--update-labels=gpu-hunter=bootstrap,team=art" in halt.value.hint
    with pytest.raises(Halted, match=r"GPUServices: default/web would be"):
        project.bootstrap(fleet).destroy()
    assert project.bootstrap().survey().changes == ()
    api.delete(GPU_SERVICES, "web", namespace="default", uid=created["metadata"]["uid"])
    project.bootstrap(fleet).destroy()
    assert left(project) == {}


def test_a_degraded_config_cluster_is_emptied_first(project, monkeypatch):
    """It may still hold services: destroy asks it, and stops at one, as at a cluster that is well."""
    project.bootstrap().apply()
    project.connect(CONFIG).create(GPU_SERVICES, WEB)
    opened = project.bootstrap()
    look = type(opened.gateways.provisioning).cluster
    monkeypatch.setattr(
        type(opened.gateways.provisioning), "cluster",
        lambda self, ref: (found := look(self, ref)) and replace(found, status="DEGRADED"),
    )  # fmt: skip
    with pytest.raises(Halted, match=r"GPUServices: default/web would be"):
        opened.destroy()


@pytest.mark.parametrize("missing", [False, True], ids=["changed", "missing"])
def test_definitions_of_another_version_are_brought_to_this_one(project, missing):
    """What stands in a cluster with old definitions is looked at all the same, so nothing keeps apply from going on."""
    project.bootstrap().apply()
    api, name = project.connect(CONFIG), "fleets.gpuhunter.dev"
    found = api.get(CUSTOM_RESOURCE_DEFINITIONS, name)
    if missing:
        api.delete(CUSTOM_RESOURCE_DEFINITIONS, name, namespace=None, uid=found["metadata"]["uid"])
    else:
        old = deepcopy(next(each for each in definitions() if each["metadata"]["name"] == name))
        old["spec"]["versions"][0]["additionalPrinterColumns"].pop()
        api.apply(old)
    survey = project.bootstrap().survey()
    assert survey.blocked == ()
    assert "definitions in us-west2/hunt-config" in {step.part.name for step in survey.changes}
    project.bootstrap().apply()
    assert project.bootstrap().survey().changes == ()
