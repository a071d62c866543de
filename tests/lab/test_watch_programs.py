"""Stock programs that already run are watched: nginx, redis, PostgreSQL, three services of a compose file."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import docker
import pytest

from testbed.lab.docker import images
from testbed.rundir.layout import RunDirectory
from tests.lab.conftest import ROOT, Invoke, command

KEEP_ALIVE = """
error_log stderr; pid /tmp/nginx.pid; events { worker_connections 64; }
http { access_log off; keepalive_timeout 300ms; keepalive_requests 10000;
       client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d;
       scgi_temp_path /tmp/e;
       server { listen 8080; root /srv/www; } }
"""
SOMETIMES_LATE = """
import http.client, sys, time
connection = http.client.HTTPConnection(sys.argv[1], 8080)
n = 0
while True:
    n += 1
    time.sleep(0.6 if n % 200 == 0 else 0.1 if n % 10 == 0 else 0.01)  # now and then later than the server waits
    try:
        connection.request("GET", "/index.html")
        connection.getresponse().read()
    except OSError:
        connection.close()
"""
STOPS_READING = """
import socket, sys, time
connection = socket.socket()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # else all may fit into its buffer
connection.connect((sys.argv[1], 6379))
connection.sendall(b"*3\\r\\n$3\\r\\nSET\\r\\n$3\\r\\nbig\\r\\n$1000000\\r\\n" + b"x" * 1_000_000 + b"\\r\\n")
assert connection.recv(100) == b"+OK\\r\\n"
while True:
    connection.sendall(10 * b"GET big\\r\\n")
    time.sleep(3)
    left = 10 * len(b"$1000000\\r\\n" + 1_000_000 * b"x" + b"\\r\\n")
    while left:
        left -= len(connection.recv(min(left, 100_000)))
"""
ASKS = """
import socket, sys, time
while True:
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
            for _ in range(20):
                connection.sendall(b"PING\\r\\n")
                connection.recv(100)
                time.sleep(0.05)
    except OSError:
        time.sleep(0.1)
"""
PASSES_ON = """
import socket, sys, threading
def serve(connection):
    with connection, socket.create_connection(("redis", 6379)) as redis:
        while data := connection.recv(100):
            redis.sendall(data)
            connection.sendall(redis.recv(100))
listener = socket.create_server(("", 7000))
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

Start = Callable[..., Any]


@pytest.fixture
def start(engine: docker.DockerClient) -> Iterator[Start]:
    """Starts containers as somebody else does, on a network of theirs."""
    network = engine.networks.create(f"watched-{token_hex(4)}")
    made: list[Any] = []

    def run(image: str, name: str, argv: list[str]) -> Any:
        own = images.ensure(engine, [image], lambda _: None)[image]
        made.append(
            engine.containers.run(
                own, argv, name=f"{name}-{token_hex(4)}", network=str(network.name), detach=True, user="root"
            )
        )
        return made[-1]

    try:
        yield run
    finally:
        for container in made:
            container.remove(force=True)
        network.remove()


def runs_in(directory: Path) -> list[RunDirectory]:
    return [RunDirectory(path.parent) for path in sorted(directory.glob("runs/watch-*/2*/manifest.json"))]


def test_a_keep_alive_race_of_nginx_is_caught(invoke: Invoke, start: Start) -> None:
    """A request in two hundred comes later than nginx waits: the run has it, and its finding says what happened.

    Calls are counted from a moment at which nothing is on its way, so that there are shorter pauses too. Watching may
    begin in the long one: then the exchange before it was not captured, and the next one is waited for.
    """
    server = start(
        "nginx", "nginx", ["sh", "-c", f"echo '{KEEP_ALIVE}' > /tmp/conf; exec nginx -c /tmp/conf -g 'daemon off;'"]
    )
    client = start("programs", "asks", ["python3", "-c", SOMETIMES_LATE, server.name])
    words = ("--until", "reset", "--after", "300ms", "--for", "60s", "--ring", "2MiB", "--json")
    for _ in range(4):
        done = invoke("watch", client.name, server.name, *words)
        assert done.code == 0, done.err
        assert "it happened: a RST, from " in done.err
        result = done.json
        found = [finding["name"] for finding in result["diagnosis"]["findings"]]
        if "keep-alive-race" in found:
            break
    assert "keep-alive-race" in found, done.err
    assert result["hosts"]["client"]["observer"] == "trace", done.err
    bases = [packet["cause"]["basis"] for packet in result["crossings"]]
    assert bases.count("kernel") > len(bases) / 2, result["notes"]  # by call stacks


