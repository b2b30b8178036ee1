"""The published JSON Schema says what the reader takes."""

import json
from pathlib import Path

import jsonschema
import pytest

import webui_image.batch
from webui_image.batch.parameters import ParametersError, read, schema

PUBLISHED = Path(webui_image.batch.__file__).with_name("parameters.schema.json")


def test_what_is_published_is_what_the_code_makes():
    """The file beside the package is the schema of this very code."""
    assert PUBLISHED.read_text() == schema.text()
    jsonschema.Draft202012Validator.check_schema(json.loads(PUBLISHED.read_text()))


CASES = {
    "single": ({"prompt": "a", "steps": 3, "name": "x"}, True),
    "list": ([{"prompt": "a"}, "b"], True),
    "all": ({"defaults": {"cfg": 3}, "images": ["a"], "matrix": {"seed": [1, 2]}, "name": "x"}, True),
    "range": ({"images": [{"prompt": "a", "matrix": {"seed": "1..3"}}]}, True),
    "hires": ({"prompt": "a", "hires": {"scale": 2}}, True),
    "hires flag": ({"prompt": "a", "hires": True}, True),
    "override": ({"prompt": "a", "override_settings": {"sd_model_checkpoint": "m"}}, True),
    "null": ({"prompt": "a", "steps": None}, True),
    "loras": ({"prompt": "a", "loras": {"x": 0.5}}, True),
    "unknown key": ({"prompt": "a", "step": 3}, False),
    "unknown at top": ({"images": ["a"], "steps": 3}, False),
    "odd size": ({"prompt": "a", "width": 63}, False),
    "text for a number": ({"prompt": "a", "steps": "3"}, False),
    "bad name": ({"prompt": "a", "name": "../x"}, False),
    "empty axis": ({"prompt": "a", "matrix": {"seed": []}}, False),
    "hires key": ({"prompt": "a", "hires": {"scal": 2}}, False),
}


@pytest.mark.parametrize("case", CASES)
def test_schema_and_reader_agree(case, tmp_path):
    """A file is valid for an editor exactly when the reader takes it."""
    data, good = CASES[case]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    assert jsonschema.Draft202012Validator(schema.schema()).is_valid(data) is good
    try:
        read(path)
    except ParametersError:
        assert not good
    else:
        assert good


def test_every_key_is_described():
    """Whoever completes a key in an editor reads what it means."""
    parts = schema.schema()["$defs"]
    assert [name for name, part in parts.items() if "description" not in part and "$ref" not in part] == ["entry"]
