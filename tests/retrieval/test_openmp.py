"""FAISS and torch bring an OpenMP runtime each; they must get along in one process, whichever comes first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import {first}
import {second}
import faiss, numpy as np, torch

faiss.omp_set_num_threads(2)
torch.set_num_threads(2)
vectors = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
for turn in range(3):
    products = torch.from_numpy(vectors) @ torch.from_numpy(vectors[:50]).T
    torch.nn.functional.conv2d(torch.ones(2, 3, 32, 32), torch.ones(8, 3, 3, 3))
    index = faiss.IndexFlatIP(64)
    index.add(vectors)
    _, rows = index.search(vectors[:50], 5)
    assert (np.sort(rows) == np.sort(products.topk(5, dim=0).indices.T.numpy())).all()
    graph = faiss.IndexHNSWFlat(64, 16, faiss.METRIC_INNER_PRODUCT)
    graph.add(vectors)
    faiss.Kmeans(64, 8, niter=3, min_points_per_centroid=1).train(vectors)
    torch.linalg.eigvalsh(products.T @ products)
print("done")
"""


@pytest.mark.parametrize(("first", "second"), [("faiss", "torch"), ("torch", "faiss")])
def test_faiss_and_torch_share_a_process(first: str, second: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(first=first, second=second)],
        capture_output=True, text=True, timeout=120, env=environment, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
