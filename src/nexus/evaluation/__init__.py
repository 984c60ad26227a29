"""What features are worth: classifiers on top of them that learn in seconds, or only need to be told the names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.evaluation.calibration import fit_temperature as fit_temperature
    from nexus.evaluation.classifier import FeatureClassifier as FeatureClassifier
    from nexus.evaluation.classifier import load_classifier as load_classifier
    from nexus.evaluation.cross_validation import cross_validate as cross_validate
    from nexus.evaluation.evaluator import evaluate_classifier as evaluate_classifier
    from nexus.evaluation.feature_cache import FeatureCache as FeatureCache
    from nexus.evaluation.feature_cache import Features as Features
    from nexus.evaluation.few_shot import FewShotCurve as FewShotCurve
    from nexus.evaluation.few_shot import few_shot_curve as few_shot_curve
    from nexus.evaluation.knn import KNNClassifier as KNNClassifier
    from nexus.evaluation.linear_probe import LinearProbe as LinearProbe
    from nexus.evaluation.matching import match_classes as match_classes
    from nexus.evaluation.nearest_centroid import NearestCentroid as NearestCentroid
    from nexus.evaluation.patch_core import PatchCore as PatchCore
    from nexus.evaluation.patch_core import PatchCoreConfig as PatchCoreConfig
    from nexus.evaluation.probe_sweep import ProbeSweep as ProbeSweep
    from nexus.evaluation.probe_sweep import SweepConfig as SweepConfig
    from nexus.evaluation.probe_sweep import sweep_probes as sweep_probes
    from nexus.evaluation.protocols import evaluate_knn as evaluate_knn
    from nexus.evaluation.protocols import evaluate_linear as evaluate_linear
    from nexus.evaluation.zero_shot import ZeroShotClassifier as ZeroShotClassifier

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "FeatureCache": ".feature_cache",
        "FeatureClassifier": ".classifier",
        "Features": ".feature_cache",
        "FewShotCurve": ".few_shot",
        "KNNClassifier": ".knn",
        "LinearProbe": ".linear_probe",
        "NearestCentroid": ".nearest_centroid",
        "PatchCore": ".patch_core",
        "PatchCoreConfig": ".patch_core",
        "ProbeSweep": ".probe_sweep",
        "SweepConfig": ".probe_sweep",
        "ZeroShotClassifier": ".zero_shot",
        "cross_validate": ".cross_validation",
        "evaluate_classifier": ".evaluator",
        "evaluate_knn": ".protocols",
        "evaluate_linear": ".protocols",
        "few_shot_curve": ".few_shot",
        "fit_temperature": ".calibration",
        "load_classifier": ".classifier",
        "match_classes": ".matching",
        "sweep_probes": ".probe_sweep",
    },
)
