"""Files of users: GPUServices, GPUBatches and a Fleet, in any number of documents; every mistake with its remedy."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from controlplane.api import fleet, gpubatch, parse
from controlplane.api.loading import Document, load_documents
from controlplane.api.prices import DEFAULT_TABLE, check_affordable, load_prices
from controlplane.api.problems import Problem, SpecError, did_you_mean
from controlplane.model.fleet import FleetSpec

Json = dict[str, Any]
KINDS = (parse.KIND, gpubatch.KIND, fleet.KIND)


def read_objects(file: Path, *, prices: Path | None = None) -> list[Json]:
    """Read and check all objects of a file. Raises SpecError that names every line that is wrong."""
    table = load_prices(prices or DEFAULT_TABLE)
    problems: list[Problem] = []
    objects: list[Json] = []
    for document in load_documents(file):
        try:
            match _kind(document.object):
                case fleet.KIND:
                    fleet.parse_fleet(document.object)
                case gpubatch.KIND:
                    gpubatch.parse_batch(document.object)
                case _:
                    check_affordable(parse.parse_service(document.object), table, source="")
            objects.append(dict(document.object))
        except SpecError as error:
            problems += _placed(error, document)
    if sum(each["kind"] == fleet.KIND for each in objects) > 1:
        problems.append(Problem("", "holds more than one Fleet", "keep one of them", str(file)))
    if problems:
        raise SpecError(problems)
    return objects


def read_fleet(file: Path) -> FleetSpec:
    """Read the Fleet of a file, which may hold other kinds besides. Raises SpecError."""
    found = [
        document for document in load_documents(file) if document.object.get("kind") not in (parse.KIND, gpubatch.KIND)
    ]
    if len(found) != 1:
        what = "holds no Fleet" if not found else "holds more than one Fleet"
        raise SpecError([Problem("", what, f"write one object of kind {fleet.KIND} into it", str(file))])
    try:
        return fleet.parse_fleet(found[0].object)
    except SpecError as error:
        raise SpecError(_placed(error, found[0])) from error


def _kind(obj: Mapping[str, Any]) -> str:
    kind = obj.get("kind")
    if kind not in KINDS:
        advice = did_you_mean(str(kind), KINDS, f"write kind: {' or '.join(KINDS)}")
        raise SpecError([Problem("kind", f"is {kind!r}", advice)])
    return str(kind)


def _placed(error: SpecError, document: Document) -> list[Problem]:
    return [replace(problem, source=document.place(problem.path)) for problem in error.problems]
