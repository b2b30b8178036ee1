"""What differs between accounts, checked before anything is rendered of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

INSTANCE_TYPES = ("g6.xlarge", "g5.xlarge", "g4dn.xlarge")  # an L4, an A10G, a T4
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*")
_SECRET = re.compile(
    r"arn:aws:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+(:[^:\s]*:[^:\s]*:[^:\s]*)?"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Settings:
    """An account, a bucket in it, and what shall run there.

    account: its twelve digits. image: the web UI's, with tag or digest. subnets: with a way to the Internet or to the
    endpoints of ECS, ECR and S3. secrets: ARNs in Secrets Manager by the worker's variable. max_vcpus: bounds what runs
    at once; an instance has four for each GPU. Raises ValueError with `option: what is wrong; what to do`.
    """

    account: str
    region: str
    bucket: str
    image: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    name: str = "gpu-hunter"
    inbox: str = "inbox"
    output: str = "pictures"
    instance_types: tuple[str, ...] = INSTANCE_TYPES
    max_vcpus: int = 16
    on_demand: bool = False
    model: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)
    shard_size: int = 50

    def __post_init__(self) -> None:
        inbox, output = f"{self.inbox}/", f"{self.output}/"
        apart = not (inbox.startswith(output) or output.startswith(inbox))
        checks = (
            ("account", re.fullmatch(r"[0-9]{12}", self.account), "is no account; give its twelve digits"),
            ("region", re.fullmatch(r"[a-z]{2}-[a-z]+-[0-9]", self.region), "is no region; give one such as us-east-1"),
            ("bucket", re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", self.bucket), "is no bucket; give its name"),
            ("image", re.fullmatch(r"\S+[:@]\S+", self.image), "names no version; add :TAG or @sha256:DIGEST"),
            ("subnet", _all(r"subnet-[0-9a-f]+", self.subnets), "is no list of subnets; give such as subnet-0a1b"),
            ("security-group", _all(r"sg-[0-9a-f]+", self.security_groups), "is no list of groups; give such as sg-0a"),
            ("name", re.fullmatch(r"[a-z][a-z0-9-]{2,39}", self.name), "is no name; give 3 to 40 of a-z, 0-9 and -"),
            ("inbox", _FOLDER.fullmatch(self.inbox), "is no folder; give one such as inbox"),
            ("output", _FOLDER.fullmatch(self.output), "is no folder; give one such as pictures"),
            ("output", apart, f"and the inbox {self.inbox} lie in one another; give folders side by side"),
            ("instance-type", _all(r"[a-z0-9-]+\.[a-z0-9]+", self.instance_types), "is no type; give e.g. g6.xlarge"),
            ("max-vcpus", 4 <= self.max_vcpus <= 10_000, "fits no instance; give 4 for each GPU"),
            ("model", re.fullmatch(r"(s3|hf|https)://\S+|", self.model), "is no address; give s3://, hf:// or https://"),
            ("shard-size", 1 <= self.shard_size <= 10_000, "is no size; give 1 to 10000 pictures"),
        )  # fmt: skip
        for option, fits, wrong in checks:
            if not fits:
                value = getattr(self, _FIELDS.get(option, option.replace("-", "_")))
                raise ValueError(f'{option}: "{", ".join(value) if isinstance(value, tuple) else value}" {wrong}')
        for variable, arn in self.secrets.items():
            if not _VARIABLE.fullmatch(variable) or not _SECRET.fullmatch(arn):  # which may be the secret: never shown
                what = f"what {variable[:40]!r} stands for is no ARN of Secrets Manager"
                raise ValueError(f"secret: {what}; put the secret there, and give VARIABLE=ARN")

    @property
    def inbox_uri(self) -> str:
        """The address of the inbox."""
        return f"s3://{self.bucket}/{self.inbox}"

    @property
    def output_uri(self) -> str:
        """The address below which results lie."""
        return f"s3://{self.bucket}/{self.output}"

    def arn(self, service: str, what: str) -> str:
        """Give the ARN of what this account has in the region, or everywhere for IAM."""
        return f"arn:aws:{service}:{'' if service == 'iam' else self.region}:{self.account}:{what}"

    def objects(self, below: str) -> str:
        """Give the ARN of objects of the bucket."""
        return f"arn:aws:s3:::{self.bucket}/{below}"


_FIELDS = {"subnet": "subnets", "security-group": "security_groups", "instance-type": "instance_types"}


def _all(pattern: str, values: tuple[str, ...]) -> bool:
    return bool(values) and all(re.fullmatch(pattern, value) for value in values)
