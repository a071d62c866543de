"""`invoke images` ends with 4 where an image is missing that it should have made."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from testbed.cli import lab_commands
from testbed.lab import choose_engine
from testbed.lab.engine_kind import ImageStatus


@pytest.mark.parametrize(("on_demand", "code", "word"), [(True, 0, "on demand"), (False, 4, "missing")])
def test_an_image_that_is_made_on_demand_is_not_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], on_demand: bool, code: int, word: str
) -> None:
    listed = [
        ImageStatus("here", "bothends/here:1", "sha256:1", 10**7, None, ()),
        ImageStatus("absent", "bothends/absent:1", None, None, None, (), on_demand=on_demand),
    ]
    kind = SimpleNamespace(images=lambda: SimpleNamespace(status=lambda: listed))
    monkeypatch.setattr(choose_engine, "engine_kinds", lambda: [kind])
    assert lab_commands.images(as_json=False, check=True) == code
    assert word in capsys.readouterr().out.splitlines()[-1]
