"""The parts that run passes: the image and what builds it, the Cloud Run job, its trigger."""

from controlplane.bootstrap.access import bound
from controlplane.bootstrap.costs import job_charges
from controlplane.bootstrap.names import BUILDER, NAME, Names, account_part, objects_part
from controlplane.bootstrap.values import (
    LABEL,
    MARK,
    OURS,
    Binding,
    Call,
    Charge,
    Image,
    Part,
    Rest,
    gcloud,
)
from regional_deploy import runner

REPOSITORY, BUCKET, IMAGE, JOB, TRIGGER = (
    f"image repository {NAME}",
    "bucket of the build",
    "image of the reconciler",
    f"Cloud Run job {NAME}",
    f"trigger {NAME}",
)
INVOKER = f"role run.invoker of {NAME}"
RUNNING = (JOB, INVOKER, TRIGGER)
"""What starts passes."""
_BUCKETS = ("storage.buckets.create", "storage.buckets.delete", "storage.buckets.get", "storage.objects.create",
            "storage.objects.delete", "storage.objects.list")  # fmt: skip


def image_parts(names: Names, apis: str) -> tuple[Part, ...]:
    """Give repository, bucket, the builder's rights on both, and the image."""
    writer = _repository_binding(names)
    reader = _bucket_binding(names)
    return (_repository(names, apis), _bucket(names, apis), writer, reader, _image(names, (writer.name, reader.name)))


def job_parts(names: Names, apis: str) -> tuple[Part, ...]:
    """Give the job, the right to start it, and what starts it."""
    return (_job(names, apis), _invoker(names), _trigger(names))


def runner_of(names: Names) -> runner.Runner:
    """Give the values of the job's manifests. Raises ValueError with `field: what is wrong; what to do`."""
    fleet = names.fleet
    return runner.Runner(
        fleet.project, fleet.config.link, f"{names.image}:{names.tag}", names.region, names.account,
        fleet.reconciler.schedule,
    )  # fmt: skip


def _repository(names: Names, apis: str) -> Part:
    where = (f"--location={names.region}", f"--project={names.project}")
    path = f"/v1/{names.repository.rpartition('/')[0]}"
    body = {"format": "DOCKER", "description": MARK, "labels": {LABEL: OURS}}
    return Part(
        REPOSITORY,
        Rest(
            "artifactregistry",
            f"/v1/{names.repository}",
            Call("POST", f"{path}?repositoryId={NAME}", body),
            {"format": "DOCKER"},
            (f"labels.{LABEL}", OURS),
        ),
        (apis,),
        (
            gcloud(
                "artifacts", "repositories", "create", NAME, "--repository-format=docker", *where,
                f"--description={MARK}", f"--labels={LABEL}={OURS}",
            ),
        ),
        (gcloud("artifacts", "repositories", "delete", NAME, *where, "--quiet"),),
        (Charge("image-gib", 0.3),),
        ("artifactregistry.repositories.create", "artifactregistry.repositories.delete",
         "artifactregistry.repositories.get"),
    )  # fmt: skip


def _repository_binding(names: Names) -> Part:
    return bound(
        f"role artifactregistry.writer of {BUILDER}",
        Binding(
            "artifactregistry",
            Call("GET", f"/v1/{names.repository}:getIamPolicy"),
            Call("POST", f"/v1/{names.repository}:setIamPolicy"),
            "roles/artifactregistry.writer",
            f"serviceAccount:{names.builder}",
            REPOSITORY,
        ),
        (REPOSITORY, account_part(BUILDER)),
        command=("artifacts", "repositories"),
        on=(NAME, f"--location={names.region}"),
        options=(f"--project={names.project}",),
        permissions="artifactregistry.repositories",
    )


def _bucket(names: Names, apis: str) -> Part:
    where, own = f"--project={names.project}", f"/storage/v1/b/{names.bucket}"
    lifecycle = {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 7}}]}
    body = {
        "name": names.bucket,
        "location": names.region,
        "labels": {LABEL: OURS},
        "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"},
        "lifecycle": lifecycle,
    }
    url = f"gs://{names.bucket}"
    return Part(
        BUCKET,
        Rest(
            "storage",
            own,
            Call("POST", f"/storage/v1/b?project={names.project}", body),
            {},
            (f"labels.{LABEL}", OURS),
            emptied=f"{own}/o",
        ),
        (apis,),
        (
            gcloud(
                "storage", "buckets", "create", url, f"--location={names.region}", where,
                "--uniform-bucket-level-access", "--public-access-prevention",
            ),
            gcloud("storage", "buckets", "update", url, f"--update-labels={LABEL}={OURS}"),
        ),
        (gcloud("storage", "rm", url, "--recursive"),),
        permissions=_BUCKETS,
    )  # fmt: skip


