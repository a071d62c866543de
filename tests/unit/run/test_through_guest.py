"""Orders to a kernel of our own: what goes in, what its answer becomes, and where a scenario cannot be run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.engine_kind import InsideFactory
from testbed.lab.namespace.namespace_engine import Namespaces
from testbed.model.errors import BothendsError, LabError, LabTimeout, Unsupported
from testbed.run.live_lab import run
from testbed.run.scenario_to_lab import lab_spec
from testbed.run.through_guest import GuestOrder, carry_out_inside, refusal
from testbed.rundir.layout import MANIFEST, RunDirectory
from testbed.scenario.load import parse
from testbed.scenario.scenario import Scenario

SOURCE = b"summary: x\nserver: {steps: [listen: 5]}\nclient: {steps: [connect: 'server:5']}\n"


def scenario(**settings: Any) -> Scenario:
    return parse(SOURCE, name="x", path=Path("x.yaml"), shown="x.yaml", settings=settings)


class Silent:
    """A caller who is told nothing and says nothing."""

    directory = Path()

    def progress(self, text: str) -> None:
        """Hear nothing."""

    def tell(self, value: Mapping[str, Any]) -> None:
        """Hear nothing."""

    def message(self, timeout: float) -> bytes | None:
        """Say nothing."""


class Inside(InsideFactory):
    """Answers without a kernel: with an engine that fails, or by dying."""

    def __init__(self, failure: BothendsError, *, dies: bool = False) -> None:
        self.failure, self.dies = failure, dies
        self.asked: dict[str, Any] = {}

    def carry_out(self, order: bytes, *, progress: Any, **asked: Any) -> bytes:
        self.asked = asked
        if self.dies:
            raise self.failure

        def make_engine(_: object) -> Any:
            raise self.failure

        del progress
        return carry_out_inside(order, make_engine, Silent())


@pytest.mark.parametrize("dies", [False, True])
def test_what_went_wrong_inside_is_raised_outside_with_what_was_kept(tmp_path: Path, dies: bool) -> None:
    failure = LabTimeout("too late", state="waiting", last_output="one\ntwo", hint="again")
    inside = Inside(failure, dies=dies)
    with pytest.raises(LabTimeout) as caught:
        run(scenario(kernel="6.12", clock="real"), root=tmp_path, make_engine=inside, progress=lambda _: None)
    error = caught.value
    assert (error.what, error.state, error.last_output, error.hint) == ("too late", "waiting", "one\ntwo", "again")
    assert inside.asked == {"kernel": "6.12", "real_time": True, "seed": 1, "conversation": None}
    manifest = RunDirectory(Path(error.kept)).read_json(MANIFEST)
    assert "too late" in manifest["error"]
    assert manifest["deterministic"] is False


def test_a_run_directory_that_cannot_be_seen_inside_is_said(tmp_path: Path) -> None:
    order = pickle.dumps(GuestOrder(scenario(), lab_spec(scenario()), tmp_path / "hidden"))
    answer = json.loads(carry_out_inside(order, Namespaces(), Silent()))
    assert answer["kind"] == "Unsupported"
    assert str(tmp_path / "hidden") in answer["what"]


def test_an_error_of_a_kind_that_is_not_in_the_tree_is_its_nearest(tmp_path: Path) -> None:
    class OwnError(LabError):
        pass

    with pytest.raises(BothendsError, match="odd"):
        run(scenario(), root=tmp_path, make_engine=Inside(OwnError("odd")), progress=lambda _: None)


@pytest.mark.parametrize("settings", [{"kernel": "6.12"}, {"clock": "virtual"}])
def test_an_engine_with_the_machines_kernel_and_clock_refuses_others(tmp_path: Path, settings: dict[str, str]) -> None:
    with pytest.raises(Unsupported, match="engine"):
        run(scenario(**settings), root=tmp_path, make_engine=Namespaces(), progress=lambda _: None)
    assert list(tmp_path.iterdir()) == []
    assert refusal(scenario(**settings), Inside(LabError(""))) is None


def test_real_time_and_no_wish_are_for_every_engine() -> None:
    assert refusal(scenario(clock="real"), Namespaces()) is None
    assert refusal(scenario(), Namespaces()) is None
