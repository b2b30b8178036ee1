"""What is wrong with an object of ours of any kind: the envelope, and pydantic's complaints in a user's words."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from controlplane.api.problems import Problem, SpecError, did_you_mean
from controlplane.model.naming import GROUP

VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
_TOP_KEYS = ("apiVersion", "kind", "metadata", "spec", "status")
M = TypeVar("M", bound=BaseModel)


def checked(obj: Mapping[str, Any], kind: str, model: type[M], metadata: Iterable[Problem], *, source: str = "") -> M:
    """Check an object and give its spec. Raises SpecError that lists everything wrong at once, `metadata` included."""
    problems = [*_envelope(obj, kind), *metadata]
    spec: M | None = None
    try:
        spec = model.model_validate(obj.get("spec"))
    except ValidationError as error:
        problems += [_problem(dict(item), model, kind) for item in error.errors(include_url=False)]
    if problems or spec is None:
        raise SpecError([Problem(p.path, p.what, p.remedy, source) for p in problems])
    return spec


def _envelope(obj: Mapping[str, Any], kind: str) -> list[Problem]:
    problems = []
    given = obj.get("apiVersion")
    if isinstance(given, str) and given.startswith(f"{GROUP}/") and given != API_VERSION:
        what = f"is {given!r}, a version that this release does not read"
        problems.append(Problem("apiVersion", what, f"update gpuhunter, or write apiVersion: {API_VERSION}"))
    elif given != API_VERSION:
        problems.append(Problem("apiVersion", f"is {given!r}", f"write apiVersion: {API_VERSION}"))
    if obj.get("kind") != kind:
        problems.append(Problem("kind", f"is {obj.get('kind')!r}", f"write kind: {kind}"))
    problems += [
        Problem(str(key), "unknown key", did_you_mean(str(key), _TOP_KEYS, "remove it"))
        for key in obj
        if key not in _TOP_KEYS
    ]
    return problems


def _problem(error: Mapping[str, Any], model: type[BaseModel], kind: str) -> Problem:
    path = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    fault, given = error["type"], error.get("input")
    explained = f"see `kubectl explain {kind.lower()}.spec`"
    if fault == "extra_forbidden":
        key = str(error["loc"][-1])
        otherwise = f"remove it, or update gpuhunter if it is of a newer release; {explained}"
        return Problem(path, "unknown key", did_you_mean(key, _keys(model), otherwise))
    if fault == "missing":
        return Problem(path, "is missing", f"give it a value; {explained}")
    if fault == "value_error":
        what, _, remedy = str(error["ctx"]["error"]).partition("; ")
        return Problem(path, what, remedy or "correct it")
    describe = _EXPLANATIONS.get(fault)
    remedy = describe(error.get("ctx", {})) if describe else error["msg"][:1].lower() + error["msg"][1:]
    return Problem(path, f"{_shown(given)} is not allowed here", remedy)


_EXPLANATIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "write a whole number without quotes",
    "string_type": lambda _: 'write text; put numbers and true/false in quotes, such as "1"',
    "bool_type": lambda _: "write true or false",
    "list_type": lambda _: "write a list",
    "model_type": lambda _: "write a mapping of keys and values",
    "model_attributes_type": lambda _: "write a mapping of keys and values",
    "dict_type": lambda _: "write a mapping of keys and values",
    "float_parsing": lambda _: "write a number",
    "float_type": lambda _: "write a number",
    "finite_number": lambda _: "write a finite number",
    "greater_than": lambda c: f"give more than {c['gt']:g}",
    "greater_than_equal": lambda c: f"give at least {c['ge']:g}",
    "less_than_equal": lambda c: f"give at most {c['le']:g}",
    "too_short": lambda c: f"give at least {c['min_length']} entry",
    "too_long": lambda c: f"give at most {c['max_length']} entries",
    "string_too_short": lambda c: f"give at least {c['min_length']} character(s)",
    "string_too_long": lambda c: f"give at most {c['max_length']} characters",
    "string_pattern_mismatch": lambda c: f"it must match {c['pattern']}",
    "literal_error": lambda c: f"use {c['expected']}",
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys(model: type[BaseModel]) -> set[str]:
    keys: set[str] = set()

    def collect(schema: Any) -> None:
        if isinstance(schema, Mapping):
            keys.update(schema.get("properties", {}))
            for value in schema.values():
                collect(value)
        elif isinstance(schema, list):
            for value in schema:
                collect(value)

    collect(model.model_json_schema())
    return keys
