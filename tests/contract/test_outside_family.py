"""A family is added from outside, without a change inside nexus: by `register`, and by an entry point."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import nexus
from nexus import registry
from nexus.errors import CheckpointMismatchError, ConfigError
from nexus.models.base import NexusModule

HERE = Path(__file__).parent


@pytest.fixture
def folder(tmp_path: Path, own_families: None) -> Path:
    """The family's folder, somewhere else; forgotten after the test."""
    copy = tmp_path / "somewhere" / "tinynet"
    shutil.copytree(HERE / "outside" / "tinynet", copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_a_registered_folder_is_a_family(folder: Path, tmp_path: Path) -> None:
    assert nexus.list_models("tinynet*") == []
    nexus.register(folder)
    assert nexus.list_models("tinynet*") == ["tinynet_8"]

    tinynet = registry.model_class("TinyNet")
    model: NexusModule = tinynet({"width": 8})
    old = {key.replace("blocks.", "layers."): tensor for key, tensor in model.state_dict().items()}
    save_file(old, tmp_path / "old.safetensors")
    loaded = tinynet.from_pretrained("tinynet_8", weights=tmp_path / "old.safetensors")
    again = NexusModule.from_pretrained(loaded.save_pretrained(tmp_path / "saved"))

    images = torch.randn(2, 3, 16, 16)
    assert type(again) is tinynet
    assert (again.variant, again.preprocess.size) == ("tinynet_8", (32, 32))
    assert torch.equal(again(images)["logits"], model.eval()(images)["logits"])


def test_its_wrong_checkpoint_is_refused(folder: Path, tmp_path: Path) -> None:
    nexus.register(folder)
    save_file({"layers.0.0.weight": torch.zeros(2)}, tmp_path / "wrong.safetensors")
    with pytest.raises(CheckpointMismatchError, match=r"missing:    head\.bias"):
        NexusModule.from_pretrained("tinynet_8", weights=tmp_path / "wrong.safetensors")


def test_two_families_cannot_share_a_name(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "other")
    nexus.register(folder)
    nexus.register(folder.parent / "other")
    with pytest.raises(ConfigError, match="'other' and 'tinynet' both define 'TinyNet'"):
        nexus.list_models()


def test_a_family_behind_an_entry_point_passes_the_contract_suite(folder: Path) -> None:
    """An installed package: an importable folder and a ``.dist-info`` beside it that names the entry point."""
    site = folder.parent
    info = site / "tinynet_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tinynet-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nexus.families]\ntinynet = tinynet\n")
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-m", "pytest", "-q", str(HERE / "test_families.py"), "-k", "tinynet", "-m", "not slow"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=HERE.parents[1])
    assert done.returncode == 0, done.stdout[-3000:]
    every_test_passed = re.search(
        r"(\d+) passed, \d+ deselected in", done.stdout
    )  # none skipped: it would stand between
    assert every_test_passed, done.stdout[-3000:]
    assert int(every_test_passed[1]) > 20
