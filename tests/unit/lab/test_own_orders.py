"""The user's own files in a lab of namespaces: which orders bring them where, and what cannot be had."""

from __future__ import annotations

import pytest

from testbed.lab.engine import LabHost
from testbed.lab.namespace.own_orders import named_user, own_orders
from testbed.model.errors import Unsupported
from testbed.model.host_files import HostFile

PRESENT = ("/usr", "/etc/passwd", "/etc/nginx", "/dev/null")
SCRATCH = ("/tmp", "/var/lib/nginx")  # noqa: S108 - inside the lab


def orders(*paths: str, user: str = "") -> list[bytes]:
    files = tuple(HostFile(path, b"x") for path in paths)
    users = {"server": named_user(user, "root\n", "root\n")}
    hosts = {"server": LabHost("host", {}, "cubic", files=files)}
    there = "/etc/nginx/nginx.conf"
    return list(own_orders(hosts, PRESENT, SCRATCH, users, lambda path: path == there))  # type: ignore[arg-type]


def test_what_is_mounted_is_the_topmost_that_is_new() -> None:
    """A new directory once for all that is in it; a file beside what is there already; one that stands for another."""
    made = orders("/app/a b", "/app/lib/c", "/etc/app.conf", "/etc/nginx/nginx.conf")
    assert made[:2] == [b"own server 444 1 /app/a b\nx", b"own server 444 1 /app/lib/c\nx"]
    assert [order for order in made if order.startswith(b"place")] == [
        b"place server /app\n",
        b"place server /etc/app.conf\n",
        b"place server /etc/nginx/nginx.conf\n",
    ]
    assert made[-1] == b"scratch /.own mode=0555\n", "no process sees where they are kept"
    assert orders() == []


def test_a_user_is_a_name_for_the_one_there_is() -> None:
    """Whoever asks for the name of its number finds the new name first."""
    assert orders(user="postgres")[0].endswith(b"\npostgres:x:65534:65534:postgres:/tmp:/bin/sh\nroot\n")
    assert orders(user="nobody") == []
    with pytest.raises(Unsupported, match="never root's"):
        orders(user="root")


@pytest.mark.parametrize("path", ["/etc/nginx/new.conf", "/var/lib/nginx/x"])
def test_where_nothing_can_be_put_is_said(path: str) -> None:
    """In a directory of the machine's, and below one that is made new for each run."""
    with pytest.raises(Unsupported, match=r"/etc/nginx|/var/lib/nginx"):
        orders(path)
