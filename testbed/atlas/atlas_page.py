"""The Atlas as one HTML file."""

from __future__ import annotations

from testbed.atlas.atlas import Atlas
from testbed.atlas.atlas_markdown import chosen, shown
from testbed.atlas.groups import GROUPS, group_of
from testbed.atlas.picture import LEFT, RIGHT, WIDTH, draw
from testbed.report.html import assemble


def render(atlas: Atlas) -> str:
    """Return the page: everything is there without its script, which only searches."""
    groups = [(group, [each for each in atlas.entries if group_of(each.tags) == group]) for group in GROUPS]
    return assemble.page(
        "atlas.html.j2",
        scripts=("atlas",),
        styles=("base", "atlas"),
        data="",
        title="Atlas: what does each socket call put on the wire?",
        atlas=atlas,
        groups=[(group, entries) for group, entries in groups if entries],
        pictures={entry.name: draw(entry.picture) for entry in atlas.entries},
        chosen=chosen,
        shown=shown,
        size=(WIDTH, LEFT, RIGHT),
    )