@pytest.mark.slow
def test_a_client_of_redis_that_stops_reading_is_caught(invoke: Invoke, start: Start) -> None:
    server = start("programs", "redis", ["redis-server", "--save", "", "--protected-mode", "no"])
    time.sleep(1)
    client = start("programs", "reads", ["python3", "-c", STOPS_READING, server.name])
    words = ("--until", "zero-window", "--after", "1s", "--for", "60s")
    done = invoke("watch", client.name, server.name, *words, "--headers", "--json")
    assert done.code == 0, done.err
    assert "takes no more" in done.err or "no more bytes are taken" in done.err
    result = done.json
    assert "zero-window" in [finding["name"] for finding in result["diagnosis"]["findings"]]
    assert any("128 bytes were kept" in note for note in result["notes"])


@pytest.mark.slow
def test_every_event_is_kept_and_what_is_kept_is_bounded(invoke: Invoke, start: Start, tmp_path: Path) -> None:
    """Several runs, each with a reset; no capture is larger than its ring."""
    server = start(
        "nginx", "nginx", ["sh", "-c", f"echo '{KEEP_ALIVE}' > /tmp/conf; exec nginx -c /tmp/conf -g 'daemon off;'"]
    )
    client = start("programs", "asks", ["python3", "-c", SOMETIMES_LATE, server.name])
    words = ("--until", "reset", "--every", "--after", "100ms", "--for", "10s", "--ring", "128KiB", "--calls", "none")
    done = invoke("watch", client.name, server.name, *words, "--quiet")
    assert done.code == 0, done.err
    kept = runs_in(tmp_path)
    assert len(kept) >= 2
    assert done.err.count("it happened: a RST") >= 2
    for directory in kept:
        assert all(path.stat().st_size <= (128 << 10) + 100 for path in directory.path.glob("*.pcap"))
    assert not list(tmp_path.glob("runs/**/.*"))


def test_strace_sees_calls_where_it_is_asked_for(invoke: Invoke, start: Start) -> None:
    """It is attached and leaves again; the programs go on."""
    server = start("programs", "redis", ["redis-server", "--save", "", "--protected-mode", "no"])
    client = start("programs", "asks", ["python3", "-c", ASKS, server.name, "6379"])
    time.sleep(1)
    done = invoke("watch", client.name, server.name, "--calls", "strace", "--for", "4s", "--json")
    assert done.code == 0, done.err
    result = done.json
    assert result["outcome"] == "pass", result["reasons"]
    assert result["hosts"]["client"]["observer"] == "strace"
    whole = [row for row in result["ledger"] if row["sender"] == "client" and row["written"]["bytes"]]
    assert whole
    assert all(row["written"]["bytes"] == row["sent"]["bytes"] for row in whole)
    for container in (server, client):
        container.reload()
        assert container.attrs["State"]["Status"] == "running"
        assert "T (stopped)" not in container.exec_run(["sh", "-c", "cat /proc/1/status"]).output.decode()


COMPOSE = """
version: "3"
services:
  redis: {{image: "{image}", command: ["redis-server", "--save", "", "--protected-mode", "no"]}}
  api: {{image: "{image}", command: ["python3", "/files/api.py"], volumes: ["./:/files:ro"]}}
  web: {{image: "{image}", command: ["python3", "/files/web.py", "api", "7000"], volumes: ["./:/files:ro"]}}
"""


@pytest.fixture
def composed(engine: docker.DockerClient, tmp_path: Path) -> Iterator[Path]:
    """Three services, from a compose file: web asks api, which asks redis. Not up yet."""
    image = images.ensure(engine, ["programs"], lambda _: None)["programs"]
    folder = tmp_path / f"composed{token_hex(3)}"
    folder.mkdir()
    (folder / "compose.yaml").write_text(COMPOSE.format(image=image), encoding="utf-8")
    (folder / "api.py").write_text(PASSES_ON, encoding="utf-8")
    (folder / "web.py").write_text(ASKS, encoding="utf-8")
    yield folder
    compose(folder, "down", "-t", "1", "--remove-orphans")


def compose(folder: Path, *words: str, more: tuple[str, ...] = ()) -> None:
    files = [word for name in ("compose.yaml", *more) for word in ("-f", name)]
    subprocess.run(["docker-compose", *files, *words], cwd=folder, check=True, capture_output=True)


