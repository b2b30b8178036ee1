"""What AWS Lambda calls: an event comes in, and the files that it names are taken.

Through a queue each message fails for itself and comes back later; what came directly fails as a whole, and Lambda
calls again. After some tries the message goes to the queue of dead letters. Permissions and addresses are the
operator's to mend, so they count as failures too: the file waits in the inbox.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from controlplane.model.inbox import wanted
from regional_deploy.aws.events import EVERYTHING, Notice, notices
from regional_deploy.aws.jobs import BatchJobs, Target
from regional_deploy.aws.taking import Jobs, Taking
from webui_image.batch.places import Tray, place_of
from webui_image.values.errors import WebUIError

Json = Mapping[str, Any]
_log = logging.getLogger("gpu_hunter")


@dataclass(frozen=True, slots=True)
class Wired:
    """The function's surroundings: the inbox's address and folder, where jobs go, and who submits them."""

    inbox: str
    tray: Tray
    jobs: Jobs
    target: Target


def wire(environ: Mapping[str, str]) -> Wired:
    """Read the function's variables and open what they name. Raises KeyError for one that is missing."""
    import boto3  # noqa: PLC0415 - a test of one event needs no client

    inbox = environ["GPU_HUNTER_INBOX"].rstrip("/")
    target = Target(
        queue=environ["GPU_HUNTER_JOB_QUEUE"],
        definition=environ["GPU_HUNTER_JOB_DEFINITION"],
        output=environ["GPU_HUNTER_OUTPUT"].rstrip("/"),
        shard_size=int(environ["GPU_HUNTER_SHARD_SIZE"]),
    )
    return Wired(inbox, place_of(inbox), BatchJobs(boto3.client("batch")), target)


def handle(event: Json, _context: object) -> Json:
    """Take what an event names; give the messages of a queue that shall come again."""
    return answer(event, wire(os.environ))


def answer(event: Json, wired: Wired) -> Json:
    """Do so in given surroundings."""
    taking = Taking(wired.inbox, wired.tray, wired.jobs, wired.target)
    failed = []
    for notice in notices(event):
        error = _taken(notice, wired.inbox, taking)
        if error is not None and not notice.message:
            raise error
        if error is not None:
            failed.append({"itemIdentifier": notice.message})
    return {"batchItemFailures": failed}


def _taken(notice: Notice, inbox: str, taking: Taking) -> Exception | None:
    """Take all files of a message; give the first error, which keeps no other file from being taken."""
    first: Exception | None = None
    try:
        names = _names(notice, inbox, taking)
    except Exception as error:  # noqa: BLE001 - a message that cannot be read goes to the dead letters
        return _logged(notice.message or "event", error)
    for name in names:
        try:
            taking.take(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, the file stays and is looked at again
            first = first or _logged(name, error)
    return first


def _logged(what: str, error: Exception) -> Exception:
    text = str(error) if isinstance(error, WebUIError) else f"{type(error).__name__}: {error}"
    _log.error("%s: %s; it is tried again", what, text)
    return error


def _names(notice: Notice, inbox: str, taking: Taking) -> list[str]:
    address = urlsplit(inbox)
    keys = notice.keys(address.netloc)
    if keys is EVERYTHING:
        return taking.waiting()
    folder = address.path.strip("/") + "/"
    names = [key.removeprefix(folder) for key in keys if key.startswith(folder)]
    return [name for name in names if wanted(name)]
