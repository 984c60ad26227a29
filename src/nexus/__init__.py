"""nexus: large vision models to read, run, train, look into, ship and scale.

Three objects: a model (`nexus.models.cv.DINOv2.from_pretrained(name)`: tensors in, dict out), a predictor
(`nexus.load(name)`: pictures in any form in, typed results out) and a verb (`nexus.search(...)`, the same as
``nexus search ...`` on the command line). Importing this module imports nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.commands.anomaly import anomaly as anomaly
    from nexus.commands.captions import captions as captions
    from nexus.commands.classify import classify as classify
    from nexus.commands.cluster import cluster as cluster
    from nexus.commands.copies import copies as copies
    from nexus.commands.dedupe import dedupe as dedupe
    from nexus.commands.demo import demo as demo
    from nexus.commands.doctor import doctor as doctor
    from nexus.commands.embed import embed as embed
    from nexus.commands.evaluate import evaluate as evaluate
    from nexus.commands.index import index as index
    from nexus.commands.models import describe_models as describe_models
    from nexus.commands.models import show_model as show_model
    from nexus.commands.recommend import recommend as recommend
    from nexus.commands.recommend_models import recommend_models as recommend_models
    from nexus.commands.search import search as search
    from nexus.commands.similarity import similarity as similarity
    from nexus.commands.train import train as train
    from nexus.commands.visualize import visualize_pca as visualize_pca
    from nexus.engines.predictor import load as load
    from nexus.registry import list_models as list_models
    from nexus.registry import register as register

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "anomaly": ".commands.anomaly",
        "captions": ".commands.captions",
        "classify": ".commands.classify",
        "cluster": ".commands.cluster",
        "copies": ".commands.copies",
        "dedupe": ".commands.dedupe",
        "demo": ".commands.demo",
        "describe_models": ".commands.models",
        "doctor": ".commands.doctor",
        "embed": ".commands.embed",
        "evaluate": ".commands.evaluate",
        "index": ".commands.index",
        "list_models": ".registry",
        "load": ".engines.predictor",
        "recommend": ".commands.recommend",
        "recommend_models": ".commands.recommend_models",
        "register": ".registry",
        "search": ".commands.search",
        "show_model": ".commands.models",
        "similarity": ".commands.similarity",
        "train": ".commands.train",
        "visualize_pca": ".commands.visualize",
    },
)
