"""Custom resources against their schema, with texts recorded from a real server unless a newer release words them."""

import pytest

from controlplane.localcloud.apiserver.schema import types_from_crd

_TEXT = {"type": "string"}
_PROPERTIES = {
    "str": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^a"},
    "num": {"type": "number", "minimum": 1, "maximum": 5, "exclusiveMaximum": True},
    "int": {"type": "integer", "default": 3, "multipleOf": 3},
    "en": {"type": "string", "enum": ["A", "B"]},
    "ios": {"x-kubernetes-int-or-string": True},
    "ar": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
    "st": {"type": "array", "items": _TEXT, "x-kubernetes-list-type": "set"},
    "mp": {
        "type": "array",
        "items": {"type": "object", "required": ["k"], "properties": {"k": _TEXT}},
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
    },
    "m": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2},
    "nul": {"type": "string", "nullable": True},
    "dt": {"type": "string", "format": "date-time"},
    "one": {
        "type": "object",
        "properties": {"a": _TEXT, "b": _TEXT},
        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "any": {
        "type": "object",
        "properties": {"a": _TEXT, "b": _TEXT},
        "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
    },
    "no": {"type": "object", "properties": {"a": _TEXT}, "not": {"required": ["a"]}},
    "req": {"type": "object", "required": ["x", "y"], "properties": {"x": _TEXT, "y": _TEXT}},
}


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        pytest.param({"str": "abcde"}, "spec.str: Too long: may not be more than 4 bytes", id="too long"),
        pytest.param(
            {"str": "b"},
            'spec.str: Invalid value: "b": spec.str in body should be at least 2 chars long',
            id="too short",
        ),
        pytest.param(
            {"str": "bb"}, "spec.str: Invalid value: \"bb\": spec.str in body should match '^a'", id="pattern"
        ),
        pytest.param(
            {"str": 1},
            'spec.str: Invalid value: "integer": spec.str in body must be of type string: "integer"',
            id="type",
        ),
        pytest.param(
            {"num": 0.5},
            "spec.num: Invalid value: 0.5: spec.num in body should be greater than or equal to 1",
            id="minimum",
        ),
        pytest.param({"num": 5}, "spec.num: Invalid value: 5: spec.num in body should be less than 5", id="maximum"),
        pytest.param(
            {"int": 4}, "spec.int: Invalid value: 4: spec.int in body should be a multiple of 3", id="multiple"
        ),
        pytest.param({"en": "C"}, 'spec.en: Unsupported value: "C": supported values: "A", "B"', id="enumeration"),
        pytest.param(
            {"ios": True},
            'spec.ios: Invalid value: "boolean": spec.ios in body must be of type integer,string: "boolean"',
            id="int or string",
        ),
        pytest.param(
            {"ar": []}, "spec.ar: Invalid value: 0: spec.ar in body should have at least 1 items", id="few items"
        ),
        pytest.param({"ar": ["a", "b", "c"]}, "spec.ar: Too many: 3: must have at most 2 items", id="many items"),
        pytest.param({"st": ["a", "a"]}, 'spec.st[1]: Duplicate value: "a"', id="set"),
        pytest.param({"mp": [{"k": "a"}, {"k": "a"}]}, 'spec.mp[1]: Duplicate value: {"k":"a"}', id="map list"),
        pytest.param({"mp": [{}]}, "spec.mp[0].k: Required value", id="key missing"),
        pytest.param(
            {"m": {"a": "x"}},
            'spec.m.a: Invalid value: "string": spec.m.a in body must be of type integer: "string"',
            id="map value",
        ),
        pytest.param(
            {"dt": "x"},
            'spec.dt: Invalid value: "x": spec.dt in body must be of type date-time: "x"',
            id="format",
        ),
        pytest.param(
            {"one": {"a": "1", "b": "2"}},
            '<nil>: Invalid value: "": "spec.one" must validate one and only one schema (oneOf). '
            "Found 2 valid alternatives",
            id="two alternatives",
        ),
        pytest.param(
            {"any": {}},
            '[<nil>: Invalid value: "": "spec.any" must validate at least one schema (anyOf), '
            "spec.any.a: Required value]",
            id="no alternative",
        ),
        pytest.param(
            {"no": {"a": "1"}},
            '<nil>: Invalid value: "": "spec.no" must not validate the schema (not)',
            id="not",
        ),
        pytest.param({"req": {}}, "[spec.req.x: Required value, spec.req.y: Required value]", id="required"),
    ],
)
def test_what_does_not_fit(create, make_crd, spec, complaint):
    """Each keyword of the schema has its complaint."""
    (info,) = types_from_crd(make_crd(_PROPERTIES))
    body = {"apiVersion": "e.io/v1", "kind": "Gpu", "metadata": {"name": "g"}, "spec": spec}
    code, message, causes = create(body, info)
    assert (code, message) == (422, f'Gpu.e.io "g" is invalid: {complaint}')
    assert causes


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"str": "abc", "num": 1.5, "int": 6, "en": "A"}, id="plain values"),
        pytest.param({"ios": 5}, id="int of int-or-string"),
        pytest.param({"ios": "5%"}, id="string of int-or-string"),
        pytest.param({"nul": None}, id="nullable"),
        pytest.param({"dt": "2026-01-01T00:00:00Z"}, id="date-time"),
        pytest.param({"one": {"a": "1"}}, id="one alternative"),
        pytest.param({"num": 2}, id="a whole number is a number"),
    ],
)
def test_what_fits(create, make_crd, spec):
    """Valid values come back, with the default that was missing."""
    (info,) = types_from_crd(make_crd(_PROPERTIES))
    body = {"apiVersion": "e.io/v1", "kind": "Gpu", "metadata": {"name": "g"}, "spec": spec}
    code, obj = create(body, info)
    assert (code, obj["spec"]) == (201, {"int": 3, **spec})


