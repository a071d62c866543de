"""A run in a kernel of our own: its lab part inside, where time passes; what comes after it out here.

Both sides of the order and its answer are here: :func:`through_guest` and :func:`hold_in_guest` outside,
:func:`carry_out_inside` in the kernel.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from testbed.lab.engine import LabSpec, Progress
from testbed.lab.engine_kind import Conversation, EngineFactory, InsideFactory, Tell
from testbed.lab.observers.hold_rules import Dialogue
from testbed.lab.uml.guest_shell import serve_shells
from testbed.model import errors
from testbed.model.errors import BothendsError, Unsupported
from testbed.run.artefacts import write_artefacts
from testbed.run.held_lab import HeldLab, hold
from testbed.run.through_lab import LabOver, MakeStepper, Stepping, through_lab
from testbed.rundir.layout import MANIFEST, SCENARIO_COPY, RunDirectory

if TYPE_CHECKING:  # pydantic is slow to import: whoever has a scenario has imported what it needs
    from testbed.scenario.scenario import Scenario

_LOOK = 60.0
_PARTS = ("what", "state", "last_output", "hint", "kept")


class Caller(Protocol):
    """Whoever gave the order, as the worker inside sees it."""

    directory: Path
    """What both sides see."""

    def progress(self, text: str) -> None:
        """Say what is being done."""

    def tell(self, value: Mapping[str, Any]) -> None:
        """Tell what JSON can write."""

    def message(self, timeout: float) -> bytes | None:
        """Return the next message, None if there was none for ``timeout`` seconds."""


@dataclass(frozen=True, slots=True)
class GuestOrder:
    """What a worker inside is asked for: one run into a directory that exists; or a lab that is held there.

    With ``make_stepper`` gdb asks it before each call, and it asks the person outside.
    """

    scenario: Scenario
    spec: LabSpec
    directory: Path
    make_stepper: MakeStepper | None = None
    by_hand: bool = False


def refusal(scenario: Scenario, make_engine: EngineFactory) -> Unsupported | None:
    """Return the error for a scenario that wants a kernel or a clock which the engine lacks; else None."""
    if isinstance(make_engine, InsideFactory):
        return None
    if scenario.kernel is not None:
        return Unsupported(
            f"the scenario asks for Linux {scenario.kernel}, and labs of this engine have the machine's",
            hint="--engine uml",
        )
    if scenario.clock == "virtual":
        return Unsupported(
            "the scenario takes longer than anybody waits: it is made for virtual time, which this engine has not",
            hint="--engine uml, or --real-time to wait for it",
        )
    return None


def through_guest(
    scenario: Scenario,
    spec: LabSpec,
    directory: RunDirectory,
    guests: InsideFactory,
    progress: Progress,
    stepping: Stepping | None,
) -> LabOver:
    """Have a run's lab part made inside, artefacts too; arguments, result and errors are those of ``through_lab``."""
    directory.write_text(SCENARIO_COPY, scenario.source)
    order = GuestOrder(scenario, spec, directory.path.resolve(), stepping.make_stepper if stepping else None)
    _have_carried_out(order, directory, guests, progress, _Relay(stepping.dialogue) if stepping else None)
    return LabOver(_nothing, _nothing)


def hold_in_guest(
    scenario: Scenario,
    spec: LabSpec,
    directory: RunDirectory,
    guests: InsideFactory,
    progress: Progress,
    is_up: Callable[[HeldLab], None],
    is_over: Callable[[], bool],
) -> None:
    """Have a lab held inside, in real time; arguments and errors are those of :func:`testbed.run.held_lab.hold`."""
    order = GuestOrder(scenario, spec, directory.path.resolve(), by_hand=True)
    _have_carried_out(order, directory, guests, progress, _Holder(is_up, is_over))


