"""NiN has no published layout but ours."""

from __future__ import annotations

from nexus.models.conversion import CheckpointFormat

__all__ = ["FORMATS"]

FORMATS: dict[str, CheckpointFormat] = {}
