"""nexus: large vision models to read, run, train, look into, ship and scale."""

from __future__ import annotations

__version__ = "0.1.0"
