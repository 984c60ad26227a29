from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nexus.cli.app import _import, main
from nexus.commands import VERBS
from nexus.commands._verb import parameters


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nexus", *words]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert "--json" in said
    for name in parameters(_import(VERBS[verb][0])).keys() - {"progress", "k"}:
        assert f"--{name.replace('_', '-')}" in said
    assert "progress" not in said.split("Parameters")[1].replace("progress bar", "")


def test_help_speaks_of_arguments_as_they_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["anomaly", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "A file that --save wrote" in said
    assert "unless --size says otherwise" in said
    assert "cpu, cuda, mps or xpu" in said
    assert main(["evaluate", "--help"]) == 0
    assert "the part train of DATA" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_the_root_lists_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(verb.split()[0] in said for verb in VERBS)


def test_standard_output_holds_only_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "dinov2*", "--json"]) == 0
    captured = capsys.readouterr()
    assert all(row["family"] == "dinov2" for row in json.loads(captured.out)["models"])
    assert captured.err == ""


def test_exit_codes() -> None:
    assert run("models", "show", "dinov2_vits41").returncode == 1
    assert run("nonsense").returncode == 2
    assert run("models", "--nonsense").returncode == 2
    assert run("--version").returncode == 0


def test_an_error_is_one_sentence_without_a_traceback() -> None:
    done = run("models", "show", "dinov2_vits41")
    assert done.stdout == ""
    assert "did you mean 'dinov2_vits14'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in run("models", "show", "dinov2_vits41", NEXUS_DEBUG="1").stderr


def test_advice_is_given_as_it_is_typed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["anomaly", str(tmp_path)]) == 1
    assert "say --normal (normal pictures of the same kind) or --bank (" in capsys.readouterr().err


def test_a_misspelt_option_is_named() -> None:
    done = run("models", "--jsn")
    assert "--jsn" in done.stderr
    assert "nexus models --help" in done.stderr


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    script = f"{sys.executable} -m nexus models | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_a_list_on_standard_input(tmp_path: Path, photos: Path) -> None:
    names = "\n".join(str(photos / name) for name in ("kingfisher.jpg", "no-such.jpg"))
    command = [sys.executable, "-m", "nexus", "embed", "-", "--model", str(tiny_model(tmp_path)), "--json"]
    done = subprocess.run(command, input=names, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert [Path(source).name for source in said["sources"]] == ["kingfisher.jpg"]
    assert [Path(skipped["source"]).name for skipped in said["skipped"]] == ["no-such.jpg"]


def tiny_model(folder: Path) -> Path:
    from nexus.models.cv import DINOv2

    config = {"image_size": 28, "patch_size": 14, "embed_dim": 16, "num_layers": 1, "num_heads": 2}
    return DINOv2(config).save_pretrained(folder / "model")
