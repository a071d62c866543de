"""Source lines out of real debug information: compiled here, read in parts as through an agent."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.model import Call
from testbed.observe.source_lines import SourceLines

pytestmark = pytest.mark.skipif(shutil.which("objdump") is None, reason="no objdump on this machine")
SOURCE = Path(__file__).parents[2] / "compose" / "own-program" / "client.c"
SEND_LINE = next(n for n, line in enumerate(SOURCE.read_text().splitlines(), 1) if " = send(" in line)
CALL = Call(0, "client", 1, 1, "client", "send", 3, {}, 1, 2, 1)


class Host:
    """Files of this machine, read as a host's; ``parts`` counts the bytes that travelled."""

    def __init__(self) -> None:
        self.bytes = 0

    def read(self, path: str, offset: int, length: int) -> bytes:
        with Path(path).open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        self.bytes += len(data)
        return data


def compiled(tmp_path: Path, *flags: str) -> tuple[Path, int]:
    """Return a program and the return address of its call of send."""
    program = tmp_path / "client"
    subprocess.run(["cc", *flags, "-o", program, SOURCE], check=True)
    listing = subprocess.run(["objdump", "-d", program], check=True, capture_output=True, text=True).stdout.splitlines()
    (at,) = (n for n, line in enumerate(listing) if "<send@plt>" in line and ("call" in line or "\tbl" in line))
    return program, int(listing[at + 1].partition(":")[0], 16)


@pytest.mark.parametrize(
    "flags",
    [
        ("-g",),
        ("-g", "-O2"),
        ("-g", "-gdwarf-2"),
        ("-g", "-gdwarf-4"),
        ("-g", "-gz"),
        ("-g", "-no-pie"),
    ],
    ids=" ".join,
)
def test_a_return_address_is_the_line_of_its_call(flags: tuple[str, ...], tmp_path: Path) -> None:
    """Every DWARF version, compressed or not, position-independent or not."""
    program, address = compiled(tmp_path, *flags)
    (call,) = SourceLines(Host().read).fill([replace(CALL, caller=f"{program}+{address:#x}")])
    assert call.source == f"client.c:{SEND_LINE}"


def test_no_debug_information_costs_only_the_headers(tmp_path: Path) -> None:
    """Of a stripped program of 6 MB two blocks are read, and nothing is invented."""
    program, address = compiled(tmp_path)
    with program.open("ab") as file:
        file.truncate(6 << 20)
    host = Host()
    (call,) = SourceLines(host.read).fill([replace(CALL, caller=f"{program}+{address:#x}")])
    assert call.source is None
    assert host.bytes <= 2 << 16


def test_what_cannot_be_read_is_left_open(tmp_path: Path) -> None:
    """A module that is gone, one that is no ELF file, one cut off within its debug information, an address in none."""
    program, address = compiled(tmp_path, "-g")
    (tmp_path / "text").write_text("no program")
    (tmp_path / "cut").write_bytes(program.read_bytes()[: program.stat().st_size - 3000])
    callers = [f"{tmp_path}/gone+0x10", f"{tmp_path}/text+0x10", f"{tmp_path}/cut+{address:#x}", "0x7f00", None]
    calls = SourceLines(Host().read).fill([replace(CALL, caller=caller) for caller in callers])
    assert [call.source for call in calls] == [None] * len(callers)


def test_a_module_is_opened_once(tmp_path: Path) -> None:
    """A thousand calls of one line cost what one costs."""
    program, address = compiled(tmp_path, "-g")
    host = Host()
    lines = SourceLines(host.read)
    calls = [replace(CALL, n=n, caller=f"{program}+{address:#x}") for n in range(1000)]
    assert {call.source for call in lines.fill(calls)} == {f"client.c:{SEND_LINE}"}
    once = host.bytes
    lines.fill(calls)
    assert host.bytes == once <= program.stat().st_size
