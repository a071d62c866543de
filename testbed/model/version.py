"""The version of Bothends: in a clone the fallback that pyproject.toml has; the build of a wheel puts its own here."""

from __future__ import annotations

VERSION = "0.1.0"
