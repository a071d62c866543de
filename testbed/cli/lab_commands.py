"""What the tasks about this machine and its labs do: doctor, images, a lab to play in by hand, clean."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.host_argument import host_named
from testbed.cli.how_called import in_callers_words
from testbed.cli.progress import print_json, say_why, show_progress, show_run
from testbed.model.errors import EngineError

if TYPE_CHECKING:  # each task imports what it needs
    from testbed.lab.engine_kind import ImageStatus


def doctor(*, as_json: bool) -> int:
    """Print the findings; 0 if everything works that one of the engines needs, else 4."""
    from testbed.lab.choose_engine import NAMES
    from testbed.lab.doctor import examine
    from testbed.lab.fact import usable

    found = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            sign = {True: "ok     ", False: "MISSING", None: "-      "}[finding.works]
            todo = f"  -> {finding.to_do}" if finding.to_do and not finding.works else ""
            sys.stdout.write(in_callers_words(f"{sign} {finding.what:<27} {finding.detail}{todo}\n"))
    if as_json:
        print_json([asdict(finding) for finding in found])
    return 0 if usable(found, NAMES) else 4


def images(*, as_json: bool, check: bool, save: str = "", load: str = "") -> int:
    """Make what is missing (unless ``check``) and print what is there; 4 if something is missing then.

    ``load`` is a file whose images are taken in first, ``save`` one that they are written to last.
    """
    from testbed.lab.choose_engine import engine_kinds

    found: list[ImageStatus] = []
    for store in filter(None, (kind.images() for kind in engine_kinds())):
        with show_progress(quiet=False) as progress:
            if load:
                progress(f"taking in the images of {load}")
                store.load(Path(load))
            if not check:
                store.make(progress)
            if save:
                progress(f"writing the images to {save}")
                store.save(Path(save))
        found += store.status()
    if as_json:
        print_json([asdict(image) for image in found])
    else:
        for image in found:
            absent = "on demand" if image.on_demand else "  missing"
            size = f"{(image.size or 0) / 1e6:6.0f} MB" if image.id else absent
            stale = f"  ({len(image.stale)} out of date: `invoke clean --images`)" if image.stale else ""
            sys.stdout.write(in_callers_words(f"{image.name:<12} {size}  {image.tag}{stale}\n"))
    return 4 if any(image.id is None and not image.on_demand for image in found) else 0


def up(name: str, *, catalogue: Path, runs: Path, engine: str) -> int:
    """Bring a lab up and say how to use it."""
    from testbed.api.keeper_process import MODULE as KEEPER
    from testbed.lab.choose_engine import choose
    from testbed.run import kept_labs
    from testbed.scenario.catalogue import find
    from testbed.scenario.load import load

    path = find(name, catalogue)
    load(path)  # a broken scenario is reported here, not by the keeper
    choice = choose(engine)
    say_why(choice)
    lab = kept_labs.up(path.resolve(), runs.resolve(), choice.name, keeper=KEEPER)
    hosts = ", ".join(f"{name} {address}" for name, address in lab.names.items())
    shells = ", ".join(f"`invoke shell {host}`" for host in lab.addresses)
    told = (
        f"lab {lab.run_id} is up: {hosts}\n"
        f"captures grow in {lab.directory}\n"
        f"{shells}; `invoke down` ends it and shows what both ends captured\n"
    )
    sys.stdout.write(in_callers_words(told))
    return 0


def shell(host: str, *, lab: str, command: str, runs: Path) -> int:
    """Open a shell in a host of a lab that is up; the shell's exit status does not become ours."""
    from testbed.lab import host_shell
    from testbed.run import kept_labs

    kept = kept_labs.only(runs, lab or None)
    chosen = host_named(host, kept.addresses)
    argv = ("sh", "-c", command) if command else host_shell.SHELL
    host_shell.open_shell(kept.engine, kept.run_id, kept.manifest, chosen, argv)
    return 0


def down(*, lab: str, runs: Path, as_json: bool) -> int:
    """End a lab that is up and show its summary."""
    from testbed.api.runs import analyse_again
    from testbed.run import kept_labs

    result = analyse_again(kept_labs.down(kept_labs.only(runs, lab or None)))
    show_run(result, as_json=as_json)
    return result.outcome.exit_code


def clean(*, stale_images: bool, foreign: bool) -> int:
    """Remove what is left; 3 if something could not be removed. What is not reached is named, the rest is cleaned.

    Raises EngineError where the images to be removed are on an engine that is not reached.
    """
    from testbed.lab.choose_engine import engine_kinds
    from testbed.lab.remains import Remains

    stores = [store for kind in engine_kinds() if (store := kind.images()) is not None] if stale_images else []
    remains = Remains()
    for kind in engine_kinds():
        try:
            kind.clean(remains, foreign_too=foreign)
        except EngineError as error:
            sys.stderr.write(f"{kind.title} was not reached, nothing was cleaned there: {error.state or error.what}\n")
    for removed in remains.removed:
        sys.stdout.write(f"removed {removed}\n")
    for store in stores:
        with show_progress(quiet=False) as progress:
            stale = store.remove_stale(progress)
        for image in stale:
            sys.stdout.write(f"removed {image}\n")
    if remains.alive:
        sys.stdout.write(f"kept, as they still run: {', '.join(sorted(remains.alive))}\n")
    if remains.foreign:
        sys.stdout.write(
            f"kept, as they belong to another machine (--foreign removes them): {', '.join(sorted(remains.foreign))}\n"
        )
    for failure in remains.failed:
        sys.stderr.write(f"{failure}\n")
    if not remains.removed and not remains.failed:
        sys.stdout.write("nothing was left behind\n")
    return 3 if remains.failed else 0
