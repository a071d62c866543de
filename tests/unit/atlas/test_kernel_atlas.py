"""The Atlas of kernels: of two kernels only what differs, as a page."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.atlas import kernel_atlas
from testbed.atlas.atlas import FORMAT
from testbed.model.errors import UsageError


def measured(kernel: str, setting: str, **packets: list[str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "conditions": {"kernel": kernel, "engine": "uml", "runs": "2"},
        "sysctls": {"net.ipv4.tcp_x": setting, "net.ipv4.tcp_y": "1"},
        "entries": [
            {"scenario": name, "variant": "", "kinds": [{"runs": 2, "compared": {"calls": lines}}]}
            for name, lines in packets.items()
        ],
    }


OLD = measured("6.1.2", "0", same=["client send: P."], **{"syn-retries-to-the-end": ["client connect: 7 S"]})
NEW = measured("6.12.3", "4", same=["client send: P."], **{"syn-retries-to-the-end": ["client connect: 11 S"]})


def test_each_kernel_is_held_against_the_one_before_it() -> None:
    first, second = kernel_atlas.steps([OLD, NEW, NEW])
    assert (first.before, first.now, first.measured) == ("6.1.2", "6.12.3", 2)
    assert [each.name for each in first.scenarios] == ["syn-retries-to-the-end"]
    assert first.settings == {"net.ipv4.tcp_x": ("0", "4")}
    assert (second.scenarios, second.settings) == ((), {})


def test_the_page_has_only_what_differs_and_names_the_change_behind_it() -> None:
    page = kernel_atlas.render(kernel_atlas.steps([OLD, NEW]), [OLD, NEW])
    assert "1 of 2 scenarios do the same, 1 do not." in page
    assert "- calls: client connect: 7 S\n+ calls: client connect: 11 S" in page
    assert "tcp_syn_linear_timeouts" in page
    assert "| `net.ipv4.tcp_x` | 0 | 4 |" in page
    assert "tcp_y" not in page
    assert "### same" not in page
    assert (
        "on 6.1.2 in 2 of 2 runs; on 6.12.3 in 2 of 2 runs. "
        "Again: `invoke run syn-retries-to-the-end --set kernel=6.1.2,6.12.3`" in page
    )


@pytest.mark.parametrize("kernels", ["6.12", "6.12,6.12", ","])
def test_one_kernel_is_nothing_to_compare(kernels: str, tmp_path: Any) -> None:
    with pytest.raises(UsageError, match="two kernels"):
        kernel_atlas.main(
            catalogue=tmp_path, tags=(), runs=tmp_path, out=tmp_path, kernels=kernels, engine="uml", jobs=1, repeat=1
        )
