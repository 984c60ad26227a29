"""A tiny model and a folder of small photographs, on which the verbs run for real."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

NAMES = (
    "kingfisher.jpg",
    "chambord.jpg",
    "DSC_1187.jpg",
    "gibbon.jpg",
    "gibbon-cropped.jpg",
    "giraffe.jpg",
    "alpaca.jpg",
)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a DINOv2 of three narrow blocks with random weights."""
    import torch

    from nexus.models.cv import DINOv2

    torch.manual_seed(0)
    config = {"image_size": 56, "patch_size": 14, "embed_dim": 32, "num_layers": 3, "num_heads": 2}
    model = DINOv2(config)
    model.preprocess = model.preprocess.at(56)
    return str(model.save_pretrained(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a narrow CLIP with random weights, as transformers writes it: weights, processor and tokenizer."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    words = {"vocab_size": len(VOCABULARY), "max_position_embeddings": 24, "eos_token_id": len(VOCABULARY) - 1}
    config = CLIPConfig(
        vision_config={**tower, "image_size": 48, "patch_size": 16}, text_config={**tower, **words}, projection_dim=24
    )
    folder = tmp_path_factory.mktemp("models") / "clip"
    CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer(vocab=VOCABULARY, merges=[]).save_pretrained(folder)
    size = {"shortest_edge": 48}
    CLIPImageProcessorPil(size=size, crop_size={"height": 48, "width": 48}).save_pretrained(folder)
    return str(folder)


LETTERS = [letter + end for letter in "abcdefghijklmnopqrstuvwxyz.,'0123456789" for end in ("", "</w>")]
VOCABULARY = {token: number for number, token in enumerate([*LETTERS, "<|startoftext|>", "<|endoftext|>"])}
"""Of a tokenizer that merges nothing: each letter is a token, the last one of a word another."""


@pytest.fixture
def folder(tmp_path: Path, photos: Path) -> Path:
    """Seven small photographs, two of them the same and two nearly."""
    target = tmp_path / "photos"
    target.mkdir()
    for name in NAMES:
        with Image.open(photos / name) as image:
            image.convert("RGB").resize((160, 120)).save(target / name, quality=92)
    return target


@pytest.fixture
def crowd(folder: Path) -> Callable[[int], Path]:
    """The folder with so many more photographs in it."""

    def add(count: int) -> Path:
        for number in range(count):
            shutil.copy(folder / "alpaca.jpg", folder / f"more-{number:03}.jpg")
        return folder

    return add


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Start a command line in a process of its own."""

    def run(*words: str | Path) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "nexus", *map(str, words)]
        return subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=hear_interrupts if os.name == "posix" else None,
        )  # fmt: skip

    def hear_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a job in the background inherits as ignored

    return run


@pytest.fixture
def collection(folder: Path, model: str, tmp_path: Path) -> str:
    """The folder, indexed."""
    import nexus

    out = str(tmp_path / "photos.nexus")
    nexus.index(str(folder), out=out, model=model)
    return out


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process; its exit code, standard output and standard error."""
    from nexus.cli.app import main

    def run(*words: str | Path) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
