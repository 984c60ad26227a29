"""The verbs: one file each, a typed function that returns a typed result. No argument parsing, no HTTP, no printing.

`VERBS` is a literal table, so that ``nexus --help`` imports none of them. A contract test holds each summary equal to
the first line of its function's docstring.
"""

from __future__ import annotations

__all__ = ["VERBS"]

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("nexus.commands.demo:demo", "Run the main job on the shipped photographs, weights to contact sheet."),
    "embed": ("nexus.commands.embed:embed", "Turn pictures into feature vectors."),
    "index": ("nexus.commands.index:index", "Index a folder of pictures, or bring its index up to date."),
    "search": ("nexus.commands.search:search", "Find the pictures most like a picture, or a text."),
    "dedupe": ("nexus.commands.dedupe:dedupe", "Find exact and near duplicates."),
    "copies": ("nexus.commands.copies:copies", "Find near-copies of protected pictures among suspects."),
    "cluster": ("nexus.commands.cluster:cluster", "Group pictures that look alike, and put each group in a folder."),
    "recommend": ("nexus.commands.recommend:recommend", "Rank pictures by examples that are liked and disliked."),
    "similarity": ("nexus.commands.similarity:similarity", "Compare pictures with each other."),
    "classify": (
        "nexus.commands.classify:classify",
        "Label pictures by words, by a few examples, or with a classifier.",
    ),
    "evaluate": (
        "nexus.commands.evaluate:evaluate",
        "Say how good a model is on labelled pictures, and where it fails.",
    ),
    "train": ("nexus.commands.train:train", "Train a model on your own labelled pictures."),
    "captions": ("nexus.commands.captions:captions", "Rank texts by how well they describe a picture."),
    "anomaly": ("nexus.commands.anomaly:anomaly", "Find defects and oddities, from normal pictures alone."),
    "visualize pca": ("nexus.commands.visualize:visualize_pca", "Show what the model sees: patch features as colours."),
    "models": ("nexus.commands.models:describe_models", "List the models."),
    "models show": (
        "nexus.commands.models:show_model",
        "Show one model: sizes, layers, sources, licence, how to cite.",
    ),
    "models recommend": (
        "nexus.commands.recommend_models:recommend_models",
        "Recommend models for a task, an amount of data and what matters most, and say why.",
    ),
    "doctor": ("nexus.commands.doctor:doctor", "Say what is installed, what would run, and what is missing."),
}
"""Name on the command line -> (``module:function``, summary)."""