def test_three_services_of_a_compose_file(invoke: Invoke, composed: Path) -> None:
    """A run for each pair that talked, the names in a page over all; web and redis do not talk."""
    compose(composed, "up", "-d")
    file = str(composed / "compose.yaml")
    done = invoke("watch", "client=web", "api", "redis", "--compose", file, "--for", "3s", "--report", "--quiet")
    assert done.code == 0, done.err
    assert "web and redis said nothing to each other" in done.err
    page = next(line for line in done.err.splitlines() if line.endswith("watched.html"))
    text = Path(page).read_text(encoding="utf-8")
    for pair in ("web and api", "api and redis"):
        assert re.search(f"{pair}: (pass|inconclusive)", text), re.findall("<h2.*", text)
    headings = [line for line in done.out.splitlines() if re.fullmatch(r"client: \S+, server: \S+", line)]
    assert sorted(headings) == ["client: api, server: redis", "client: web, server: api"]
    assert "nothing explains an event of the kernel" not in done.out  # of the third service


def test_an_overlay_adds_taps_to_the_services_of_a_compose_file(invoke: Invoke, composed: Path) -> None:
    """Compose starts the taps; what they captured is evaluated without the engine."""
    made = subprocess.run(
        command("watch", "client=web", "api", "redis", "--overlay"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    (composed / "watch.yaml").write_text(made.stdout, encoding="utf-8")
    compose(composed, "up", "-d", more=("watch.yaml",))
    time.sleep(3)
    compose(composed, "stop", "-t", "5", more=("watch.yaml",))
    done = invoke("evaluate", str(composed / "watched"))
    assert done.code == 0, done.err
    kept = {path.parent.name for path in composed.glob("watched/runs/watch-*/2*")}
    assert kept == {"watch-web-api", "watch-api-redis"}, done.err
    assert "watch-web-api: PASS" in done.out
    assert "0 lost, 0 altered, 0 appeared" in done.out  # what tcpdump had not written as it ended is in neither
    assert (composed / "watched" / "runs" / "watched.html").exists()
    compose(composed, "down", "-t", "1", more=("watch.yaml",))


@pytest.mark.slow
def test_a_pool_of_postgresql_whose_idle_connections_are_cut(
    engine: docker.DockerClient, invoke: Invoke, tmp_path: Path
) -> None:
    """The server ends sessions that were idle; the pool's next query on one meets a closed connection."""
    assert shutil.which("docker")
    base = images.ensure(engine, ["programs"], lambda _: None)["programs"]
    (tmp_path / "Dockerfile").write_text(
        f"FROM {base}\nRUN apt-get update && apt-get install -y --no-install-recommends postgresql python3-psycopg2\n"
        "USER postgres\nRUN /usr/lib/postgresql/*/bin/initdb -A trust /tmp/data"
        " && echo 'host all all 0.0.0.0/0 trust' >> /tmp/data/pg_hba.conf\n",
        encoding="utf-8",
    )
    image, _ = engine.images.build(path=str(tmp_path), rm=True)
    number = str(image.id)
    network = engine.networks.create(f"watched-{token_hex(4)}")
    pool = (
        "import psycopg2, sys, time\n"
        "from psycopg2.pool import SimpleConnectionPool\n"
        "pool = None\n"
        "while pool is None:\n"
        "    try: pool = SimpleConnectionPool(2, 2, host=sys.argv[1], user='postgres', sslmode='disable')\n"
        "    except psycopg2.OperationalError: time.sleep(0.2)\n"
        "while True:\n"
        "    for pause in (0.1, 0.1, 0.1, 0.1, 0.1, 3):\n"
        "        time.sleep(pause)\n"
        "        connection = pool.getconn()\n"
        "        broken = False\n"
        "        try:\n"
        "            connection.cursor().execute('select 1'); connection.rollback()\n"
        "        except psycopg2.Error: broken = True\n"
        "        pool.putconn(connection, close=broken)\n"
    )
    made: list[Any] = []
    try:
        argv = ["sh", "-c", "exec /usr/lib/postgresql/*/bin/postgres -D /tmp/data -h '*' -c idle_session_timeout=1500"]
        for name, words in (("db", argv), ("pool", ["python3", "-c", pool])):
            full = f"{name}-{token_hex(4)}"
            own = [*words, *(container.name for container in made)]
            made.append(engine.containers.run(number, own, name=full, network=str(network.name), detach=True))
        time.sleep(6)
        until = ("--until", "reset", "--after", "500ms", "--for", "60s", "--json")
        for _ in range(4):  # one that begins in the long pause does not have the exchange before it
            done = invoke("watch", made[1].name, made[0].name, *until)
            assert done.code == 0, done.err
            result = done.json
            found = [finding["name"] for finding in result["diagnosis"]["findings"]]
            if "keep-alive-race" in found:
                break
        assert "keep-alive-race" in found, done.err
    finally:
        for container in made:
            container.remove(force=True)
        network.remove()
        engine.images.remove(number, force=True)
