"""Names for one-dimensional NumPy arrays by the type of their items; a docstring says shape and meaning.

Two more for what the items are: :data:`Bytes` is raw file content, :data:`Bool` a mask.
"""

from __future__ import annotations

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
