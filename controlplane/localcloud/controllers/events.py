"""Events: what a person sees under `kubectl describe`, and what the reconciler classifies refusals by.

Like client-go's recorder, the same thing said again about the same object raises the count of the first Event instead
of adding one. Events are best effort: a refused write (a namespace that is going away) is dropped.
"""

import logging
from collections import OrderedDict
from datetime import timedelta
from typing import Literal

from controlplane.localcloud.apiserver.api import Api, ApiError, Object
from controlplane.localcloud.clock import Clock, rfc3339
from controlplane.localcloud.controllers.objects import parse_time

log = logging.getLogger(__name__)

REMEMBERED = 4096
LONGEST_MESSAGE = 1024
# So many different texts for the same reason within this time, and the rest are told as one Event.
SIMILAR = 10
SIMILAR_SECONDS = 600.0
TIME_TO_LIVE = timedelta(hours=1)
SWEEP_SECONDS = 60.0

Subject = tuple[str, ...]


class EventRecorder:
    """Writes the Events of one component."""

    def __init__(self, api: Api, clock: Clock, component: str) -> None:
        self._api = api
        self._clock = clock
        self._component = component
        self._names: OrderedDict[Subject, str] = OrderedDict()
        self._similar: OrderedDict[Subject, tuple[set[str], float]] = OrderedDict()

    def record(self, involved: Object, type: Literal["Normal", "Warning"], reason: str, message: str) -> None:  # noqa: A002 - the Event field's name
        """Say that this happened to the object, now."""
        meta = involved["metadata"]
        namespace = meta.get("namespace") or "default"
        message = message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "..."
        group = (namespace, involved["kind"], meta["name"], str(meta.get("uid", "")), type + "/" + reason)
        subject = (*group, message)
        if self._is_repetitive(group, message):
            subject = (*group, "")
            message = f"(combined from similar events): {message}"
        try:
            if not self._again(subject, message):
                self._names[subject] = self._first(involved, namespace, type, reason, message)
                while len(self._names) > REMEMBERED:
                    self._names.popitem(last=False)
        except ApiError as error:
            log.debug("event %s about %s was not written: %s", reason, meta["name"], error.message)

    def _is_repetitive(self, group: tuple[str, ...], message: str) -> bool:
        """Say whether this is one of very many texts that differ in a name only, such as of refused Pods."""
        now = self._clock.monotonic()
        texts, since = self._similar.pop(group, (set(), now))
        if now - since > SIMILAR_SECONDS:
            texts, since = set(), now
        known = message in texts
        if len(texts) < SIMILAR:
            texts.add(message)
            known = True
        self._similar[group] = (texts, since)
        while len(self._similar) > REMEMBERED:
            self._similar.popitem(last=False)
        return not known

    def _again(self, subject: Subject, message: str) -> bool:
        name = self._names.get(subject)
        if name is None:
            return False
        self._names.move_to_end(subject)
        event = self._api.find("events", name, subject[0])
        if event is None:
            del self._names[subject]
            return False
        count = int(event.get("count") or 1) + 1
        change = {"count": count, "lastTimestamp": rfc3339(self._clock.now()), "message": message}
        self._api.patch("events", name, change, subject[0])
        return True

    def _first(self, involved: Object, namespace: str, kind: str, reason: str, message: str) -> str:
        now = self._clock.now()
        meta = involved["metadata"]
        stamp = rfc3339(now)
        suffix = f"{int(now.timestamp() * 1e6) * 1000:x}"
        reference = {
            "kind": involved["kind"],
            "namespace": meta.get("namespace"),
            "name": meta["name"],
            "uid": meta.get("uid"),
            "apiVersion": involved.get("apiVersion"),
            "resourceVersion": meta.get("resourceVersion"),
        }
        body: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{suffix}", "namespace": namespace},
            "involvedObject": {name: value for name, value in reference.items() if value},
            "type": kind,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "eventTime": None,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
        }
        return self._create(body, namespace)

    def _create(self, body: Object, namespace: str) -> str:
        """Create under a name made of the time; two in one instant are told apart by counting the name up."""
        stem, _, suffix = body["metadata"]["name"].rpartition(".")
        number = int(suffix, 16)
        while True:
            try:
                self._api.create("events", body, namespace)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                number += 1
                body["metadata"]["name"] = f"{stem}.{number:x}"
            else:
                return str(body["metadata"]["name"])


class EventExpiry:
    """Deletes Events an hour after they were last seen, as the lease in etcd does."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api = api
        self._clock = clock

    async def run(self) -> None:
        """Sweep now and then until cancelled."""
        while True:
            self.sweep()
            await self._clock.sleep(SWEEP_SECONDS)

    def sweep(self) -> None:
        """Delete what is old enough."""
        oldest = self._clock.now() - TIME_TO_LIVE
        for event in self._api.list("events"):
            meta = event["metadata"]
            stamps = (event.get("lastTimestamp"), (event.get("series") or {}).get("lastObservedTime"))
            seen = max(
                (time for stamp in (*stamps, event.get("eventTime")) if (time := parse_time(stamp))), default=None
            )
            seen = seen or parse_time(meta.get("creationTimestamp"))
            if seen is not None and seen < oldest:
                try:
                    self._api.delete("events", meta["name"], meta.get("namespace"))
                except ApiError as error:
                    log.debug("event %s was not deleted: %s", meta["name"], error.message)
