"""The worker that ``invoke doctor`` starts in a kernel of our own: it says which kernel it is in.

usage: python -m testbed.lab.uml.probe_guest DIRECTORY
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from testbed.lab.uml.order_book import OrderBook


def serve(directory: Path) -> None:
    """Answer every order with the kernel's version."""
    orders = OrderBook(directory)
    while True:
        orders.next()
        orders.answer(platform.release().encode())


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
