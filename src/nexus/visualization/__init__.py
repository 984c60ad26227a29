"""Pictures of what models see and what verbs find. Pure functions on arrays and PIL images; no model, no files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.visualization.attention import attention_rollout as attention_rollout
    from nexus.visualization.attention import cls_attention as cls_attention
    from nexus.visualization.attention import draw_attention as draw_attention
    from nexus.visualization.attention import plot_attention_maps as plot_attention_maps
    from nexus.visualization.confusion import Confusion as Confusion
    from nexus.visualization.confusion import draw_confusion as draw_confusion
    from nexus.visualization.confusion import most_confused as most_confused
    from nexus.visualization.contact_sheet import ContactSheet as ContactSheet
    from nexus.visualization.contact_sheet import Row as Row
    from nexus.visualization.contact_sheet import Tile as Tile
    from nexus.visualization.feature_maps import visualize_feature_maps as visualize_feature_maps
    from nexus.visualization.feature_pca import PatchPCA as PatchPCA
    from nexus.visualization.feature_pca import patch_pca as patch_pca
    from nexus.visualization.heatmap import draw_heatmap as draw_heatmap
    from nexus.visualization.heatmap import overlay as overlay
    from nexus.visualization.mistakes import Mistake as Mistake
    from nexus.visualization.mistakes import worst_mistakes as worst_mistakes
    from nexus.visualization.reliability import draw_reliability as draw_reliability
    from nexus.visualization.similarity_matrix import draw_similarity as draw_similarity
    from nexus.visualization.training_curves import draw_curves as draw_curves

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Confusion": ".confusion",
        "ContactSheet": ".contact_sheet",
        "Mistake": ".mistakes",
        "PatchPCA": ".feature_pca",
        "Row": ".contact_sheet",
        "Tile": ".contact_sheet",
        "attention_rollout": ".attention",
        "cls_attention": ".attention",
        "draw_attention": ".attention",
        "draw_confusion": ".confusion",
        "draw_curves": ".training_curves",
        "draw_heatmap": ".heatmap",
        "draw_reliability": ".reliability",
        "draw_similarity": ".similarity_matrix",
        "most_confused": ".confusion",
        "overlay": ".heatmap",
        "patch_pca": ".feature_pca",
        "plot_attention_maps": ".attention",
        "visualize_feature_maps": ".feature_maps",
        "worst_mistakes": ".mistakes",
    },
)
