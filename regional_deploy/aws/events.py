"""Which files does an event speak of: S3's notification, as it comes directly or through SQS, or the timetable's.

An event says no more than that it is worth looking. What lies in the inbox decides, so that events may come twice, in
any order, or not at all.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

Json = Mapping[str, Any]
EVERYTHING = None


class UnknownEventError(ValueError):
    """An event of a kind that nobody sends here; the message says what was seen."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message: its id in the queue (empty for what came directly) and what to read of it."""

    message: str
    body: Json | str

    def keys(self, bucket: str) -> tuple[str, ...] | None:
        """Give the objects of the bucket that it names; EVERYTHING for the timetable's. Raises UnknownEventError."""
        body = self._parsed()
        if body.get("source") == "aws.events":
            return EVERYTHING
        if body.get("Event") == "s3:TestEvent":
            return ()
        records = body.get("Records")
        if not isinstance(records, list):
            raise UnknownEventError(f"an event with the keys {sorted(map(str, body))[:8]} is none of S3's")
        return tuple(dict.fromkeys(_keys(records, bucket)))

    def _parsed(self) -> Json:
        body = self.body
        if isinstance(body, str):
            try:
                body = json.loads(body)
            except ValueError as error:
                raise UnknownEventError(f"a message of {len(self.body)} characters is no JSON") from error
        if not isinstance(body, Mapping):
            raise UnknownEventError("a message is no JSON object")
        return body


def notices(event: Json) -> list[Notice]:
    """Give the messages of what the function was called with."""
    records = event.get("Records")
    if isinstance(records, list) and records and records[0].get("eventSource") == "aws:sqs":
        return [Notice(str(record["messageId"]), str(record["body"])) for record in records]
    return [Notice("", event)]


def _keys(records: list[Json], bucket: str) -> Iterator[str]:
    try:
        for record in records:
            if record["s3"]["bucket"]["name"] == bucket:
                yield unquote_plus(record["s3"]["object"]["key"])  # spaces come as plus signs
    except (KeyError, TypeError) as error:
        raise UnknownEventError("a record names no object of S3") from error
