"""What works here of the namespace engine: facts for ``invoke doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from testbed.lab.engine import LabHost, LabSpec
from testbed.lab.fact import DoctorFinding
from testbed.lab.identity import new_run_id
from testbed.lab.namespace import machine
from testbed.lab.namespace.namespace_engine import NamespaceEngine, Namespaces
from testbed.lab.namespace.namespace_trace import on_this_machine
from testbed.lab.pinned_sysctls import DEFAULT_CONGESTION_CONTROL, PINNED
from testbed.lab.trace_instances import try_recorder
from testbed.model import HOSTS
from testbed.model.errors import BothendsError

_Finding = partial(DoctorFinding, engine=NamespaceEngine.name)


def examine() -> Iterator[DoctorFinding]:
    """Make a lab with the pinned sysctls, and look for the programs that some scenarios want."""
    host = LabHost("host", PINNED, DEFAULT_CONGESTION_CONTROL)
    try:
        with Namespaces()(lambda _: None) as engine:
            live = engine.bring_up(LabSpec(new_run_id(), dict.fromkeys(HOSTS, host), (4,)))
            tap = next(iter(live.taps.values()))
            user = live.manifest["engine"]["user"]
            version = tap.run(["tcpdump", "--version"]).splitlines()[0]
    except BothendsError as error:
        refusal = f"{error.what} ({error.state})" if error.state else error.what
        yield _Finding("namespace engine", False, refusal, error.hint, needed=True)
        return
    how = "as root" if user == "root" else "as a plain user, in a user namespace"
    yield _Finding("namespace engine", True, f"{how}; {version}", needed=True)
    witness = on_this_machine()
    works, detail = try_recorder(witness) if witness is not None else (False, "only root may read the kernel's trace")
    yield _Finding(
        "namespace: kernel trace", works or None, detail, "" if works else "run as root; a kernel with tracefs"
    )
    lacking = machine.missing(machine.TRACERS)
    if lacking:
        detail = f"no {' and no '.join(lacking)} for hosts that are to be traced"
        yield _Finding("namespace: gdb, strace", None, detail, machine.install_command(lacking))
    for image, ours in machine.IMAGES.items():
        lacking = machine.missing(ours.programs)
        if lacking:
            detail = f"image `{image}` has nothing to be made of here"
            yield _Finding(f"namespace: {image}", None, detail, machine.install_command(lacking))
