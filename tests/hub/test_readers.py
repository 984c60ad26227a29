"""Every checkpoint format round-trips into a flat dict, and nothing unsafe is opened."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors.torch import save_file

from nexus.errors import UnsafeFileError, WeightsError
from nexus.hub import read_tensors
from nexus.hub.readers import write_safetensors


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {"conv.weight": torch.randn(4, 3, 2, 2), "norm.bias": torch.randn(4), "steps": torch.tensor(7)}


def assert_same(read: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert read.keys() == expected.keys()
    for key, tensor in expected.items():
        assert read[key].dtype == tensor.dtype
        assert torch.equal(read[key], tensor), key


def test_safetensors(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, tmp_path / "m.safetensors")
    assert_same(read_tensors(tmp_path / "m.safetensors"), state)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pth.tar"])
@pytest.mark.parametrize("legacy", [False, True])
def test_torch(tmp_path: Path, state: dict[str, torch.Tensor], suffix: str, legacy: bool) -> None:
    torch.save(state, tmp_path / f"m{suffix}", _use_new_zipfile_serialization=not legacy)
    assert_same(read_tensors(tmp_path / f"m{suffix}"), state)


class Scripted(torch.nn.Module):
    """What a TorchScript archive may hold: modules in modules, tied and strided tensors, other types, plain values."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).half()
        self.token = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
        self.tied = self.token
        self.register_buffer("size", torch.tensor(224))
        self.sizes, self.name, self.pair = [1, 2], "tower", (1.5, True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x) + self.token.sum() + self.tied.sum() + self.size + self.sizes[0] + self.pair[0]


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_torchscript(tmp_path: Path) -> None:
    """Tensors as `torch.jit.load` gives them, without running the program."""
    torch.manual_seed(0)
    torch.jit.script(Scripted()).save(str(tmp_path / "m.pt"))
    expected = torch.jit.load(str(tmp_path / "m.pt")).state_dict()
    assert {"layers.0.weight", "layers.1.running_var", "token", "tied", "size"} <= set(expected)
    assert_same(read_tensors(tmp_path / "m.pt"), dict(expected))


@pytest.mark.parametrize("module", ["os.system", "builtins.eval", "torch.jit._script.ScriptModule"])
def test_torchscript_with_a_call_in_it_is_refused(tmp_path: Path, module: str) -> None:
    path, called = tmp_path / "m.pt", module.rpartition(".")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/constants.pkl", pickle.dumps(()))
        archive.writestr("m/data.pkl", f"c{called[0]}\n{called[2]}\n(S'false'\ntR.".encode())
    with pytest.raises(UnsafeFileError, match=module):
        read_tensors(path)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": {"params": s}},
        lambda s: {"anything": s},
        lambda s: {"predictor": {}, "encoder": s, "epoch": 3},
    ],
)
def test_torch_nested(tmp_path: Path, state: dict[str, torch.Tensor], wrap) -> None:
    torch.save(wrap(state), tmp_path / "m.pth")
    assert_same(read_tensors(tmp_path / "m.pth"), state)


def test_torch_parameters_come_without_gradients(tmp_path: Path) -> None:
    torch.save({"w": torch.nn.Parameter(torch.ones(2))}, tmp_path / "m.pt")
    assert not read_tensors(tmp_path / "m.pt")["w"].requires_grad


def test_torch_without_a_state_dict_says_what_is_there(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "m.pt")
    with pytest.raises(WeightsError, match="no state dict; its entries are epoch, loss"):
        read_tensors(tmp_path / "m.pt")


class Exploit:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickled_code_is_refused_and_not_run(tmp_path: Path, legacy: bool) -> None:
    marker = tmp_path / "was-run"
    torch.save({"w": torch.ones(1), "x": Exploit(marker)}, tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UnsafeFileError, match="safetensors"):
        read_tensors(tmp_path / "m.pt")
    assert not marker.exists()


def test_plain_pickle_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    (tmp_path / "m.bin").write_bytes(pickle.dumps(Exploit(marker)))
    with pytest.raises(WeightsError):
        read_tensors(tmp_path / "m.bin")
    assert not marker.exists()


