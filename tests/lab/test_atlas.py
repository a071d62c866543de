"""`invoke atlas` on real runs: two Atlases of one machine are the same, one of other calls is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.atlas import make_atlas
from testbed.lab.choose_engine import NAMESPACE

from .conftest import ROOT

NAMES = ("nagle", "connect-send-close", "linger-zero")


def measured(tmp_path: Path, out: str, against: str = "") -> int:
    return make_atlas.main(
        tags=(),
        catalogue=tmp_path,
        runs=tmp_path,
        out=tmp_path / out,
        against=against,
        engine=NAMESPACE,
        jobs=2,
        repeat=2,
    )


@pytest.mark.usefixtures("namespaces")
def test_an_atlas_is_written_and_compares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three forms, the facts in each; the same again: 0; TCP_NODELAY in place of Nagle: 1, and the change is told."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.yaml").write_text((ROOT / f"scenarios/{name}.yaml").read_text())
    assert measured(tmp_path, "one") == 0
    told = json.loads((tmp_path / "one/atlas.json").read_text())
    assert [each["scenario"] for each in told["entries"]] == sorted(NAMES)
    assert told["conditions"]["engine"] == NAMESPACE
    (nagle,) = (each for each in told["entries"] if each["scenario"] == "nagle")
    assert any("cstring" in packet for call in nagle["kinds"][0]["calls"] for packet in call["packets"])
    assert "cstring" in (tmp_path / "one/atlas.md").read_text()
    assert '<svg class="exchange"' in (tmp_path / "one/atlas.html").read_text()
    earlier = str(tmp_path / "one/atlas.json")
    assert measured(tmp_path, "two", earlier) == 0
    other = (ROOT / "scenarios/nodelay.yaml").read_text()
    (folder / "nagle.yaml").write_text(other)
    capsys.readouterr()
    assert measured(tmp_path, "three", earlier) == 1
    assert "segments: - client: c, cstring" in capsys.readouterr().out
