"""What verbs return: frozen pydantic models. They are the JSON of the command line and the schemas of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.results.anomaly import AnomalyMetrics as AnomalyMetrics
    from nexus.results.anomaly import AnomalyResult as AnomalyResult
    from nexus.results.anomaly import JudgedPicture as JudgedPicture
    from nexus.results.base import Array as Array
    from nexus.results.base import Name as Name
    from nexus.results.base import Result as Result
    from nexus.results.base import Shown as Shown
    from nexus.results.base import Skipped as Skipped
    from nexus.results.classification import Caption as Caption
    from nexus.results.classification import CaptionedPicture as CaptionedPicture
    from nexus.results.classification import CaptionsResult as CaptionsResult
    from nexus.results.classification import Classification as Classification
    from nexus.results.classification import ClassifyResult as ClassifyResult
    from nexus.results.classification import Prediction as Prediction
    from nexus.results.clustering import Cluster as Cluster
    from nexus.results.clustering import ClusterResult as ClusterResult
    from nexus.results.clustering import OrganizeResult as OrganizeResult
    from nexus.results.clustering import Placement as Placement
    from nexus.results.duplicates import CopiesResult as CopiesResult
    from nexus.results.duplicates import CopyCalibration as CopyCalibration
    from nexus.results.duplicates import CopyMatch as CopyMatch
    from nexus.results.duplicates import DedupeResult as DedupeResult
    from nexus.results.duplicates import ExactGroup as ExactGroup
    from nexus.results.duplicates import NearGroup as NearGroup
    from nexus.results.duplicates import NearPair as NearPair
    from nexus.results.duplicates import Suspect as Suspect
    from nexus.results.embedding import Embeddings as Embeddings
    from nexus.results.embedding import EmbedResult as EmbedResult
    from nexus.results.evaluation import CalibrationBin as CalibrationBin
    from nexus.results.evaluation import ClassReport as ClassReport
    from nexus.results.evaluation import EvaluateResult as EvaluateResult
    from nexus.results.evaluation import Mistake as Mistake
    from nexus.results.evaluation import ProtocolRow as ProtocolRow
    from nexus.results.evaluation import TemperatureScaling as TemperatureScaling
    from nexus.results.models import LayerRow as LayerRow
    from nexus.results.models import ModelCard as ModelCard
    from nexus.results.models import ModelList as ModelList
    from nexus.results.models import ModelRow as ModelRow
    from nexus.results.models import Quote as Quote
    from nexus.results.models import Suggestion as Suggestion
    from nexus.results.models import Suggestions as Suggestions
    from nexus.results.progress import Progress as Progress
    from nexus.results.progress import ProgressEvent as ProgressEvent
    from nexus.results.retrieval import Hit as Hit
    from nexus.results.retrieval import IndexResult as IndexResult
    from nexus.results.retrieval import Recommendation as Recommendation
    from nexus.results.retrieval import RecommendResult as RecommendResult
    from nexus.results.retrieval import SearchReport as SearchReport
    from nexus.results.retrieval import SearchResult as SearchResult
    from nexus.results.system import Check as Check
    from nexus.results.system import DemoResult as DemoResult
    from nexus.results.system import DemoStep as DemoStep
    from nexus.results.system import DoctorResult as DoctorResult
    from nexus.results.text import printable as printable
    from nexus.results.training import DryRun as DryRun
    from nexus.results.training import TrainResult as TrainResult
    from nexus.results.visualization import PcaResult as PcaResult
    from nexus.results.visualization import SimilarityResult as SimilarityResult

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AnomalyMetrics": ".anomaly",
        "AnomalyResult": ".anomaly",
        "Array": ".base",
        "CalibrationBin": ".evaluation",
        "Caption": ".classification",
        "CaptionedPicture": ".classification",
        "CaptionsResult": ".classification",
        "Check": ".system",
        "ClassReport": ".evaluation",
        "Classification": ".classification",
        "ClassifyResult": ".classification",
        "Cluster": ".clustering",
        "ClusterResult": ".clustering",
        "CopiesResult": ".duplicates",
        "CopyCalibration": ".duplicates",
        "CopyMatch": ".duplicates",
        "DedupeResult": ".duplicates",
        "DemoResult": ".system",
        "DemoStep": ".system",
        "DoctorResult": ".system",
        "DryRun": ".training",
        "EmbedResult": ".embedding",
        "Embeddings": ".embedding",
        "EvaluateResult": ".evaluation",
        "ExactGroup": ".duplicates",
        "Hit": ".retrieval",
        "IndexResult": ".retrieval",
        "JudgedPicture": ".anomaly",
        "LayerRow": ".models",
        "Mistake": ".evaluation",
        "ModelCard": ".models",
        "ModelList": ".models",
        "ModelRow": ".models",
        "Name": ".base",
        "NearGroup": ".duplicates",
        "NearPair": ".duplicates",
        "OrganizeResult": ".clustering",
        "PcaResult": ".visualization",
        "Placement": ".clustering",
        "Prediction": ".classification",
        "Progress": ".progress",
        "ProgressEvent": ".progress",
        "ProtocolRow": ".evaluation",
        "Quote": ".models",
        "RecommendResult": ".retrieval",
        "Recommendation": ".retrieval",
        "Result": ".base",
        "SearchReport": ".retrieval",
        "SearchResult": ".retrieval",
        "Shown": ".base",
        "SimilarityResult": ".visualization",
        "Skipped": ".base",
        "Suggestion": ".models",
        "Suggestions": ".models",
        "Suspect": ".duplicates",
        "TemperatureScaling": ".evaluation",
        "TrainResult": ".training",
        "printable": ".text",
    },
)
