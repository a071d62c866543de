"""Two walks of docs/architecture.md, made in a copy of the tree: a cause rule and a step touch only what the page says.

After both, lint passes, and so do the unit tests of what is derived: the names that scenarios may write, the reference,
the schema, the labels that agree, what the kernel trace must show, the actor.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nonempty import nonempty

ROOT = Path(__file__).parents[3]
COPIED = ("testbed", "dev", "tests", "compose", "scenarios", "docs", ".ci")
FILES = ("pyproject.toml", "tasks.py", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", ".gitignore")
AFTER = (
    *("tests/unit/analysis", "tests/unit/reference", "tests/unit/scenario"),
    *("tests/native/test_compiled_scripts.py", "tests/native/test_actor_script.py"),
)
GENERATED = (("-m", "testbed.scenario.schema"), ("-m", "testbed.reference"))

pytestmark = [pytest.mark.timeout(900), pytest.mark.native, pytest.mark.slow]

NAME = '    URGENT_DATA = "urgent-data"\n'
ROW = '    C.URGENT_DATA: R(CALL, "bytes with the urgent pointer", "RFC 9293 3.8.5", NotRetransmitted(), first=True),\n'
RULE = '''@RULES.explains(CauseName.URGENT_DATA)
def urgent_data(endpoint: TcpEndpoint, packet: Crossing) -> Explanation | None:
    """Explain bytes with the urgent pointer of a sender that answers congestion."""
    shares = endpoint.writers(packet) if "U" in packet.flags and "E" in packet.flags else ()
    if not shares:
        return None
    return Explanation(("urgent bytes of ", call_ref(shares[0].call)), (shares[0].call.n,))


'''
RULE_TEST = """from testbed.model import CauseName
from tests.builders.exchange import Exchange


def test_urgent_bytes_are_explained_by_the_new_rule() -> None:
    run = Exchange()
    tcp = run.tcp().opened()
    tcp.client("send", b"a")
    tcp("client P.UE", b"a")
    assert run.analysis().causes[-1].rule is CauseName.URGENT_DATA
"""

STEP = '''

class PauseStep(Step):
    """Lets other programs run (sched_yield)."""

    key = "pause"
    pause: NoValue
    """Nothing: it takes no value."""

    @override
    def lines(self, use: Use, context: ScriptContext) -> Iterator[str]:
        yield "pause"
'''
STEP_IN_C = """void run_pause(const struct step *step, struct ending *end)
{
	(void)step;
	end->call = "sched_yield";
	sched_yield();
}

"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in COPIED:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "build"))
    for name in FILES:
        shutil.copy2(ROOT / name, tmp_path / name)
    if (ROOT / ".mypy_cache").is_dir():  # what mypy knows of the files that stay as they are
        shutil.copytree(ROOT / ".mypy_cache", tmp_path / ".mypy_cache")
    return tmp_path


def put(tree: Path, name: str, before: str, added: str) -> None:
    """Insert text before the first place of a file that begins with ``before``."""
    path = tree / name
    text = path.read_text(encoding="utf-8")
    assert before in text, f"{name} has no {before!r}"
    path.write_text(text.replace(before, added + before, 1), encoding="utf-8")


def run(tree: Path, *words: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(tree), "XDG_CACHE_HOME": str(tree / ".cache")}
    done = subprocess.run(
        [sys.executable, *words], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-6000:]}\n{done.stderr[-3000:]}"


def lint_and_test(tree: Path, *tests: str) -> None:
    for words in GENERATED:
        run(tree, *words)
    run(tree, "-m", "ruff", "check", "testbed")
    run(tree, "-m", "ruff", "format", "--check", "testbed")
    run(tree, "-m", "mypy", "testbed")
    run(tree, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests)


def add_a_cause_rule(tree: Path) -> None:
    put(tree, "testbed/model/causes.py", '    CORK_TIMEOUT = "cork-timeout"\n', NAME)
    put(tree, "testbed/model/causes.py", "    C.CORK_TIMEOUT: R(", ROW)
    put(tree, "testbed/analysis/causes/transmissions.py", "@RULES.explains(CauseName.DATA)\n", RULE)
    (tree / "tests/unit/analysis/test_urgent_data.py").write_text(RULE_TEST, encoding="utf-8")


def add_a_step(tree: Path) -> None:
    put(tree, "testbed/scenario/steps/control_steps.py", "\n\nclass BarrierStep(Step):", STEP)
    put(tree, "testbed/scenario/steps/control_steps.py", "ScriptContext, Step\n", "NoValue, ")
    put(tree, "compose/actor/ops.h", "\tX(barrier, ", "\tX(pause, 0, 0) \\\n")
    put(tree, "compose/actor/control.c", "#include <signal.h>\n", "#include <sched.h>\n")
    put(tree, "compose/actor/control.c", "void run_barrier(", STEP_IN_C)
    put(
        tree,
        "tests/unit/scenario/test_script.py",
        '    ([TCP, {"getsockopt"',
        '    ([{"pause": None}], ["0 pause"]),\n',
    )
    put(
        tree,
        "tests/native/test_compiled_scripts.py",
        '    {"accept": None, "error": "EAGAIN"},\n',
        '    {"pause": None},\n',
    )
    for golden in nonempty((tree / "tests/unit/scenario/errors").glob("*.txt")):
        golden.write_text(golden.read_text(encoding="utf-8").replace("sleep, barrier", "sleep, pause, barrier"))


def test_a_cause_rule_and_a_step_touch_what_the_page_says(tree: Path) -> None:
    """A rule is its function and its row; a step its class, its C function and its row."""
    add_a_cause_rule(tree)
    add_a_step(tree)
    lint_and_test(tree, *AFTER)
    page = (tree / "docs/scenarios.md").read_text(encoding="utf-8")
    assert "`urgent-data`" in page
    assert "`pause`" in page
