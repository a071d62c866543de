"""Whether the kernel names its functions to this process (testbed/lab/namespace/namespace_trace.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.lab.namespace.namespace_trace import has_symbols


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0000000000000000 A fixed_percpu_data\nffffffff81000000 T _stext\n", True),
        ("0000000000000000 T _stext\n0000000000000000 t do_one_initcall\n", False),
        ("ffffffff81000000 D data\n", False),
        ("nothing of the kind\n", False),
        ("", False),
    ],
)
def test_hidden_addresses_are_zero(tmp_path: Path, text: str, told: bool) -> None:
    listed = tmp_path / "kallsyms"
    listed.write_text(text)
    assert has_symbols(listed) == told


def test_where_there_is_no_list(tmp_path: Path) -> None:
    assert not has_symbols(tmp_path / "none")
