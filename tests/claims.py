"""Claims that cannot hold by accident."""

from __future__ import annotations

from typing import Any

import numpy as np


def every(mask: Any) -> bool:
    """Return whether there is at least one item, and all are true: `all()` of nothing proves nothing."""
    items = np.asarray(mask, np.bool_)
    return bool(items.size and items.all())
