"""Kernels of our own: the same run twice, hours in a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.choose_engine import UML

from .conftest import OWN_KERNEL, Invoke, on_own_kernel
from .coverage import uncovered_bytes, unexplained_packets
from .test_api import a_run
from .test_scenarios import VIRTUAL

SAME = ("client.pcap", "server.pcap", "link.jsonl", "client.calls.jsonl", "server.calls.jsonl")


def _runs(root: Path, name: str) -> list[Path]:
    return sorted(path.parent for path in (root / "runs" / name).glob("*-*/result.json"))


def _manifest(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "manifest.json").read_text())
    return found


@on_own_kernel
@pytest.mark.parametrize("runs", [3, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_the_same_run_is_the_same_to_the_nanosecond(invoke: Invoke, tmp_path: Path, runs: int) -> None:
    """Numbers, ports, addresses and times are those of the seed; another seed has others."""
    for _ in range(runs):
        done = invoke("run", "lost-tail", "--kernel", OWN_KERNEL)
        assert done.code == 0, done.out + done.err
    first, *others = _runs(tmp_path, "lost-tail")
    assert len(others) == runs - 1
    for file in SAME:
        for other in others:
            assert (first / file).read_bytes() == (other / file).read_bytes(), file
    manifest = _manifest(first)
    assert manifest["deterministic"] is True
    assert manifest["engine"]["name"] == UML
    assert manifest["engine"]["kernel"].startswith(OWN_KERNEL)
    assert manifest["engine"]["clock"] == "virtual"
    assert invoke("run", "lost-tail", "--set", "seed=2").code == 0
    (reseeded,) = (path for path in (tmp_path / "runs").rglob("client.pcap") if "campaigns" in path.parts)
    assert reseeded.read_bytes() != (first / "client.pcap").read_bytes()


@on_own_kernel
def test_what_nobody_waits_for_passes(invoke: Invoke, tmp_path: Path) -> None:
    """The scenarios for virtual time, in one kernel that stays up: every packet has a cause, every byte its segment."""
    done = invoke("run", *VIRTUAL, "--jobs", "1", "--keep", "all")
    assert done.code == 0, done.out + done.err
    found = sorted((tmp_path / "runs").rglob("result.json"))
    assert len(found) == len(VIRTUAL) > 5
    for path in found:
        result = json.loads(path.read_text())
        assert result["outcome"] == "pass", path
        assert unexplained_packets(result) == []
        assert uncovered_bytes(result) == []
    deterministic = [_manifest(path.parent)["deterministic"] for path in found]
    assert deterministic.count(True) == 1, "only the first run of a kernel is the same each time"


@on_own_kernel
def test_a_kernel_that_is_not_there_is_unsupported(invoke: Invoke) -> None:
    done = invoke("run", "nagle", "--kernel", "5.99")
    assert done.code == 4
    assert "invoke kernels build 5.99" in done.err


@pytest.mark.usefixtures("own_kernel")
def test_a_run_by_python(tmp_path: Path) -> None:
    a_run(UML, tmp_path)
