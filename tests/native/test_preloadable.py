"""Why the probe cannot see a program, told from the executable: compiled here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from testbed.observe.preloadable import why_not_preloadable

MUSL = "-Wl,-dynamic-linker,/lib/ld-musl-x86_64.so.1"
GO_SECTION = 'const char build[] __attribute__((section(".go.buildinfo"))) = "x"; int main(void) { return 0; }\n'


@pytest.mark.parametrize(
    ("source", "flags", "expected"),
    [
        ("int main(void) { return 0; }\n", (), ""),
        ("int main(void) { return 0; }\n", ("-static",), "it is statically linked"),
        (GO_SECTION, ("-static",), "a Go program, which is statically linked"),
        (GO_SECTION, (), "a Go program, which makes system calls without the C library"),
        ("int main(void) { return 0; }\n", (MUSL,), "it is made for another C library, musl"),
    ],
    ids=["dynamic", "static", "static Go", "dynamic Go", "musl"],
)
def test_each_kind_of_program(source: str, flags: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    """Static, Go and musl's programs are told; of any other nothing is said."""
    (tmp_path / "program.c").write_text(source)
    program = tmp_path / "program"
    subprocess.run(["cc", *flags, "-o", program, tmp_path / "program.c"], check=True)
    with program.open("rb", buffering=0) as stream:
        said = why_not_preloadable(stream)
    assert said.startswith(expected)
    assert bool(said) == bool(expected)


def test_a_script_is_not_judged(tmp_path: Path) -> None:
    """What is no ELF file gives no reason: its interpreter would be another program."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    with script.open("rb", buffering=0) as stream:
        assert why_not_preloadable(stream) == ""
