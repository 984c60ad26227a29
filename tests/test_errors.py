from __future__ import annotations

import inspect
import pickle

import pytest

from nexus import errors


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.NexusError)]
    drawn = errors.__doc__ or ""
    for error in classes:
        line = next(line for line in drawn.splitlines() if f" {error.__name__} " in f"{line} ")
        builtin = [base.__name__ for base in error.__bases__ if not issubclass(base, errors.NexusError)]
        assert all(f"({name})" in line for name in builtin if error is not errors.NexusError), line


def test_a_missing_extra_is_named_with_its_line() -> None:
    with pytest.raises(errors.MissingDependencyError, match=r'pip install "nexus-vision\[openvino\]"'):
        errors.require("no_such_module_at_all", "openvino")


def test_a_checkpoint_mismatch_lists_everything() -> None:
    error = errors.CheckpointMismatchError(
        "x.pt", "DINOv2", missing=["b", "a"], unexpected=["c"], reshaped=[("d", (1,), (2,))]
    )
    assert error.missing == ["a", "b"]
    for part in (
        "x.pt does not fit DINOv2",
        "missing:    a",
        "missing:    b",
        "unexpected: c",
        "d is (1,), the model has (2,)",
    ):
        assert part in str(error)


def test_an_image_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(errors.ImageError("a.jpg", "truncated")))
    assert (error.source, error.reason, str(error)) == ("a.jpg", "truncated", "a.jpg: truncated")
