from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_vit import SIZE, TinyViT
from torch import nn

from nexus.engines import agreements, build, missing, names, resolve_device
from nexus.engines.agreement import MINIMUM
from nexus.engines.base import Forward, fill, leaves, names_of, pick
from nexus.errors import ConfigError, EngineError, InputError, UnknownNameError
from nexus.transforms.preprocess import PreprocessSpec

CPU = torch.device("cpu")
EVERYTHING = ("embeddings", "features", "pyramid", "aux.prefix_tokens.-1", "tokens")


@pytest.mark.parametrize("name", names("cpu"))
def test_an_engine_gives_eagers_answers_for_every_output_and_batch_size(
    name: str, model: TinyViT, pixels: np.ndarray, tmp_path: Path
) -> None:
    options = {"spec": model.preprocess, "threads": 1}
    reference = build("eager", model, EVERYTHING, CPU, pixels, **options)
    first = build(name, model, EVERYTHING, CPU, pixels, **options, artefact=tmp_path / "kept")
    again = build(name, model, EVERYTHING, CPU, pixels, **options, artefact=tmp_path / "kept")
    for engine in (first, again):
        assert engine.name == name
        for count in (6, 1, 3):
            expected, outputs = reference(pixels[:count]), engine(pixels[:count])
            assert list(outputs) == list(EVERYTHING)
            assert [key for key, _ in leaves(outputs)] == [key for key, _ in leaves(expected)]
            assert isinstance(outputs["features"], list)
            assert list(outputs["pyramid"]) == [8]
            assert min(agreements(expected, outputs).values()) > (MINIMUM if "bf16" in name else 0.999999)
    assert [path.name for path in tmp_path.glob("kept*")] == [
        f"kept.{name}.{suffix}"
        for kind, suffix in (("openvino", "blob"), ("onnxruntime", "onnx"))
        if name.startswith(kind)
    ]


@pytest.mark.parametrize("name", [name for name in names("cpu") if name.startswith(("openvino", "onnx"))])
def test_a_damaged_artefact_is_made_again(name: str, model: TinyViT, pixels: np.ndarray, tmp_path: Path) -> None:
    for _ in range(2):
        engine = build(name, model, ("embeddings",), CPU, pixels, spec=model.preprocess, artefact=tmp_path / "kept")
        assert engine(pixels)["embeddings"].shape == (6, 32)
        (kept,) = tmp_path.iterdir()
        kept.write_bytes(kept.read_bytes()[:1000])


def test_results_are_not_overwritten_by_the_next_call(model: TinyViT, pixels: np.ndarray) -> None:
    for name in names("cpu"):
        if not name.startswith("compiled"):
            engine = build(name, model, ("embeddings",), CPU, pixels, spec=model.preprocess)
            first = engine(pixels[:3])["embeddings"]
            before = first.copy()
            engine(pixels[3:])
            np.testing.assert_array_equal(first, before)


def test_openvino_gives_the_parts_of_a_batch_in_order(model: TinyViT, pixels: np.ndarray) -> None:
    whole, halves = (
        build("openvino", model, ("embeddings",), CPU, pixels, spec=model.preprocess, threads=threads)
        for threads in (1, 2)
    )
    for batch in (pixels, pixels[::-2], pixels[:1]):
        expected, got = whole(batch)["embeddings"], halves(batch)["embeddings"]
        assert got.shape == (len(batch), 32)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_only_the_wanted_outputs_are_in_a_lowered_graph(model: TinyViT, pixels: np.ndarray, tmp_path: Path) -> None:
    import onnx

    for outputs in (("features.0",), ("features.1",)):
        build("onnxruntime", model, outputs, CPU, pixels, spec=model.preprocess, artefact=tmp_path / outputs[0])
    graphs = [
        onnx.load_from_string((tmp_path / f"features.{i}.onnxruntime.onnx").read_bytes().partition(b"\n")[2]).graph
        for i in (0, 1)
    ]
    assert [[output.name for output in graph.output] for graph in graphs] == [["features.0"], ["features.1"]]
    assert len(graphs[0].node) < 0.7 * len(graphs[1].node)


def test_an_engine_without_a_spec_takes_normalised_images(model: TinyViT) -> None:
    images = np.random.default_rng(0).standard_normal((2, 3, SIZE, SIZE), dtype=np.float32)
    for name in ("eager", "openvino"):
        outputs = build(name, model, ("embeddings",), CPU, images)(images)
        expected = model(torch.from_numpy(images))["embeddings"].detach()
        np.testing.assert_allclose(outputs["embeddings"], expected, atol=1e-4)


