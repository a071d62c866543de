"""The tasks about this machine, its images and kernels, and a lab by hand."""

from __future__ import annotations

from invoke import Context, task

from testbed.cli.report_errors import report_errors
from testbed.shipped.files import ROOT
from testbed.tasks.settings import project


@task(help={"json": "print JSON"})
@report_errors
def doctor(_: Context, json: bool = False) -> int:
    """Check what works on this machine, what is missing, and what to do about it."""
    from testbed.cli import lab_commands

    return lab_commands.doctor(as_json=json)


@task(
    help={
        "json": "print JSON",
        "check": "only list the images; build nothing",
        "save": "write all of them to this tar file",
        "load": "take them from this tar file (of --save or `docker save`) first",
    }
)
@report_errors
def images(_: Context, json: bool = False, check: bool = False, save: str = "", load: str = "") -> int:
    """Build the images that are missing, and list all of them.

    Examples: invoke images --save images.tar
              invoke images --load images.tar
    """
    from testbed.cli import lab_commands

    return lab_commands.images(as_json=json, check=check, save=save, load=load)


@task(
    positional=["words"],
    iterable=["words"],
    help={
        "words": "list (the default), build VERSION, remove VERSION, export VERSION, import",
        "source": "for build: the kernel's sources, a tarball or a directory (default: Debian's linux-source-VERSION)",
        "file": "the file that export writes or import reads",
        "jobs": "for build: how many compilers to run at the same time (default: one per processor)",
        "json": "print JSON",
    },
)
@report_errors
def kernels(_: Context, words: list[str], source: str = "", file: str = "", jobs: int = 0, json: bool = False) -> int:
    """List, build, remove, export or import the kernels of the engine `uml`: User-Mode Linux, kept in the user's cache.

    Examples: invoke kernels build 6.12
              invoke kernels build 6.18 --source linux-6.18.tar.xz
              invoke kernels export 6.12 --file linux-6.12.tar.xz
    """
    from testbed.cli import kernels_command

    return kernels_command.kernels(words, source=source, file=file, jobs=jobs, as_json=json)


@task(
    help={
        "images": "also remove our images that are out of date",
        "foreign": "also remove what runs of other machines left on the same engine",
    }
)
@report_errors
def clean(_: Context, images: bool = False, foreign: bool = False) -> int:
    """Remove what earlier runs have left behind, and nothing else.

    Runs that are still going on are left alone, and so are those of other machines on the same engine. An engine that
    does not answer is named; the others are cleaned.

    Exit code: 0, or 3 if something could not be removed; with --images also if Docker does not answer.
    """
    from testbed.cli import lab_commands

    return lab_commands.clean(stale_images=images, foreign=foreign)


@task(
    help={
        "scenario": "name or path; its programs are not started",
        "runs": "directory in which runs/ is made",
        "engine": "docker, namespace or uml, as for `run`",
    }
)
@report_errors
def up(context: Context, scenario: str, runs: str = "", engine: str = "") -> int:
    """Bring up a scenario's lab to use by hand, with both captures running; `shell` enters it, `down` ends it.

    Example: invoke up echo
             invoke shell server     # nc -l 5000
             invoke shell client     # echo hello | nc -N server 5000
             invoke down             # shows what both ends captured
    """
    from testbed.cli import lab_commands

    mine = project(context)
    return lab_commands.up(
        mine.scenario(scenario), catalogue=ROOT, runs=mine.runs_in(runs), engine=engine or mine.engine
    )


@task(
    help={
        "host": "client or server",
        "lab": "the lab's id, if several are up",
        "command": "run this with `sh -c` instead of a shell",
        "runs": "directory that holds runs/",
    }
)
@report_errors
def shell(context: Context, host: str, lab: str = "", command: str = "", runs: str = "") -> int:
    """Open a shell in a host of the lab that is up. What you start there is observed.

    Examples: invoke shell client
              invoke shell server --command "ss -tan"
    """
    from testbed.cli import lab_commands

    return lab_commands.shell(host, lab=lab, command=command, runs=project(context).runs_in(runs))


@task(help={"lab": "the lab's id, if several are up", "runs": "directory that holds runs/", "json": "print JSON"})
@report_errors
def down(context: Context, lab: str = "", runs: str = "", json: bool = False) -> int:
    """End the lab that is up and show what both ends captured."""
    from testbed.cli import lab_commands

    return lab_commands.down(lab=lab, runs=project(context).runs_in(runs), as_json=json)
