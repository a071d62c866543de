"""The kernel's call stacks of a recording: which event each belongs to, and the names of its functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from testbed.observe.kernel.trace_format import Format

STACK = "kernel_stack"
_OF_THE_TRACER = ("trace_event_", "__traceiter_", "event_trigger", "ftrace_", "stack_trace_")
_END = 0xFFFFFFFFFFFFFFFF  # what kernels before Linux 5.2 put after the last


class CallStacks:
    """Stacks, each once. ``names`` are those of the recording: address -> function."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self._names = names
        self._numbers: dict[bytes, int] = {}
        self._stacks: list[tuple[str, ...]] = []
        self._same: dict[tuple[str, ...], int] = {}

    @property
    def all(self) -> Sequence[tuple[str, ...]]:
        """Every stack, by its number: functions from the innermost outwards, without the tracer's own."""
        return self._stacks

    def number(self, made: Format, record: memoryview) -> int:
        """Return the number of the stack in a record of :data:`STACK`."""
        at = made.fields["caller"].offset
        size = min(made.fields["size"].number(record), (len(record) - at) // 8)
        raw = bytes(record[at : at + size * 8])
        if raw not in self._numbers:
            self._numbers[raw] = self._add(tuple(self._functions(raw)))
        return self._numbers[raw]

    def _add(self, stack: tuple[str, ...]) -> int:
        if stack not in self._same:
            self._same[stack] = len(self._stacks)
            self._stacks.append(stack)
        return self._same[stack]

    def _functions(self, raw: bytes) -> list[str]:
        addresses = (int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw), 8))
        named = [self._names.get(address, f"{address:#x}") for address in addresses if address != _END]
        while named and named[0].startswith(_OF_THE_TRACER):
            del named[0]
        return named
