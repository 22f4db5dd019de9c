"""The kinds of arrays that statistics take and give."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""Scores, or differences of scores, one for each item; NaN where there is none."""
Mask: TypeAlias = NDArray[np.bool_]
"""Which items are meant."""