def _bucket_binding(names: Names) -> Part:
    path = f"/storage/v1/b/{names.bucket}/iam"
    return bound(
        f"role storage.objectViewer of {BUILDER}",
        Binding(
            "storage",
            Call("GET", f"{path}?optionsRequestedPolicyVersion=3"),
            Call("PUT", path),
            "roles/storage.objectViewer",
            f"serviceAccount:{names.builder}",
            BUCKET,
        ),
        (BUCKET, account_part(BUILDER)),
        command=("storage", "buckets"),
        on=(f"gs://{names.bucket}",),
        permissions="storage.buckets",
    )


def _image(names: Names, needs: tuple[str, ...]) -> Part:
    build = runner.cloud_build(names.image, names.tag, names.project, names.builder)
    values = f"_IMAGE={names.image},_VERSION={names.tag}"
    return Part(
        IMAGE,
        Image(names.project, names.region, names.image, names.tag, names.bucket, build),
        (*needs, f"role logging.logWriter of {BUILDER}"),
        (
            gcloud(
                "builds", "submit", ".", "--config=regional_deploy/project/cloudbuild.yaml",
                f"--region={names.region}", f"--project={names.project}",
                f"--gcs-source-staging-dir=gs://{names.bucket}/source",
                f"--service-account=projects/{names.project}/serviceAccounts/{names.builder}",
                f"--substitutions={values}",
            ),
        ),
        (gcloud("artifacts", "docker", "images", "delete", names.image, f"--project={names.project}", "--delete-tags",
                "--quiet"),),
        (Charge("build-minute", 4),),
        ("artifactregistry.dockerimages.list", "cloudbuild.builds.create", "cloudbuild.builds.get",
         "cloudbuild.builds.list", "iam.serviceAccounts.actAs"),
        kept="goes with its repository",
    )  # fmt: skip


def _job(names: Names, apis: str) -> Part:
    values = runner_of(names)
    where = (f"--region={names.region}", f"--project={names.project}")
    body = runner.cloud_run_job_v2(values) | {"labels": {LABEL: OURS}}
    parent = names.job.rpartition("/")[0]
    us = ("gpuhunter", f"--project={names.project}", f"--config-cluster={names.fleet.config.link}")
    source = (*us, "runner", "job", f"--image={values.image}", f"--region={names.region}")
    return Part(
        JOB,
        Rest(
            "run",
            f"/v2/{names.job}",
            Call("POST", f"/v2/{parent}?jobId={NAME}", body),
            {"template": body["template"]},
            (f"labels.{LABEL}", OURS),
            update=Call("PATCH", f"/v2/{names.job}", body),
            operations="/v2/",
        ),
        (apis, account_part(NAME), IMAGE),
        (gcloud("run", "jobs", "replace", "-", *where, source=source),),
        (gcloud("run", "jobs", "delete", NAME, *where, "--quiet"),),
        job_charges(values.schedule, vcpus=1, gib=0.5),
        ("iam.serviceAccounts.actAs", "run.jobs.create", "run.jobs.delete", "run.jobs.get", "run.jobs.update",
         "run.operations.get"),
    )  # fmt: skip


def _invoker(names: Names) -> Part:
    return bound(
        INVOKER,
        Binding(
            "run",
            Call("GET", f"/v2/{names.job}:getIamPolicy"),
            Call("POST", f"/v2/{names.job}:setIamPolicy"),
            "roles/run.invoker",
            f"serviceAccount:{names.account}",
            JOB,
        ),
        (JOB,),
        command=("run", "jobs"),
        on=(NAME, f"--region={names.region}"),
        options=(f"--project={names.project}",),
        permissions="run.jobs",
    )


def _trigger(names: Names) -> Part:
    values = runner_of(names)
    body = runner.trigger(values) | {"description": f"Starts a pass of GPU Hunter. {MARK}"}
    path = f"/v1/{names.job}"
    wanted = {"schedule": body["schedule"], "timeZone": body["timeZone"], "httpTarget": body["httpTarget"]}
    undo = ("scheduler", "jobs", "delete", NAME, f"--location={names.region}", f"--project={names.project}", "--quiet")
    return Part(
        TRIGGER,
        Rest(
            "cloudscheduler",
            path,
            Call("POST", path.rpartition("/")[0], body),
            wanted,
            ("description", "Starts a pass of GPU Hunter."),
            update=Call("PATCH", f"{path}?updateMask=schedule,timeZone,httpTarget,description", body),
        ),
        (INVOKER, objects_part(names.fleet.config)),
        (gcloud(*runner.trigger_command(values)[1:]),),
        (gcloud(*undo),),
        (Charge("trigger"),),
        ("cloudscheduler.jobs.create", "cloudscheduler.jobs.delete", "cloudscheduler.jobs.get",
         "cloudscheduler.jobs.update", "iam.serviceAccounts.actAs"),
    )  # fmt: skip
