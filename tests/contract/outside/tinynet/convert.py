"""An older layout, in which the blocks were called layers."""

from nexus.models.conversion import CheckpointFormat, rename

FORMATS = {"old": CheckpointFormat("layers.0.0.weight", lambda state, _: rename(state, {"layers.{}": "blocks.{}"}))}