def _have_carried_out(
    order: GuestOrder,
    directory: RunDirectory,
    guests: InsideFactory,
    progress: Progress,
    conversation: Conversation | None,
) -> None:
    started = datetime.now(UTC)
    scenario = order.scenario
    try:
        answer = guests.carry_out(
            pickle.dumps(order),
            kernel=scenario.kernel or "",
            real_time=scenario.clock == "real" or conversation is not None,  # people think in real time
            seed=scenario.seed,
            progress=progress,
            conversation=conversation,
        )
        _raise_what_it_says(answer, directory)
    except BothendsError as error:
        error.kept = str(directory)
        if not directory.file(MANIFEST).exists():
            write_artefacts(scenario, order.spec, directory, started, None, None, str(error))
        raise


class _Relay:
    """What a stepper inside says goes to the person, and what it asks comes back answered."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def heard(self, value: Mapping[str, Any], tell: Tell) -> None:
        self._dialogue.say(value["say"])
        if value["ask"]:
            tell(self._dialogue.ask().encode())

    def look(self, tell: Tell) -> None:
        """Say nothing: the person is asked."""


class _Holder:
    """Hears of the lab that is held inside, and ends it when it is over."""

    def __init__(self, is_up: Callable[[HeldLab], None], is_over: Callable[[], bool]) -> None:
        self._is_up, self._is_over = is_up, is_over
        self._ended = False

    def heard(self, value: Mapping[str, Any], tell: Tell) -> None:
        del tell
        self._is_up(HeldLab(**value))

    def look(self, tell: Tell) -> None:
        if not self._ended and self._is_over():
            self._ended = True
            tell(b"end")


class _FarDialogue:
    """The person outside, as a stepper inside sees them."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def say(self, text: str) -> None:
        self._caller.tell({"say": text, "ask": False})

    def ask(self) -> str:
        self._caller.tell({"say": "", "ask": True})
        while (answer := self._caller.message(_LOOK)) is None:
            pass
        return answer.decode()


def carry_out_inside(order: bytes, make_engine: EngineFactory, caller: Caller) -> bytes:
    """Make the run that an order asks for, or hold the lab; return the answer to it."""
    wanted: GuestOrder = pickle.loads(order)  # noqa: S301 - written by the process that started this kernel
    directory = RunDirectory(wanted.directory)
    try:
        if not wanted.directory.is_dir():
            raise Unsupported(
                f"a kernel of our own cannot see {wanted.directory}: it has a /dev, /proc and /sys of its own",
                hint="--runs elsewhere",
            )
        if wanted.by_hand:
            _hold_inside(wanted, directory, make_engine, caller)
        else:
            stepping = Stepping(wanted.make_stepper, _FarDialogue(caller)) if wanted.make_stepper else None
            with ThreadPoolExecutor(1) as pool:
                over = through_lab(
                    wanted.scenario, wanted.spec, directory, make_engine, caller.progress, pool, stepping
                )
                over.end()
                over.down()
    except BothendsError as error:
        return json.dumps({"kind": type(error).__name__} | {part: getattr(error, part) for part in _PARTS}).encode()
    return b"{}"


def _hold_inside(wanted: GuestOrder, directory: RunDirectory, make_engine: EngineFactory, caller: Caller) -> None:
    with serve_shells(caller.directory):

        def is_up(held: HeldLab) -> None:
            held.manifest["guest"] = str(caller.directory)
            caller.tell(asdict(held))

        def is_over() -> bool:
            return caller.message(1.0) is not None

        hold(wanted.scenario, wanted.spec, directory, make_engine, caller.progress, is_up, is_over)


def _raise_what_it_says(answer: bytes, directory: RunDirectory) -> None:
    said = json.loads(answer)
    if not said:
        return
    kind = getattr(errors, said["kind"], BothendsError)
    error: BothendsError = kind(said["what"], state=said["state"], last_output=said["last_output"], hint=said["hint"])
    error.kept = str(directory)
    raise error


def _nothing() -> None:
    return None
