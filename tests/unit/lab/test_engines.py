"""An engine is its folder and its row: what the commands ask of engines goes by the row, never by a name."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import testbed
from testbed.campaign.campaign_options import Options
from testbed.cli import lab_commands
from testbed.cli.outputs import Outputs
from testbed.cli.run_command import run
from testbed.lab import choose_engine, doctor, host_shell
from testbed.lab.choose_engine import DOCKER, NAMESPACE, UML, EngineRow, choose
from testbed.lab.engine import Progress
from testbed.lab.engine_kind import Choice, EngineKind, begin_early, run_id_for
from testbed.lab.fact import DoctorFinding
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.lab.remains import Remains
from testbed.model import Host
from testbed.model.errors import EngineError, UsageError
from testbed.shipped.files import ROOT

PACKAGE = Path(testbed.__file__).parent
QUIET = Outputs(quiet=True)


class OtherKind(EngineKind):
    """A third engine, which answers or does not."""

    name = "other"
    title = "Other"
    answers = True
    refuses = ""

    def refusal(self) -> str:
        return self.refuses

    def choose(self) -> Choice:
        if not self.answers:
            raise EngineError("it does not answer", state="asleep")

        def prepare(_: Progress) -> None:
            """There is nothing to be made."""

        return Choice(self.name, Namespaces(), prepare)

    def examine(self) -> Iterator[DoctorFinding]:
        yield DoctorFinding("other engine", self.answers, "found", engine=self.name)

    def clean(self, remains: Remains, *, foreign_too: bool) -> None:
        del foreign_too
        if not self.answers:
            raise EngineError("it does not answer", state="asleep")
        remains.removed.append("a lab of the other engine")

    def open_shell(
        self, run_id: str, manifest: Mapping[str, Any], host: Host, argv: Sequence[str], environment: Mapping[str, str]
    ) -> int:
        assert environment["PS1"] == f"{host}# "
        return 7 if (run_id, dict(manifest), tuple(argv)) == ("0123abcd", {"console": 3}, ("true",)) else 1


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> OtherKind:
    """The engine by its row alone, before all others in the order of preference."""
    module = ModuleType("other_engine")
    kind = OtherKind()
    vars(module)["KIND"] = kind
    monkeypatch.setitem(sys.modules, "other_engine", module)
    monkeypatch.setattr(choose_engine, "ENGINES", (EngineRow("other", "other_engine"),))
    return kind


def test_a_row_is_all_that_an_engine_needs(other: OtherKind, capsys: pytest.CaptureFixture[str]) -> None:
    assert choose("other").name == choose().name == other.name
    assert "other engine" in [finding.what for finding in doctor.examine()]
    assert host_shell.open_shell("other", "0123abcd", {"console": 3}, "client", ("true",)) == 7
    assert lab_commands.clean(stale_images=True, foreign=False) == 0
    assert "removed a lab of the other engine" in capsys.readouterr().out
    assert lab_commands.images(as_json=False, check=False) == 0
    assert lab_commands.doctor(as_json=False) == 0


def test_an_engine_that_does_not_answer_is_named(other: OtherKind, capsys: pytest.CaptureFixture[str]) -> None:
    other.answers = False
    with pytest.raises(EngineError, match="it does not answer"):
        choose()
    assert lab_commands.clean(stale_images=False, foreign=False) == 0
    assert "Other was not reached, nothing was cleaned there: asleep" in capsys.readouterr().err


def test_the_next_engine_is_chosen_and_the_reason_is_said(other: OtherKind, monkeypatch: pytest.MonkeyPatch) -> None:
    other.answers = False
    namespace = EngineRow(NAMESPACE, "testbed.lab.namespace.namespace_kind")
    monkeypatch.setattr(choose_engine, "ENGINES", (EngineRow("other", "other_engine"), namespace))
    choice = choose()
    assert (choice.name, choice.why) == (NAMESPACE, "engine: namespace, because it does not answer (asleep)")
    with pytest.raises(UsageError, match="there is no engine `docker`") as caught:
        choose(DOCKER)
    assert caught.value.hint == "--engine other or namespace"


def test_an_engine_that_answers_but_makes_no_labs_is_the_last_resort(
    other: OtherKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.refuses = "it makes no labs"
    assert choose().name == other.name  # a lab of it says best what is wrong
    third = OtherKind()
    third.name = "third"
    vars(module := ModuleType("third_engine"))["KIND"] = third
    monkeypatch.setitem(sys.modules, "third_engine", module)
    monkeypatch.setattr(
        choose_engine, "ENGINES", (EngineRow("other", "other_engine"), EngineRow("third", "third_engine"))
    )
    assert (choose().name, choose().why) == ("third", "engine: third, because it makes no labs")


class EarlyNamespaces(Namespaces):
    """Notes what its engine is asked to begin before the scenario is read."""

    def __init__(self, begun: list[bool]) -> None:
        super().__init__()
        self._begun = begun

    def begin_early(self, run_id: str, *, witness: bool) -> None:
        self._id = run_id
        self._begun.append(witness)

    def begun(self) -> str:
        return self._id


@pytest.mark.parametrize(("witness", "wanted"), [(None, True), (True, True), (False, False)])
def test_an_engine_begins_before_the_scenario_is_read(
    other: OtherKind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, witness: bool | None, wanted: bool
) -> None:
    """It is told whether the run may want the kernel's trace; a campaign chooses for itself."""
    begun: list[bool] = []
    monkeypatch.setattr(other, "choose", lambda: Choice("other", EarlyNamespaces(begun), lambda _: None))
    for options in (Options(witness=witness), Options(witness=witness, repeat=2)):
        with pytest.raises(UsageError, match="no-such-scenario"):
            run(["no-such-scenario"], catalogue=tmp_path, runs=tmp_path, engine="", options=options, outputs=QUIET)
    assert begun == [wanted]


def test_what_an_engine_began_is_of_the_run_that_follows() -> None:
    labs = EarlyNamespaces([])
    begin_early(labs, witness=True)
    assert run_id_for(labs) == labs.begun()
    assert run_id_for(Namespaces()) != run_id_for(Namespaces())


def test_what_is_wrong_with_a_scenario_is_told_before_what_is_wrong_with_the_engine(
    other: OtherKind, tmp_path: Path
) -> None:
    other.answers = False
    with pytest.raises(UsageError, match="no-such-scenario"):
        run(["no-such-scenario"], catalogue=tmp_path, runs=tmp_path, engine="", options=Options(), outputs=QUIET)
    with pytest.raises(EngineError, match="it does not answer"):
        run(["echo"], catalogue=ROOT, runs=tmp_path, engine="", options=Options(), outputs=QUIET)


@pytest.mark.parametrize("row", choose_engine.ENGINES, ids=lambda row: row.name)
def test_a_row_names_its_engine(row: EngineRow) -> None:
    assert choose_engine.engine_kind(row.name).name == row.name


def test_no_module_compares_the_names_of_engines() -> None:
    """Outside an engine's own folder and the rows, nothing of the package knows one by its name."""
    files = [
        path for path in PACKAGE.rglob("*.py") if not {DOCKER, NAMESPACE, UML} & set(path.relative_to(PACKAGE).parts)
    ]
    files.remove(PACKAGE / "lab/choose_engine.py")
    assert len(files) > 100
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                words = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
                assert not words & {DOCKER, NAMESPACE, UML}, f"{path}:{node.lineno}"
            if isinstance(node, ast.ImportFrom) and node.module == "testbed.lab.choose_engine":
                assert not {alias.name for alias in node.names} & {"DOCKER", "NAMESPACE", "UML"}, path
