"""Observers where the kernel refuses what they need: what a run says then, with its exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from .conftest import LIMIT, ROOT, Invoked

# What an engine's seccomp profile does where it does not let programs be traced, done to one command and all that it
# starts, and to containers.
PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}]}
RUN = (
    "from invoke import Program; import tasks; from testbed.cli.invoke_words import adapt; "
    "program = Program(namespace=tasks.ns); "
    "adapt(program); program.run(words)"
)
IN_CONTAINERS = f"""
import json, sys
from testbed.lab.docker import container_settings
profile, *words = sys.argv[1:]
container_settings.SECURITY = (*container_settings.SECURITY, "seccomp=" + profile)
{RUN}
"""
INHERITED = f"""
import ctypes, platform, struct, sys
NUMBER = {{"x86_64": 101, "aarch64": 117}}[platform.machine()]
LOAD, EQUAL, RETURN, REFUSE, ALLOW = 0x20, 0x15, 0x06, 0x50001, 0x7FFF0000
rules = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, NUMBER), (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rules), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0) == 0
words = sys.argv[2:]
{RUN}
"""
SCENARIO = """
summary: traced, where tracing is refused
server: {{image: own-program, command: [/opt/own-program/server, 10011], ready: {{port: 10011}}}}
client: {{image: own-program, command: [/opt/own-program/{program}, "{{server}}", 10011]}}
observe: {{client: {observer}, server: none}}
"""


@pytest.fixture(params=["docker", "namespace"])
def without_ptrace(request: pytest.FixtureRequest, tmp_path: object) -> Callable[..., Invoked]:
    """`invoke` in a world where ptrace(2) is refused."""
    engine = request.param
    request.getfixturevalue("namespaces" if engine == "namespace" else "engine")
    script = INHERITED if engine == "namespace" else IN_CONTAINERS

    def call(path: str) -> Invoked:
        words = ["invoke", "run", path, "--engine", engine, "--runs", str(tmp_path)]
        argv = [sys.executable, "-c", script, json.dumps(PROFILE), *words]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False)
        return Invoked(done.returncode, done.stdout, done.stderr)

    return call


@pytest.mark.parametrize(
    ("observer", "program", "other"),
    [("strace", "client", "probe"), ("gdb", "client-static", "trace")],
)
def test_refused_ptrace(
    observer: str, program: str, other: str, without_ptrace: Callable[..., Invoked], scenario: Callable[[str], str]
) -> None:
    """Unsupported here: exit 4, the kernel's own word, an observer that works; it then does."""
    done = without_ptrace(scenario(SCENARIO.format(observer=observer, program=program)))
    assert done.code == 4, done.out + done.err
    said = " ".join(line.strip(" |") for line in done.err.splitlines())
    assert f"{observer} cannot trace the client's program here" in said
    assert "Operation not permitted" in said
    assert re.findall(r"`observe: \{client: (\w+)\}`", said) == [other]
    assert ("statically linked" in said) == (other == "trace")
    done = without_ptrace(scenario(SCENARIO.format(observer=other, program=program)))
    assert done.code == 0, done.out + done.err