def test_npz(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    np.savez(tmp_path / "m.npz", **{key: tensor.numpy() for key, tensor in state.items()})
    assert_same(read_tensors(tmp_path / "m.npz"), state)


def test_npz_with_objects_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    np.savez(tmp_path / "m.npz", w=np.ones(2), x=np.array([Exploit(marker)], dtype=object))
    with pytest.raises(UnsafeFileError, match="'x'"):
        read_tensors(tmp_path / "m.npz")
    assert not marker.exists()


# -- tfjs --------------------------------------------------------------------------------------------------------------


def write_tfjs(folder: Path, arrays: dict[str, np.ndarray], shard_bytes: int) -> Path:
    """Write arrays as one group of shards, the way tensorflowjs_converter does."""
    content = b"".join(array.tobytes() for array in arrays.values())
    shards = [content[i : i + shard_bytes] for i in range(0, len(content), shard_bytes)]
    names = [f"group1-shard{i + 1}of{len(shards)}.bin" for i in range(len(shards))]
    for name, shard in zip(names, shards):
        (folder / name).write_bytes(shard)
    weights = [{"name": k, "shape": list(a.shape), "dtype": str(a.dtype)} for k, a in arrays.items()]
    manifest = {"weightsManifest": [{"paths": names, "weights": weights}]}
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder / "model.json"


@settings(max_examples=30, deadline=None)
@given(
    arrays=st.dictionaries(
        st.from_regex(r"[a-z]{1,5}/(kernel|bias)", fullmatch=True),
        hnp.arrays(st.sampled_from([np.float32, np.int32, np.uint8]), hnp.array_shapes(max_dims=4, max_side=4)),
        min_size=1,
        max_size=4,
    ),
    shard_bytes=st.integers(1, 64),
)
def test_tfjs(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray], shard_bytes: int) -> None:
    path = write_tfjs(tmp_path_factory.mktemp("tfjs"), arrays, shard_bytes)
    read = read_tensors(path)
    assert list(read) == list(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(read[key].numpy(), array)


def test_tfjs_quantised(tmp_path: Path) -> None:
    path = write_tfjs(tmp_path, {"w": np.array([0, 128, 255], np.uint8)}, 99)
    manifest = json.loads(path.read_text())
    weight = manifest["weightsManifest"][0]["weights"][0]
    weight |= {"dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -2.0}}
    path.write_text(json.dumps(manifest))
    assert read_tensors(path)["w"].tolist() == [-2.0, 62.0, 125.5]


def test_tfjs_cut_off(tmp_path: Path) -> None:
    path = write_tfjs(tmp_path, {"w": np.ones(8, np.float32)}, 99)
    (tmp_path / "group1-shard1of1.bin").write_bytes(b"\0" * 31)
    with pytest.raises(WeightsError, match="end inside w"):
        read_tensors(path)
    (tmp_path / "group1-shard1of1.bin").write_bytes(b"\0" * 33)
    with pytest.raises(WeightsError, match="33 bytes, its manifest describes 32"):
        read_tensors(path)


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/hostname", "a/../../secret.bin", "C:secret.bin", ""])
def test_tfjs_does_not_leave_its_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(b"\0" * 4)
    group = {"paths": [name], "weights": [{"name": "w", "shape": [1], "dtype": "float32"}]}
    (folder / "model.json").write_text(json.dumps({"weightsManifest": [group]}))
    with pytest.raises(UnsafeFileError, match="outside its own folder"):
        read_tensors(folder / "model.json")


# -- onnx --------------------------------------------------------------------------------------------------------------


def write_onnx(path: Path, initialisers: dict[str, np.ndarray], nodes: list[onnx.NodeProto]) -> Path:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in initialisers.items()],
    )
    onnx.save(helper.make_model(graph), path)
    return path


def constant(name: str, array: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def test_onnx_names(tmp_path: Path) -> None:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    table = np.arange(3, dtype=np.float32).reshape(1, 3)
    path = write_onnx(
        tmp_path / "m.onnx",
        {"model.fc.bias": table[0], "onnx::MatMul_9": weight, "onnx::Add_4": table, "named": weight},
        [
            constant("/shape", np.array([1, -1], np.int64)),
            constant("/half", np.array(0.5, np.float32)),
            constant("/token", table * 2),
            helper.make_node("MatMul", ["x", "onnx::MatMul_9"], ["a"], name="/blocks.0/fc/MatMul"),
            helper.make_node("MatMul", ["x", "named"], ["b"], name="/head/MatMul"),
            helper.make_node("Identity", ["model.fc.bias"], ["twin"]),
            helper.make_node("Identity", ["twin"], ["triplet"]),
            helper.make_node("Add", ["a", "model.fc.bias"], ["y"]),
        ],
    )
    read = read_tensors(path)
    assert read.keys() == {
        "model.fc.bias", "onnx::Add_4", "named", "/token", "blocks.0.fc.weight", "twin", "triplet"
    }  # fmt: skip
    np.testing.assert_array_equal(read["blocks.0.fc.weight"].numpy(), weight.T)
    np.testing.assert_array_equal(read["named"].numpy(), weight)
    np.testing.assert_array_equal(read["/token"].numpy(), table * 2)
    np.testing.assert_array_equal(read["triplet"].numpy(), table[0])


def test_onnx_matmul_becomes_the_linear_that_it_was(tmp_path: Path) -> None:
    """Exporters transpose the weight of a Linear and lose its name; the node's name brings both back."""
    torch.manual_seed(0)
    weight, bias = torch.randn(5, 3), torch.randn(5)
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_1"], ["h"], name="/mlp/fc1/MatMul"),
        helper.make_node("Add", ["mlp.fc1.bias", "h"], ["y"], name="/mlp/fc1/Add"),
    ]
    path = write_onnx(tmp_path / "m.onnx", {"onnx::MatMul_1": weight.T.numpy(), "mlp.fc1.bias": bias.numpy()}, nodes)
    linear = torch.nn.Linear(3, 5)
    read = {key.removeprefix("mlp.fc1."): tensor for key, tensor in read_tensors(path).items()}
    linear.load_state_dict(read)
    x = torch.randn(2, 3)
    reference = ReferenceEvaluator(str(path)).run(None, {"x": x.numpy()})[0]
    np.testing.assert_allclose(linear(x).detach().numpy(), reference, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # onnxruntime's quantiser uses deprecated calls
@pytest.mark.parametrize("per_channel", [False, True])
def test_onnx_8_bit_weights_become_numbers(tmp_path: Path, per_channel: bool) -> None:
    """What onnxruntime's dynamic quantisation makes of a matrix comes back under its node's name, but for rounding."""
    from onnxruntime.quantization import quantize_dynamic

    torch.manual_seed(0)
    weight, bias = torch.randn(3, 5) * torch.arange(1, 6), torch.randn(5)  # channels of other scales
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_1"], ["h"], name="/mlp/fc1/MatMul"),
        helper.make_node("Add", ["mlp.fc1.bias", "h"], ["y"], name="/mlp/fc1/Add"),
    ]
    path = write_onnx(tmp_path / "m.onnx", {"onnx::MatMul_1": weight.numpy(), "mlp.fc1.bias": bias.numpy()}, nodes)
    quantize_dynamic(path, tmp_path / "q.onnx", per_channel=per_channel)
    read = read_tensors(tmp_path / "q.onnx")
    assert read.keys() == {"mlp.fc1.weight", "mlp.fc1.bias"}
    step = (weight.abs().amax(0) if per_channel else weight.abs().max()) / 127
    assert ((read["mlp.fc1.weight"].T - weight).abs() <= 1.01 * step).all()
    assert not torch.equal(read["mlp.fc1.weight"].T, weight)


