"""The public Python API makes a run: the example of docs/api.md, and a scenario with settings on either engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import run_scenario
from testbed.lab.choose_engine import NAMES, UML
from testbed.model import Outcome
from testbed.model.errors import UsageError
from tests.api_examples import carry_out, examples


@pytest.mark.usefixtures("engine")
def test_the_example_of_the_page(tmp_path: Path) -> None:
    """On whatever engine answers here."""
    printed = carry_out(examples()["Run a scenario"], tmp_path)
    assert printed.startswith("pass "), printed
    assert "connect 0" in printed
    assert (tmp_path / "runs/connect-send-close/latest/result.json").is_file()


@pytest.mark.parametrize("name", [name for name in NAMES if name != UML])  # that has test_uml.py
@pytest.mark.usefixtures("engine", "namespaces")
def test_a_run_on_each_engine(name: str, tmp_path: Path) -> None:
    a_run(name, tmp_path)


def a_run(name: str, tmp_path: Path) -> None:
    """Run a scenario by Python on an engine."""
    told: list[str] = []
    result = run_scenario(
        "echo", engine=name, runs=tmp_path, settings={"observe.server": "strace"}, progress=told.append
    )
    assert result.outcome is Outcome.PASS
    assert result.to_json()["run"]["engine"] == name
    assert result.analysis.inputs.observed == {"client": "probe", "server": "strace"}
    assert result.calls["client"]
    assert result.calls["server"]
    assert told
    assert (result.directory.parent / "latest").resolve() == result.directory.resolve()


def test_what_does_not_exist_is_bad_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no scenario `nothing`"):
        run_scenario("nothing", runs=tmp_path)
    with pytest.raises(UsageError, match="there is no engine `lxc`"):
        run_scenario("echo", engine="lxc", runs=tmp_path)
    assert not list(tmp_path.iterdir())
