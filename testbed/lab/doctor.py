"""What works here, what is missing, and what to do: facts for ``invoke doctor``."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from testbed.lab.fact import Finding


def examine() -> Iterator[Finding]:
    """Yield findings on both engines as they are made; never raises for something that is merely missing."""
    from testbed.lab.docker import docker_doctor
    from testbed.lab.namespace import namespace_doctor

    yield Finding("Python", True, platform.python_version(), needed=True)
    yield from docker_doctor.examine()
    yield from namespace_doctor.examine()
