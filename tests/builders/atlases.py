"""An Atlas of two entries, one of which holds text that would be markup."""

from __future__ import annotations

from dataclasses import replace

from testbed.atlas.atlas import Atlas, Entry, kind_of, picture_of
from testbed.model import Analysis
from tests.builders.eventful_run import hostile_source
from tests.builders.runs import origin

EVIL = "<script>alert(1)</script> | `x` \x1b[31m\u202eevil"


def entry(name: str, analysis: Analysis, *, words: str = "Three sends", tags: tuple[str, ...] = ("send",)) -> Entry:
    return Entry(
        scenario=name,
        variant="",
        summary=words,
        about=words,
        tags=tags,
        path=f"../scenarios/{name}.yaml",
        sysctls={"client": {"net.ipv4.tcp_sack": "0"}, "server": {}},
        kinds=(kind_of(analysis, 3),),
        picture=picture_of(analysis),
        ladder=(words,),
        outcomes={"pass": 3},
    )


def atlas() -> Atlas:
    hostile = hostile_source().analysis
    conditions = dict.fromkeys(("kernel", "architecture", "engine", "bothends", "measured", "scenarios", "runs"), EVIL)
    return Atlas(
        conditions,
        {"net.ipv4.tcp_ecn": "2", EVIL: EVIL},
        (entry("origin", origin()), replace(entry("hostile", hostile, words=EVIL, tags=("close",)), variant=EVIL)),
    )
