"""A lab that is up for a person: from its coming up to its going down, with its taps running."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from testbed.lab.engine import LabSpec, Progress
from testbed.lab.engine_kind import EngineFactory
from testbed.lab.session import Session
from testbed.model import Host
from testbed.model.hosts import names_of
from testbed.run.artefacts import write_artefacts
from testbed.run.scenario_to_lab import egress_of, loopbacks_of, mtu_of, plan_of
from testbed.rundir.layout import RunDirectory

if TYPE_CHECKING:  # pydantic is slow to import: whoever has a scenario has imported what it needs
    from testbed.scenario.scenario import Scenario


@dataclass(frozen=True, slots=True)
class HeldLab:
    """A lab that is up. ``manifest`` is what the engine tells of it (:attr:`testbed.lab.engine.LiveLab.manifest`).

    ``addresses`` are those that the hosts' bare names mean, ``names`` all, each under its shortest name.
    """

    addresses: dict[Host, str]
    names: dict[str, str]
    engine: str
    manifest: dict[str, Any]


def hold(
    scenario: Scenario,
    spec: LabSpec,
    directory: RunDirectory,
    make_engine: EngineFactory,
    progress: Progress,
    is_up: Callable[[HeldLab], None],
    is_over: Callable[[], bool],
) -> None:
    """Bring a lab up, say so, hold it until it is over or a host is gone, and end like a run: with all its artefacts.

    ``is_over`` is asked again and again, and waits a moment each time. Raises BothendsError.
    """
    started = datetime.now(UTC)
    with make_engine(progress) as engine:
        live = engine.bring_up(spec)
        loopbacks = loopbacks_of(scenario, by_hand=True)
        session = Session(live, directory.path, progress, plan=plan_of(scenario, live), loopbacks=loopbacks)
        session.start_taps(offloads=scenario.offloads, egress=egress_of(scenario), mtu=mtu_of(scenario))
        try:
            names = {name: address for address, name in names_of(live.addresses).items()}
            first = {host: own.first for host, own in live.addresses.items()}
            is_up(HeldLab(first, names, engine.name, live.manifest))
            while not is_over() and not any(agent.gone.is_set() for agent in live.hosts.values()):
                pass
            session.settle()
            session.prove()
            session.collect()
        finally:
            write_artefacts(scenario, spec, directory, started, live, session.collected, "", by_hand=True)