@pytest.mark.parametrize(
    ("properties", "complaint"),
    [
        pytest.param(
            {"a": {}},
            ".properties[a].type: Required value: must not be empty for specified object fields",
            id="no type",
        ),
        pytest.param(
            {"a": {"type": "array"}}, ".properties[a].items: Required value: must be specified", id="no items"
        ),
        pytest.param(
            {"a": {"type": "integer", "default": "x"}},
            '.properties[a].default: Invalid value: "string":  in body must be of type integer: "string"',
            id="wrong default",
        ),
        pytest.param(
            {"a": {"type": "object", "properties": {"x": _TEXT}, "additionalProperties": _TEXT}},
            ".properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive",
            id="two kinds of map",
        ),
        pytest.param(
            {"a": {"type": "string", "anyOf": [{"type": "string"}]}},
            ".properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
            id="type in a junctor",
        ),
        pytest.param(
            {"a": {"type": "array", "items": _TEXT, "uniqueItems": True}},
            ".properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity "
            "becomes quadratic",
            id="unique items",
        ),
    ],
)
def test_schemas_that_are_not_structural(create, make_crd, properties, complaint):
    """A definition whose schema leaves types open is refused."""
    code, message, _ = create(make_crd(properties))
    field = "spec.validation.openAPIV3Schema.properties[spec]"
    assert (code, message) == (
        422,
        f'CustomResourceDefinition.apiextensions.k8s.io "gpus.e.io" is invalid: {field}{complaint}',
    )


def test_names_must_match(create, make_crd):
    """A definition is named after its plural and group."""
    crd = make_crd()
    crd["metadata"]["name"] = "x.e.io"
    code, message, _ = create(crd)
    assert code == 422
    assert 'metadata.name: Invalid value: "x.e.io": must be spec.names.plural+"."+spec.group' in message


def test_a_definition_gets_its_names(create, make_crd):
    """Singular, list kind and the conversion strategy are defaulted."""
    _, crd = create(make_crd())
    assert crd["spec"]["names"]["singular"] == "gpu"
    assert crd["spec"]["names"]["listKind"] == "GpuList"
    assert crd["spec"]["conversion"] == {"strategy": "None"}
