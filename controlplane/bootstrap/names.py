"""What everything that bootstrap makes is called: fixed names, so that a second run finds what the first one made."""

import re
from dataclasses import dataclass

from controlplane.model.fleet import FleetSpec
from controlplane.model.offering import ClusterRef

NAME = "gpu-hunter"
BUILDER = "gpu-hunter-build"
ROLE = "gpuHunter"
GROWTH_ROLE = "gpuHunterGrowth"
IMAGE = "reconciler"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Names:
    """The names in one project. number: the project's number, which its service agents are called after."""

    fleet: FleetSpec
    number: str
    tag: str

    def __post_init__(self) -> None:
        if not _TAG.fullmatch(self.tag):
            raise ValueError(f"{self.tag!r} is no tag of an image")

    @property
    def project(self) -> str:
        """Give the project's id."""
        return self.fleet.project

    @property
    def region(self) -> str:
        """Give the region of the job, its trigger, its image and the build's bucket."""
        return self.fleet.reconciler.region

    @property
    def account(self) -> str:
        """Give the email of the account that passes run as."""
        return self.email(NAME)

    @property
    def builder(self) -> str:
        """Give the email of the account that builds images."""
        return self.email(BUILDER)

    @property
    def role(self) -> str:
        """Give the custom role's full name."""
        return f"projects/{self.project}/roles/{ROLE}"

    @property
    def bucket(self) -> str:
        """Give the bucket for the code that is built; bucket names are one space for the whole world."""
        return f"{self.project.replace(':', '-').replace('.', '-')}-{NAME}-build"

    @property
    def repository(self) -> str:
        """Give the image repository's full name."""
        return f"projects/{self.project}/locations/{self.region}/repositories/{NAME}"

    @property
    def image(self) -> str:
        """Give the reconciler's image, without its tag. A domain-scoped project is a path: example.com/project."""
        return f"{self.region}-docker.pkg.dev/{self.project.replace(':', '/')}/{NAME}/{IMAGE}"

    @property
    def job(self) -> str:
        """Give the full name of the Cloud Run job, and of its trigger."""
        return f"projects/{self.project}/locations/{self.region}/jobs/{NAME}"

    @property
    def pool(self) -> str:
        """Give the workload identity pool of the project's clusters."""
        return f"{self.project}.svc.id.goog"

    def email(self, name: str) -> str:
        """Give the email of a service account; a domain-scoped project example.com:p is p.example.com there."""
        domain, _, own = self.project.rpartition(":")
        return f"{name}@{own}{f'.{domain}' if domain else ''}.iam.gserviceaccount.com"


def account_part(name: str) -> str:
    """Give the name of a service account's part."""
    return f"service account {name}"


def cluster_part(ref: ClusterRef) -> str:
    """Give the name of a cluster's part."""
    return f"cluster {ref.link}"


def objects_part(ref: ClusterRef) -> str:
    """Give the name of the part that stands for the objects in a cluster."""
    return f"objects in {ref.link}"
