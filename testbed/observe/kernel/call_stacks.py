"""The kernel's call stacks of a recording: which event each belongs to, and the names of its functions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice

from testbed.observe.kernel.trace_format import Format

STACK = "kernel_stack"
_OF_THE_TRACER = ("trace_event_", "__traceiter_", "event_trigger", "ftrace_", "stack_trace_")
_END = 0xFFFFFFFFFFFFFFFF  # what kernels before Linux 5.2 put after the last
_PROVEN = 64
"""Names that must be the same before a list of symbols counts as that of the recording's kernel."""


class CallStacks:
    """Stacks, each once. ``names`` are those of the recording: address -> function."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = dict(names)
        self._numbers: dict[bytes, int] = {}
        self._stacks: list[tuple[str, ...]] = []

    def number(self, made: Format, record: memoryview) -> int:
        """Return the number of the stack in a record of :data:`STACK`."""
        at = made.fields["caller"].offset
        size = min(made.fields["size"].number(record), (len(record) - at) // 8)
        return self._numbers.setdefault(bytes(record[at : at + size * 8]), len(self._numbers))

    def learn(self, address: int, name: str) -> None:
        """Take the name of a function that begins at an address."""
        self._names[address] = name

    def look_up(self, symbols: Callable[[], str], others: Collection[int] = ()) -> None:
        """Name what the recording names not by the text of ``/proc/kallsyms``, read only if it is needed.

        ``others``: addresses of functions that are in no stack.
        """
        wanted = {address for raw in self._numbers for address in _addresses(raw)}.union(others) - self._names.keys()
        if wanted:
            self._names.update(named_by(symbols(), self._names, wanted))

    def name(self, address: int) -> str:
        """Return the name of the function at an address, or the address where it has none."""
        return self._names.get(address, f"{address:#x}")

    @property
    def all(self) -> Sequence[tuple[str, ...]]:
        """Every stack, by its number: functions from the innermost outwards, without the tracer's own."""
        for raw in islice(self._numbers, len(self._stacks), None):
            self._stacks.append(tuple(self._functions(raw)))
        return self._stacks

    def _functions(self, raw: bytes) -> list[str]:
        named = [self.name(address) for address in _addresses(raw)]
        while named and named[0].startswith(_OF_THE_TRACER):
            del named[0]
        return named


def named_by(symbols: str, known: Mapping[int, str], wanted: Iterable[int]) -> dict[int, str]:
    """Return the functions at some addresses by the text of ``/proc/kallsyms``.

    Nothing where it gives ``known`` addresses other names: then it is another kernel's, or its addresses are hidden.
    """
    lines = [line.split(None, 3) for line in symbols.splitlines()]
    functions: dict[int, str] = {}
    for words in lines:
        if len(words) > 2 and words[1] in "tTwW":
            functions.setdefault(int(words[0], 16), words[2])  # of several names the kernel takes the first
    starts = sorted(functions)

    def name(address: int) -> str:
        at = bisect_right(starts, address)
        return functions[starts[at - 1]] if at else ""

    if not known or any(name(address) != function for address, function in islice(known.items(), _PROVEN)):
        return {}
    return {address: found for address in wanted if (found := name(address))}


def _addresses(raw: bytes) -> list[int]:
    found = (int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8))
    return [address for address in found if address != _END]
