"""The engine of bare namespaces: closed, and gone without a trace when its runner is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.lab.choose_engine import NAMESPACE, choose
from testbed.lab.engine import LabHost, LabSpec
from testbed.lab.identity import new_run_id
from testbed.lab.pinned_sysctls import DEFAULT_CONGESTION_CONTROL, PINNED
from testbed.lab.session import Session
from testbed.model import HOSTS

from .conftest import LIMIT, ROOT, Invoke, command
from .hanging import HANGS, wait_until, wait_until_sent

pytestmark = pytest.mark.usefixtures("namespaces")

PLAIN_PYTHON = "/usr/bin/python3"
PLAIN_USER = 1000


# Which engine


def test_chosen_by_itself_where_no_docker_answers(invoke: Invoke) -> None:
    """Without a Docker Engine the run is made in namespaces, and one line says so and why."""
    done = invoke("run", "echo", "--json", env={"DOCKER_HOST": "unix:///nonexistent.sock"})
    assert done.code == 0, done.err
    assert done.json["run"]["engine"] == "namespace"
    (line,) = (line for line in done.err.splitlines() if line.startswith("engine: "))
    assert "namespace, because" in line
    assert "no Docker Engine answers" in line


def test_unknown_engine_is_bad_use(invoke: Invoke) -> None:
    """An engine that does not exist: exit 2, with those that do."""
    done = invoke("run", "echo", "--engine", "podman")
    assert done.code == 2
    assert "docker or namespace" in done.err


def test_image_is_unsupported(invoke: Invoke, scenario: Callable[..., str]) -> None:
    """An image that is not merely programs of ours: unsupported, named."""
    path = scenario("summary: x\nserver: {image: 'some/image:1', command: x}\nclient: {command: x}\n")
    done = invoke("run", path, "--engine", "namespace")
    assert done.code == 4
    assert "some/image:1" in done.err


def test_sysctl_that_the_kernel_lacks_is_unsupported(invoke: Invoke, scenario: Callable[..., str]) -> None:
    """A setting that this kernel does not have is named."""
    host = "steps: [{sleep: 1ms}], sysctl: {net.ipv4.conf.all.no_such_setting: 1}"
    done = invoke("run", scenario(f"summary: x\nserver: {{{host}}}\nclient: {{{host}}}\n"), "--engine", "namespace")
    assert done.code == 4
    assert "net.ipv4.conf.all.no_such_setting" in done.err


# By hand, and what can be seen and done inside


@pytest.fixture
def lab(invoke: Invoke, tmp_path: Path) -> Iterator[str]:
    """A lab that is up; its run id."""
    done = invoke("up", "connect-send-close", "--engine", "namespace")
    assert done.code == 0, done.err
    yield done.out.split()[1]
    if list((tmp_path / "runs" / ".labs").glob("*.json")):
        invoke("down")


@pytest.mark.usefixtures("lab")
def test_by_hand(invoke: Invoke, tmp_path: Path) -> None:
    """`up`, two programs started through `shell`, `down`: captured, observed, joined like any run."""
    script = "exec 3<>/dev/tcp/server/10011; echo hello >&3"
    listen = "import socket; s = socket.create_server(('', 10011)); c, _ = s.accept(); print(c.recv(99))"
    with subprocess.Popen(
        command("shell", "server", "--command", f'/usr/bin/python3 -c "{listen}"', "--runs", str(tmp_path)),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        client = invoke("shell", "client", "--command", f"bash -c 'until {script}; do sleep 0.05; done'")
        assert client.code == 0, client.err
        out, _ = server.communicate(timeout=LIMIT)
    assert "b'hello\\n'" in out
    down = invoke("down", "--json")
    assert down.code == 0, down.out + down.err
    rows = [row for row in down.json["ledger"] if row["sender"] == "client" and row["sent"]["bytes"]]
    assert [row["read"]["bytes"] for row in rows] == [6]
    assert any("bash" in call["program"] for call in down.json["hosts"]["client"]["calls"])


@pytest.mark.usefixtures("lab")
def test_closed_inside(invoke: Invoke, tmp_path: Path) -> None:
    """No capability, no way out, a /tmp of its own, no home, nothing of the checkout, nothing to write but scratch."""
    secret = tmp_path / "secret"
    secret.write_text("secret")

    def inside(script: str) -> str:
        done = invoke("shell", "client", "--command", script)
        return done.out + done.err

    status = inside("grep -E '^(CapEff|CapBnd|NoNewPrivs|Uid)' /proc/self/status").split()
    assert status[1] == "65534"
    assert status[status.index("CapEff:") + 1] == status[status.index("CapBnd:") + 1] == "0" * 16
    assert status[status.index("NoNewPrivs:") + 1] == "1"
    system = {path.name for path in Path("/").iterdir()} & {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}
    assert set(inside("ls -A /").split()) == {"dev", "etc", "opt", "proc", "run", "tmp", "usr"} | system
    assert inside("ls -A /tmp /etc/shadow").count("cannot access") == 1
    assert "secret" not in inside(f"cat {secret}").replace(str(secret), "")
    assert "No such file" in inside(f"ls {ROOT}")
    for path in ("/usr/x", "/etc/x", "/x", "/opt/bothends/x"):
        assert "Read-only file system" in inside(f"touch {path}")
    assert "Permission denied" in inside("echo 1 > /proc/sys/net/ipv4/ip_forward")
    assert inside("touch /tmp/mine && ls /tmp").strip() == "mine"
    reach = "for a in 172.17.0.1 192.0.2.1; do (echo > /dev/tcp/$a/22) 2>&1 | head -1; done"
    assert inside(f"bash -c '{reach}'").count("Network is unreachable") == 2
    assert "default" not in inside("ip route; ip -6 route")
    assert inside("getent hosts example.org || echo no name").strip() == "no name"
    assert "Operation not permitted" in inside("ip link set eth0 down") + inside("ip link set eth0 down")
    assert len([word for word in inside("ls /proc").split() if word.isdigit()]) <= 4


# Nothing stays


def _namespace_links() -> set[str]:
    """Network namespaces that some process is in."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(str(link.readlink()))
        except OSError:  # it ended meanwhile, or is not ours to see
            continue
    return found


