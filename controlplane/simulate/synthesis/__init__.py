"""Capacity that behaves as recorded capacity does, made from a seed, and the measure that tells how alike the two are.

Recorded traces belong to others and are few. What a policy was tuned on it may have learnt by heart; a thousand seeds
of the same shape it cannot. `shape_of` measures any trace, recorded or made, by the same rule.
"""

from controlplane.simulate.synthesis.generate import synthesize
from controlplane.simulate.synthesis.pattern import BANDS, Pattern
from controlplane.simulate.synthesis.shape import Shape, shape_of, table

__all__ = ["BANDS", "Pattern", "Shape", "shape_of", "synthesize", "table"]
