"""The parameters file: the one place that knows its format.

    name: shapes                # folder of the pictures; none: the file's own name
    defaults: {steps: 12, size: 64x64}
    matrix: {seed: 1..3}        # every entry with every seed
    images:
    - prompt: a red circle
    - prompt: a blue square
      count: 4                  # seeds seed, seed + 1, ...
    prompts_file: more.txt      # one prompt a line

A bare list is `images:`, a mapping with a `prompt` is one picture. JSON, JSON Lines and CSV say the same in their ways;
A1111's "prompts from file" and the text in its pictures are read as well. `keys.py` has every key, `schema.py` makes a
JSON Schema of it. Needs the standard library, PyYAML and `webui_image.values`, for pictures Pillow.
"""

from webui_image.batch.parameters.limits import Names
from webui_image.batch.parameters.pictures import Batch, MaskFile, Picture, SourceFile
from webui_image.batch.parameters.problems import ParametersError, Problem
from webui_image.batch.parameters.reader import parse, read

__all__ = ["Batch", "MaskFile", "Names", "ParametersError", "Picture", "Problem", "SourceFile", "parse", "read"]
