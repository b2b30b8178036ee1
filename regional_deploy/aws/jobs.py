"""Array jobs of AWS Batch: looked for by name before one is submitted, for Batch itself takes the same twice."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
LARGEST_ARRAY = 10_000  # https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html


@dataclass(frozen=True, slots=True)
class Target:
    """Where jobs go: the names of a queue and of a job definition, the address of the results, pictures a shard."""

    queue: str
    definition: str
    output: str
    shard_size: int


def request(target: Target, batch: str, parameters: str, pictures: int) -> Json:
    """Give what `submit-job` is asked for: one index a shard, and no array for a single one, which Batch refuses."""
    size = max(target.shard_size, -(-pictures // LARGEST_ARRAY))
    shards = -(-pictures // size)
    array = {"arrayProperties": {"size": shards}} if shards > 1 else {}
    return {
        "jobName": batch,
        "jobQueue": target.queue,
        "jobDefinition": target.definition,
        "parameters": {"parameters": parameters, "out": target.output, "shard_size": str(size)},
        **array,
    }


class BatchJobs:
    """The jobs of one queue, through boto3's client of Batch."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def find(self, queue: str, name: str) -> str:
        """Give the id of the oldest job of this name, however it fares or ended; empty if there is none."""
        pages = self._client.get_paginator("list_jobs").paginate(
            jobQueue=queue,
            filters=[{"name": "JOB_NAME", "values": [name]}],  # of any state: a filter by name puts that by state off
        )
        jobs = [job for page in pages for job in page["jobSummaryList"] if job["jobName"] == name]
        return str(min(jobs, key=lambda job: job["createdAt"])["jobId"]) if jobs else ""

    def submit(self, request: Json) -> str:
        """Submit a job; give its id."""
        return str(self._client.submit_job(**request)["jobId"])
