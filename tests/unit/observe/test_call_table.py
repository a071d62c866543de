"""The table of socket calls is what each observer and the language have."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from testbed.analysis.calls.call_effects import duplicate_of, is_accept, is_close, starts_connection
from testbed.model import Call
from testbed.model.call_table import CALLS, FORKS, LIBRARY_NAMES, ROWS
from testbed.observe.probe.probe_arguments import DECODERS

COMPOSE = Path(__file__).parents[3] / "compose"


def call(name: str, **args: object) -> Call:
    return Call(0, "client", 1, 1, "x", name, 3, args, 1, 2, 4)


def test_each_call_has_one_row() -> None:
    assert len(CALLS) == len(ROWS)


def test_the_probe_logs_the_calls_of_its_column() -> None:
    """Each wrapper in C names the record that it begins by NAME("...")."""
    sources = [path.read_text(encoding="utf-8") for path in COMPOSE.rglob("*.[ch]")]
    wrapped = {name for text in sources for name in re.findall(r'\bNAME\("(\w+)"\)', text)}
    assert wrapped == {name for name, row in CALLS.items() if row.probe} == set(DECODERS)


def test_gdb_stops_at_the_system_calls_of_its_column() -> None:
    """On x86-64, which has all of them; held_memory.py runs in gdb and cannot be imported here."""
    tree = ast.parse((COMPOSE / "debugger" / "held_memory.py").read_text(encoding="utf-8"))
    (numbers,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["NUMBERS"]
    )
    assert isinstance(numbers, ast.IfExp)
    assert isinstance(numbers.body, ast.Call)
    of_the_library_alone = {*LIBRARY_NAMES.values(), "fclose"}
    expected = {name for name, row in CALLS.items() if row.gdb} - of_the_library_alone
    assert {word.arg for word in numbers.body.keywords} == expected | {*FORKS, "exit_group"}


def test_what_calls_do_to_descriptors() -> None:
    """The analysis takes it from the table; fcntl's effect depends on its command."""
    assert {name for name in CALLS if is_accept(call(name))} == {"accept", "accept4"}
    closing = {"close", "closesocket", "fclose", "close_range", "closefrom", "dup2", "dup3"}
    assert {name for name in CALLS if is_close(call(name))} == closing
    assert {name for name in CALLS if duplicate_of(call(name)) == 4} == {"dup", "dup2", "dup3"}
    assert duplicate_of(call("fcntl", command="F_DUPFD_CLOEXEC")) == 4
    assert {name for name in CALLS if starts_connection(call(name))} == {"connect"}
    assert starts_connection(call("sendto", flags="MSG_FASTOPEN"))
    assert not is_close(call("a-call-that-is-not-in-the-table"))
