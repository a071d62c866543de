"""The worker in a kernel of our own: makes the lab part of runs, one after the other. Started by its first process.

usage: python -m testbed.run.inside DIRECTORY (see :class:`testbed.lab.uml.order_book.OrderBook`)
"""

from __future__ import annotations

import sys
from pathlib import Path

from testbed.lab.uml.inside_engine import OwnKernel
from testbed.lab.uml.order_book import OrderBook
from testbed.run.through_guest import carry_out_inside

MODULE = "testbed.run.inside"


_WRITTEN_WITHIN = "10"
"""Hundredths of a second, of its clock, after which what was written is in the machine's files: a kernel that dies
takes the rest with it."""
_SETTINGS = ("dirty_writeback_centisecs", "dirty_expire_centisecs")


def serve(directory: Path) -> None:
    """Carry orders out for ever: the kernel is ended from outside."""
    for name in _SETTINGS:
        Path(f"/proc/sys/vm/{name}").write_text(_WRITTEN_WITHIN, encoding="ascii")
    orders = OrderBook(directory)
    make_engine = OwnKernel()
    while True:
        order = orders.next()
        make_engine.is_first = orders.number == 1
        orders.answer(carry_out_inside(order, make_engine, orders))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