def _children(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            direct = {int(word) for word in task.read_text().split()}
        except OSError:
            continue
        found |= direct
        for child in direct:
            found |= _children(child)
    return found


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]


@pytest.mark.parametrize("victim", ["runner", "launcher"])
def test_killed(victim: str, scenario: Callable[..., str], tmp_path: Path) -> None:
    """kill -9 of the runner, or of what holds the lab, leaves no process and no namespace."""
    path = scenario(HANGS.format(timeout="10m"))
    with subprocess.Popen(
        command("run", path, "--runs", str(tmp_path), "--engine", "namespace"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as runner:
        wait_until_sent(tmp_path)
        family = _children(runner.pid)
        names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in family}
        assert sorted(names.values()).count("agent") == 4
        (launcher,) = (pid for pid, name in names.items() if name == "launch")
        inside = {str(Path(f"/proc/{pid}/ns/net").readlink()) for pid in family}
        assert len(inside) >= 2
        os.kill(runner.pid if victim == "runner" else launcher, signal.SIGKILL)
        runner.communicate(timeout=LIMIT)
    assert runner.returncode == (-signal.SIGKILL if victim == "runner" else 3)
    wait_until(lambda: not any(_alive(pid) for pid in family))
    ours = str(Path("/proc/self/ns/net").readlink())
    wait_until(lambda: not (inside - {ours}) & _namespace_links())


def test_runs_leave_nothing(invoke: Invoke) -> None:
    """After runs: the same mounts, interfaces and files in /tmp as before, and no process."""

    def state() -> tuple[set[str], set[str], set[str]]:
        interfaces = {path.name for path in Path("/sys/class/net").iterdir() if path.name.startswith("eth")}
        return (
            # Others' containers may come and go meanwhile.
            {line for line in Path("/proc/self/mounts").read_text().splitlines() if "docker" not in line},
            interfaces,
            {path.name for path in Path(tempfile.gettempdir()).glob("*bothends*")},
        )

    before = state()
    for name in ("connect-send-close", "own-program"):
        assert invoke("run", name, "--engine", "namespace").code == 0
    assert state() == before


# As a plain user


def _as_plain_user(*words: str, home: Path | str) -> subprocess.CompletedProcess[str]:
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {
        "HOME": str(home),
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": packages,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [PLAIN_PYTHON, *words],
        cwd=ROOT,
        env=environment,
        user=PLAIN_USER if os.geteuid() == 0 else None,
        group=PLAIN_USER if os.geteuid() == 0 else None,
        extra_groups=[] if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home of a plain user, whom this machine lets make namespaces; skips where it does not.

    Not below pytest's own directory: every session of pytest closes that to other users anew.
    """
    usable = [PLAIN_PYTHON, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    if not Path(PLAIN_PYTHON).exists() or subprocess.run(usable, check=False).returncode:
        pytest.skip("no Python for a plain user")
    allowed = subprocess.run(
        ["unshare", "--user", "--net", "true"], check=False, user=PLAIN_USER if os.geteuid() == 0 else None
    )
    if allowed.returncode:
        pytest.skip("this machine does not let plain users make namespaces")
    reads = _as_plain_user("-c", "import invoke, testbed", home="/nonexistent")
    if reads.returncode and not os.environ.get("CI"):
        pytest.skip(f"a plain user cannot read this clone or its packages: {reads.stderr.strip().splitlines()[-1]}")
    assert reads.returncode == 0, reads.stderr
    path = Path(tempfile.mkdtemp(prefix="plain-user-"))
    if os.geteuid() == 0:
        os.chown(path, PLAIN_USER, PLAIN_USER)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize(
    "name",
    [
        "connect-send-close",
        "own-program",
        "nagle",
        "gdb-three-segments",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("ipv6", "lost-tail", "static-program")),
    ],
)
def test_as_a_plain_user(name: str, home: Path) -> None:
    """Without any privilege: compiled into the user's own cache, run, and everything as expected."""
    done = _as_plain_user(
        "-m", "invoke", "run", name, "--engine", "namespace", "--json", "--runs", str(home), home=home
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["outcome"] == "pass"
    assert list((home / ".cache" / "bothends").iterdir())


def test_a_plain_user_has_no_witness(home: Path) -> None:
    """Demanded, the run is unsupported (exit 4) and says why; by default it is made, and a note says why."""
    text = (ROOT / "scenarios/echo.yaml").read_text()
    demanding = home / "demanding.yaml"
    demanding.write_text(f"{text}\nobserve: {{kernel: true}}\n")
    words = ("-m", "invoke", "run", "--engine", "namespace", "--json", "--runs", str(home))
    why = "the kernel trace cannot be recorded here: "
    done = _as_plain_user(*words, str(demanding), home=home)
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stderr.count(why) == 1
    assert "tracefs" in done.stderr.partition(why)[2]
    done = _as_plain_user(*words, "echo", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["kernel"] is None
    assert {each["kernel"] for each in result["crossings"]} == {None}
    (note,) = (note for note in result["notes"] if note.startswith(f"no kernel trace: {why}"))
    assert "tracefs" in note


@pytest.mark.usefixtures("namespaces")
def test_usual_routes_are_those_that_ip_makes(tmp_path: Path) -> None:
    """Where launch makes the routes they are, but for an option more, what the taps make by ip(8)."""
    shown = []
    for options in ((), ("initcwnd", "10")):
        host = LabHost("host", PINNED, DEFAULT_CONGESTION_CONTROL, route_options=options)
        with choose(NAMESPACE).make(lambda _: None) as engine:
            live = engine.bring_up(LabSpec(new_run_id(), dict.fromkeys(HOSTS, host), (4,)))
            assert any(live.routes.values()) == bool(options)
            session = Session(live, tmp_path, lambda _: None)
            session.start_taps(offloads=False, egress={})
            for name, agent in live.hosts.items():
                lines = agent.run(["ip", "-details", "route", "show"])
                own = live.addresses[name].first
                network = lines.split()[1]
                shown.append(lines.replace(own, "OWN").replace(network, "NET").replace(live.devices[name], "DEVICE"))
            session.collect()
    plain, with_option = shown[:2], shown[2:]
    assert plain == [line.replace("initcwnd 10 ", "") for line in with_option]
    assert all("congctl" in line and len(line.splitlines()) == 1 for line in plain)
