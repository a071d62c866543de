"""The command ``bothends``: the tasks of users, without a tasks.py."""

from __future__ import annotations

from invoke import Program

from testbed.cli.invoke_words import adapt
from testbed.tasks import ns

NAME = "bothends"


def main() -> None:
    """Run the task that the command line names."""
    from testbed.model.version import VERSION

    program = Program(version=VERSION, namespace=ns, name="Bothends", binary=NAME, binary_names=[NAME])
    adapt(program)
    program.run()


if __name__ == "__main__":
    main()