def test_normalising_equals_the_numpy_path_in_either_channel_order(pixels: np.ndarray) -> None:
    from nexus.transforms.preprocess import normalise

    for channels in ("rgb", "bgr"):
        spec = PreprocessSpec(mean=(0.1, 0.2, 0.3), std=(0.9, 0.8, 0.7), channels=channels)
        ours = Forward(TinyViT(), ("embeddings",), spec).normalise(torch.from_numpy(pixels))
        np.testing.assert_allclose(ours, normalise(pixels, spec), atol=1e-5)


class FixedBatch(TinyViT):
    """Takes a size for a Python number, which fixes it in any graph."""

    def forward(self, images, **options):  # type: ignore[no-untyped-def]
        return super().forward(images[: len(images)], **options)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openvino", r"OpenVINO cannot run FixedBatch; trace: .*; export: "),
        ("onnxruntime", "Runtime cannot run FixedBatch"),
    ],
)
def test_a_model_that_cannot_be_lowered_is_an_engine_error(name: str, message: str, pixels: np.ndarray) -> None:
    model = FixedBatch().eval()
    with pytest.raises(EngineError, match=f"(?s){message}"):
        build(name, model, ("embeddings",), CPU, pixels, spec=model.preprocess)


def test_names_missing_and_devices() -> None:
    assert names("cpu")[0] == "eager"
    assert missing("eager", CPU) is None
    with pytest.raises(UnknownNameError, match="did you mean 'openvino'"):
        missing("openvin", CPU)
    assert "does not run on cuda, only on cpu" in str(missing("openvino", torch.device("cuda")))
    assert resolve_device("cpu") == CPU
    with pytest.raises(ConfigError, match="not a PyTorch device"):
        resolve_device("quantum")
    absent = next(kind for kind in ("cuda", "mps", "xpu") if not getattr(torch, kind).is_available())
    with pytest.raises(ConfigError, match="not available"):
        resolve_device(absent)


def test_compiled_is_offered_only_with_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "C++ compiler" in str(missing("compiled", CPU))
    assert not [name for name in names("cpu") if name.startswith("compiled")]


def test_a_model_output_that_is_not_there(model: TinyViT, pixels: np.ndarray) -> None:
    for path, there in (("logits", "nothing"), ("features.2", "2 items"), ("pyramid.16", "8"), ("aux.x", "prefix")):
        with pytest.raises(InputError, match=f"no output '{path}'.*{there}"):
            Forward(model, (path,))(torch.zeros(1, 3, SIZE, SIZE))
    assert pick({"a": [{4: "x"}]}, "a.0.4") == "x"


def test_nesting_survives() -> None:
    tree = {"a": 1, "b": [2, {14: 3, "c": [4]}]}
    assert list(leaves(tree)) == [("a", 1), ("b.0", 2), ("b.1.14", 3), ("b.1.c.0", 4)]
    assert fill(names_of(tree), dict(leaves(tree))) == tree


def test_convolutions_run_channels_last_with_the_same_answers(pixels: np.ndarray) -> None:
    class TinyCNN(TinyViT):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, images, **options):  # type: ignore[no-untyped-def]
            return super().forward(self.stem(images), **options)

    model = TinyCNN().eval()
    digest = model.digest()
    before = Forward(model, ("embeddings",), model.preprocess)(torch.from_numpy(pixels))["embeddings"].detach()
    engine = build("eager", model, ("embeddings",), CPU, pixels, spec=model.preprocess)
    assert model.stem.weight.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(engine(pixels)["embeddings"], before, atol=1e-5)
    assert model.digest() == digest


IMPORTS = """
import sys
order = sys.argv[1:]
for name in order:
    if name == "openvino":
        from nexus.engines.openvino import import_openvino
        openvino = import_openvino()
    else:
        __import__(name)
import torch, numpy as np
from torch import nn
x = torch.randn(4, 16)
model = nn.Sequential(nn.Linear(16, 16), nn.GELU()).eval()
import onnxruntime
import openvino
expected = model(x).detach().numpy()
graph = openvino.convert_model(model, example_input=x)
compiled = openvino.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
assert np.allclose(compiled(x.numpy())[0], expected, atol=1e-5)
assert sys.modules["openvino_telemetry"] is None
"""


@pytest.mark.parametrize("order", [("torch", "openvino", "onnxruntime"), ("onnxruntime", "openvino", "torch")])
def test_libraries_live_in_one_process_in_either_order(order: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS, *order], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