def test_onnx_external_data_beside_the_file(tmp_path: Path) -> None:
    array = np.arange(4096, dtype=np.float32)
    path = write_onnx(tmp_path / "m.onnx", {"w": array}, [helper.make_node("Add", ["x", "w"], ["y"])])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.data")
    assert (tmp_path / "m.data").is_file()
    np.testing.assert_array_equal(read_tensors(path)["w"].numpy(), array)


@pytest.mark.parametrize("linked", [False, True])
def test_onnx_external_data_elsewhere_is_refused(tmp_path: Path, linked: bool) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"\0" * 16)
    if linked:
        os.symlink(tmp_path / "secret", folder / "inside")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="inside" if linked else "../secret")
    graph = helper.make_graph([], "g", [], [], [tensor])
    (folder / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(UnsafeFileError, match="own folder"):
        read_tensors(folder / "m.onnx")


# -- folders and errors ------------------------------------------------------------------------------------------------


def test_folder_prefers_safetensors(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({"old": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert read_tensors(tmp_path).keys() == {"old"}
    save_file(state, tmp_path / "model.safetensors")
    assert_same(read_tensors(tmp_path), state)


def test_sharded_folder(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    keys = list(state)
    names = {key: f"model-{i + 1:05}-of-00002.safetensors" for i, key in enumerate(keys[:2])} | {
        keys[2]: "model-00002-of-00002.safetensors"
    }
    for name in set(names.values()):
        save_file({key: state[key] for key in keys if names[key] == name}, tmp_path / name)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    assert_same(read_tensors(tmp_path), state)
    index.write_text(json.dumps({"weight_map": names | {"head.weight": names[keys[0]]}}))
    with pytest.raises(WeightsError, match=r"lack 1 tensors, first head\.weight"):
        read_tensors(tmp_path)
    index.write_text(json.dumps({"weight_map": {"w": "../model.safetensors"}}))
    with pytest.raises(UnsafeFileError, match="outside its own folder"):
        read_tensors(tmp_path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        read_tensors(tmp_path)
    with pytest.raises(WeightsError, match="no checkpoint file"):
        read_tensors(tmp_path / "absent.pt")
    (tmp_path / "m.h5").touch()
    with pytest.raises(WeightsError, match="no known checkpoint format"):
        read_tensors(tmp_path / "m.h5")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npz", ".onnx", ".json"])
@settings(deadline=None)
@given(content=st.binary(max_size=64))
def test_garbage_is_a_weights_error(tmp_path_factory: pytest.TempPathFactory, suffix: str, content: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / f"m{suffix}"
    path.write_bytes(content)
    try:
        tensors = read_tensors(path)
    except WeightsError:
        return
    assert tensors == {}  # an empty protobuf is an empty, valid ONNX file


def test_tied_tensors_are_written(tmp_path: Path) -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    tied = {"a": whole, "b": whole, "row": whole[1], "turned": whole.T}
    write_safetensors(tied, tmp_path / "m.safetensors", {"format": "pt"})
    assert_same(read_tensors(tmp_path / "m.safetensors"), tied)
