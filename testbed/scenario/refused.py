"""What a lab refused of a scenario, reported at its place in the file."""

from __future__ import annotations

from testbed.model import HOSTS
from testbed.model.errors import ScenarioError
from testbed.scenario.language.yaml_source import Problem, SourceText, read
from testbed.scenario.scenario import Scenario


def sysctl_refused(scenario: Scenario, name: str, what: str, hint: str) -> ScenarioError | None:
    """Return ``what`` with the lines where the scenario sets the sysctl ``name``; None where it does not."""
    root, _ = read(scenario.source)
    hosts = [host for host in HOSTS if name in scenario.hosts[host].sysctl]
    if root is None or not hosts:
        return None
    places = [root.find((host, "sysctl", name)) for host in hosts]
    return ScenarioError(
        SourceText(str(scenario.path), scenario.source).report(Problem(at, what, hint) for at in places)
    )
