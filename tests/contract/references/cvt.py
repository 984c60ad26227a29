"""Full-size CvTs of other libraries."""

from __future__ import annotations

from family_references import Shapes, on_meta, published

from nexus.registry import Variant


def full_size_states(variant: Variant) -> dict[str, Shapes]:
    from transformers import CvtConfig, CvtForImageClassification

    stages = variant.config["stages"]
    columns = {key: [stage[key] for stage in stages] for key in ("embed_dim", "depth", "num_heads")}
    described = CvtConfig(**columns, num_labels=1000)
    return {"transformers": on_meta(CvtForImageClassification, described)} | published("cvt", variant)
