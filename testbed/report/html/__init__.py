"""Reports as self-contained HTML pages. ``render.render(source)`` makes the page of a run."""
