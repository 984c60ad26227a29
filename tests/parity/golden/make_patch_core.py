"""Make the golden file of PatchCore and its measures.

    python tests/parity/golden/make_patch_core.py

Needs anomalib; the file here was made with anomalib 2.7.0 and torch 2.13.0.

`patch_core.safetensors`: two feature maps of six pictures (random, smooth, one of them with an odd corner); what
anomalib makes of them: embeddings, the greedy choice of centres (`KCenterGreedy`, without its random
projection), and, by a bank of some of the embeddings, patch scores, image scores and anomaly maps; and the
values of its measures (`AUROC`, `AUPRO`, `F1Max`) on maps scaled to 0..1 and masks.

anomalib repeats patch scores where the paper interpolates them bilinearly, so `AnomalyMapGenerator` is given scores
that were interpolated before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HERE = Path(__file__).parent
PICTURES, CENTRES, NEIGHBOURS, SIZE = 6, 60, 9, (64, 64)


def feature_maps() -> dict[str, Tensor]:
    """Maps (6, 5, 12, 12) and (6, 7, 6, 6); the last two pictures are unlike the others in one corner."""
    generator = torch.Generator().manual_seed(0)
    maps = {}
    for name, channels, side in (("fine", 5, 12), ("coarse", 7, 6)):
        one = F.avg_pool2d(torch.randn(PICTURES, channels, side, side, generator=generator), 3, 1, 1)
        one[4:, :, side // 2 :, : side // 3] += 1.5 * torch.randn(channels, 1, 1, generator=generator)
        maps[name] = one
    return maps


def masks() -> Tensor:
    """(6, 64, 64): that corner in one picture, in the other a part of it and a small region elsewhere."""
    odd = torch.zeros(PICTURES, *SIZE, dtype=torch.bool)
    odd[4, 32:, :21] = True
    odd[5, 40:60, :18] = odd[5, 10:14, 50:55] = True
    return odd


def bare_model(bank: Tensor) -> Any:
    """anomalib's model without its network."""
    from anomalib.models.image.patchcore.anomaly_map import AnomalyMapGenerator
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    model = PatchcoreModel.__new__(PatchcoreModel)
    nn.Module.__init__(model)
    model.layers, model.num_neighbors = ("fine", "coarse"), NEIGHBOURS
    model.feature_pooler, model.anomaly_map_generator = nn.AvgPool2d(3, 1, 1), AnomalyMapGenerator()
    model.memory_bank = bank
    return model.eval()


def centres(embedding: Tensor) -> Tensor:
    """Its greedy choice, from a random start on."""
    from anomalib.models.components import KCenterGreedy

    sampler = KCenterGreedy(embedding, CENTRES / len(embedding))
    sampler.model.fit = lambda _: None
    sampler.model.transform = lambda features: features
    torch.manual_seed(3)
    return torch.tensor(sampler.select_coreset_idxs())


def measured(measure: Any, scores: Tensor, truth: Tensor) -> Tensor:
    """One of its measures, of scores in 0..1: others would pass through a sigmoid."""
    measure.update(scores, truth.int())
    return measure.compute().reshape(1)


@torch.no_grad()
def main() -> None:
    from anomalib.metrics.aupro import _AUPRO
    from anomalib.metrics.auroc import _AUROC
    from anomalib.metrics.f1_score import _F1Max
    from safetensors.torch import save_file

    maps = feature_maps()
    model = bare_model(torch.empty(0))
    pooled = {name: model.feature_pooler(one) for name, one in maps.items()}
    embedding = model.generate_embedding(pooled)
    flat = model.reshape_embedding(embedding)
    chosen = centres(flat[: 4 * 144])
    model.memory_bank = flat[: 4 * 144][chosen]

    scores, places = model.nearest_neighbors(flat, n_neighbors=1)
    scores, places = scores.reshape(PICTURES, -1), places.reshape(PICTURES, -1)
    pictures = model.compute_anomaly_score(scores, places, flat)
    large = F.interpolate(scores.reshape(PICTURES, 1, 12, 12), size=SIZE, mode="bilinear")
    heat = model.anomaly_map_generator(large, SIZE)[:, 0]

    unit = (heat - heat.min()) / (heat.max() - heat.min())
    odd = masks().flatten(1).any(1)
    of_pictures, pixels, best = pictures / pictures.max(), masks(), _F1Max()
    measures = {
        "auroc": measured(_AUROC(), of_pictures, odd),
        "best_f1": measured(best, unit.flatten(), pixels.flatten()),
        "best_f1_threshold": best.threshold.reshape(1),
        "pixel_auroc": measured(_AUROC(), unit.flatten(), pixels.flatten()),
        "aupro": measured(_AUPRO(), unit, pixels),
    }
    found = {
        **maps,
        "embedding": embedding,
        "centres": chosen,
        "patch_scores": scores,
        "picture_scores": pictures,
        "heat": heat,
        **measures,
    }
    save_file({key: value.contiguous() for key, value in found.items()}, HERE / "patch_core.safetensors")
    for key, value in found.items():
        print(key, tuple(value.shape), value.double().abs().max().item())


if __name__ == "__main__":
    main()
