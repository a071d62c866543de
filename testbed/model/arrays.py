"""Names for one-dimensional NumPy arrays by the type of their items, and the set of an array's values.

Two more for what the items are: :data:`Bytes` is raw file content, :data:`Bool` a mask.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]
UInt16 = NDArray[np.uint16]
UInt32 = NDArray[np.uint32]
UInt64 = NDArray[np.uint64]
Float64 = NDArray[np.float64]
AnyInt = NDArray[np.integer]
Bytes = UInt8

Item = TypeVar("Item", bound=np.generic)


def distinct(values: NDArray[Item]) -> NDArray[Item]:
    """Return the values of an array, each once, in ascending order; none may be NaN.

    It is ``np.unique`` without its question whether the array is masked, which loads ``numpy.ma``: 25 ms of every run.
    """
    ordered = np.sort(values, axis=None)
    chosen: NDArray[Item] = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
    return chosen
