"""What OpenVINO's own passes leave undone in a graph that comes from PyTorch. Its outputs stay what they were."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["tidy"]

TO_LAST, TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
"""Transpositions that bring a map's channels behind its places, and before them."""

ELEMENTWISE = ("Clamp", "Gelu", "HSwish", "Relu", "Sigmoid", "Swish", "Tanh")
WITH_A_CONSTANT = ("Add", "Divide", "Multiply", "Subtract")


def tidy(model: Any) -> Any:
    """Fold and rearrange an ``openvino.Model`` in place, and return it."""
    fold_sizes(model)
    for node in model.get_ordered_ops():
        if is_plain_attention(node):
            open_attention(node)
        elif is_transpose(node, TO_LAST) and (chain := until_undone(node)):
            keep_channels_first(node, chain)
    model.validate_nodes_and_infer_types()
    return model


def fold_sizes(model: Any) -> None:
    """Compute what follows from the images' size, which is known, e.g. how far a convolution pads.

    PyTorch's frontend forbids to fold the conversions in such sums, and a padding that is no constant is copied into a
    larger map instead of being the convolution's own.
    """
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)
    for node in model.get_ops():
        marks = node.get_rt_info()
        if node.get_type_name() == "Convert" and "DisableConstantFolding_0" in marks:
            del marks["DisableConstantFolding_0"]
    manager.run_passes(model)


def is_plain_attention(node: Any) -> bool:
    """Whether a node is an attention without a mask, whose scores are scaled by the queries' width.

    Those with a mask are left: in a HiViT, whose maps OpenVINO then keeps in another format, they became slower.
    """
    if node.get_type_name() != "ScaledDotProductAttention" or node.get_attributes()["causal"]:
        return False
    return len(node.inputs()) == 3 and node.get_input_partial_shape(0)[-1].is_static


def open_attention(node: Any) -> None:
    """Replace an attention by its formula, softmax(q k^T / sqrt(width)) v, in which the keys stay where they are.

    OpenVINO does that by itself, and then computes both products and the softmax in one kernel; but it turns the keys
    round in memory first.
    """
    from openvino import opset13 as ops

    query, key, value = node.input_values()
    scale = ops.constant(np.float32(query.get_partial_shape()[-1].get_length() ** -0.5))
    scores = ops.multiply(ops.matmul(query, key, transpose_a=False, transpose_b=True), scale)
    mixed = ops.matmul(ops.softmax(scores, axis=-1), value, transpose_a=False, transpose_b=False)
    node.output(0).replace(mixed.output(0))


def until_undone(transpose: Any) -> list[Any]:
    """Return the nodes that follow a transposition to channels last, up to the one that undoes it.

    There are none where anything else reads what one of them gives, or one does more than `to_maps` can change.
    """
    chain, node = [], transpose
    while len(readers := node.output(0).get_target_inputs()) == 1:
        node = next(iter(readers)).get_node()
        chain.append(node)
        if is_transpose(node, TO_FIRST):
            return chain
        if not has_form_on_maps(node):
            break
    return []


def keep_channels_first(transpose: Any, chain: list[Any]) -> None:
    """Let what lies between two transpositions work on the map as it is.

    Convolutions keep maps in a format of their own, which every transposition has to leave and to enter again. (The
    layers of a ConvNeXt's block are written for channels last, as which PyTorch trains them faster.)
    """
    transpose.output(0).replace(transpose.input_value(0))
    for node in chain[:-1]:
        to_maps(node)
    chain[-1].output(0).replace(chain[-1].input_value(0))


def has_form_on_maps(node: Any) -> bool:
    """Whether `to_maps` knows the node."""
    kind, constants = node.get_type_name(), [constant(source) for source in node.input_values()]
    if kind in WITH_A_CONSTANT:
        shapes = [array.shape for array in constants if array is not None]
        return len(shapes) == 1 and all(size == 1 for size in shapes[0][:-1])
    if kind == "MVN":
        return constants[1] is not None and constants[1].tolist() in ([-1], [3])
    if kind == "MatMul":
        as_linear = node.get_attributes() == {"transpose_a": False, "transpose_b": True}
        return as_linear and constants[1] is not None and constants[1].ndim == 2
    return kind in ELEMENTWISE


def to_maps(node: Any) -> None:
    """Let a node do with (B, C, H, W) what it does with (B, H, W, C).

    Args:
        node: normalises over the channels, adds or multiplies by one constant per channel, is linear, or works on every
            element alone.
    """
    from openvino import opset13 as ops

    kind = node.get_type_name()
    if kind == "MatMul":
        weight = constant(node.input_value(1))  # (out, in)
        kernel = ops.constant(weight[:, :, None, None])  # an array would be taken for a list of numbers, slowly
        conv = ops.convolution(node.input_value(0), kernel, [1, 1], [0, 0], [0, 0], [1, 1])
        node.output(0).replace(conv.output(0))
        return
    for source in node.inputs():
        if (array := constant(source.get_source_output())) is not None:
            moved = np.array([1]) if kind == "MVN" else array.reshape(-1, 1, 1)
            source.replace_source_output(ops.constant(moved).output(0))
    node.validate_and_infer_types()


def is_transpose(node: Any, order: list[int]) -> bool:
    """Whether a node brings axes into that order."""
    if node.get_type_name() != "Transpose":
        return False
    axes = constant(node.input_value(1))
    return axes is not None and axes.tolist() == order


def constant(source: Any) -> Any:
    """Return the array that an input reads, or None where it is computed."""
    node = source.get_node()
    return node.data if node.get_type_name() == "Constant" else None
