from __future__ import annotations

import hashlib
import io
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nexus._seeds import generator
from nexus.errors import ConfigError, NexusError
from nexus.transforms import decode
from nexus.transforms.augment import AugmentConfig, augment
from nexus.transforms.decode import Decoder, Seeded
from nexus.transforms.image import EncodedImage, Limits, open_image
from nexus.transforms.phash import perceptual_hash
from nexus.transforms.preprocess import PreprocessSpec, apply

SPEC = PreprocessSpec(resize=32, crop=(28, 28), decode="exact")


def picture(seed: int, size: tuple[int, int] = (80, 60)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(12):
        picture(seed, (80 + seed, 60)).save(tmp_path / f"{seed:02}.jpg")
    return tmp_path


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(SPEC, workers=2) as pool:
        yield pool


def test_order_pixels_hashes_and_sizes_are_those_of_decoding_here(folder: Path, decoder: Decoder) -> None:
    paths = sorted(folder.iterdir())
    results = list(decoder.stream(paths))
    assert [result.index for result in results] == list(range(12))
    for path, result in zip(paths, results, strict=True):
        image = open_image(path)
        assert result.error is None
        assert result.source == str(path)
        assert result.pixels is not None
        np.testing.assert_array_equal(result.pixels, apply(image, SPEC))
        assert result.pixels.flags.writeable
        assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert result.phash == perceptual_hash(image)
        assert result.size == image.size


def test_every_kind_of_source_gives_the_same_pixels(folder: Path, decoder: Decoder) -> None:
    path = folder / "03.jpg"
    data, image = path.read_bytes(), open_image(path)
    array = np.asarray(image)
    tensor = torch.from_numpy(array.copy()).permute(2, 0, 1)
    sources = [str(path), path, data, EncodedImage(data, "name"), image, array, tensor, tensor / 255]
    results = list(decoder.stream(sources))
    for result in results:
        assert result.error is None
        np.testing.assert_array_equal(result.pixels, results[0].pixels)
        assert result.phash == results[0].phash
    assert results[3].source == "name"
    assert [result.sha256 is None for result in results] == [False] * 4 + [True] * 4


def test_seeded_items_are_augmented_alike_wherever_they_are_rendered(folder: Path) -> None:
    config = AugmentConfig(policy="randaugment", magnitude_std=0.5, brightness=0.4, hue=0.1)
    path = folder / "05.jpg"
    image = open_image(path)
    seeds = [2**63 - 1, 7, 8]
    forms = [path, path.read_bytes(), EncodedImage(path.read_bytes(), "name"), image, np.asarray(image)]
    items = [Seeded(form, seed, size) for form in forms for seed in seeds for size in (None, 48)]
    with Decoder(SPEC, workers=2, augment=config, hashes=False) as pool:
        results = list(pool.stream([*items, path]))
    for item, result in zip(items, results, strict=False):
        expected = augment(image, SPEC, config, generator(item.seed), item.size)
        np.testing.assert_array_equal(result.pixels, expected)
        assert (result.sha256, result.phash, result.size) == (None, None, image.size)
    np.testing.assert_array_equal(results[-1].pixels, apply(image, SPEC))  # an item without a seed is not


def test_a_large_upright_jpeg_is_decoded_smaller_for_its_crop(tmp_path: Path) -> None:
    """Orientation 6: stored lying, so that the crop must be found in the picture as it is seen."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(3, (640, 480)).save(tmp_path / "lying.jpg", exif=exif, quality=95, subsampling=0)
    image = open_image(tmp_path / "lying.jpg")
    assert image.size == (480, 640)
    config, scaled = AugmentConfig(scale=(0.5, 1)), SPEC.replace(decode="scaled")
    seeds = range(10)
    with Decoder(scaled, workers=1, augment=config) as pool:
        for seed, result in zip(
            seeds, pool.stream(Seeded(tmp_path / "lying.jpg", seed) for seed in seeds), strict=True
        ):
            assert result.pixels is not None
            exact = augment(image, SPEC, config, generator(seed))
            difference = np.abs(result.pixels.astype(int) - exact)
            assert difference.max() > 0  # it was decoded smaller
            assert difference.mean() < 1.5
            assert result.size == (480, 640)


def test_a_decoder_closed_by_another_thread_ends_its_streams(folder: Path) -> None:
    with Decoder(SPEC, workers=1) as pool:
        for _ in range(4):
            stream = pool.stream(itertools.cycle(sorted(folder.iterdir())))
            next(stream)
            closer = threading.Thread(target=pool.close)
            closer.start()
            with pytest.raises(NexusError, match="closed"):
                for _ in stream:
                    pass
            closer.join()


def test_bad_items_keep_their_place_and_say_why(folder: Path, decoder: Decoder) -> None:
    good = folder / "00.jpg"
    items = [good, folder / "absent.jpg", b"", b"hello", good, np.zeros((2, 2)) - 1, 7, "\ud800", "a\0b", good]
    results = list(decoder.stream(items))  # type: ignore[arg-type]
    assert [result.error is None for result in results] == [
        True,
        False,
        False,
        False,
        True,
        False,
        False,
        False,
        False,
        True,
    ]
    reasons = [result.error.reason for result in results if result.error]
    assert reasons[:3] == ["does not exist", "is empty", "is text, not a picture"]
    assert all(result.pixels is None and result.sha256 is None for result in results if result.error)


def test_a_request_larger_than_a_pipe_does_not_block(decoder: Decoder) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "png")
    assert len(buffer.getvalue()) > 400_000
    results = list(decoder.stream([buffer.getvalue()] * 10))
    assert all(result.error is None for result in results)


def test_look_ahead_is_bounded_and_input_is_taken_lazily(folder: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[Path]:
        while True:
            taken.append(len(taken))
            yield folder / "00.jpg"

    with Decoder(SPEC, workers=1, look_ahead=5) as pool:
        stream = pool.stream(endless())
        for count in range(1, 20):
            next(stream)
            assert len(taken) <= count + 5
        stream.close()


def test_items_with_data_are_few_at_a_time() -> None:
    taken = 0

    def arrays() -> Iterator[np.ndarray]:
        nonlocal taken
        for _ in range(50):
            taken += 1
            yield np.zeros((40, 40, 3), np.uint8)

    with Decoder(SPEC, workers=1, look_ahead=40) as pool:
        stream = pool.stream(arrays())
        next(stream)
        time.sleep(0.2)
        assert taken <= 2 + 3
        assert sum(1 for _ in stream) == 49


def slow_worker(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Let workers do something bad when they meet a file with a certain name, before they read it."""
    code = f"""
        import os, signal, sys, time
        sys.path.extend(sys.argv[1:])
        from nexus.transforms import worker
        honest = worker.answer
        def answer(source, limits, **work):
            if "bad" in str(source):
                {body}
            return honest(source, limits, **work)
        worker.answer = answer
        worker.main()
    """
    monkeypatch.setattr(decode, "BOOT", textwrap.dedent(code))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("os._exit(3)", "ended with status 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "memory"),
        ("raise RuntimeError('bug')", "status 1"),
        ("time.sleep(60)", "takes longer than 0.5 s"),
    ],
)
def test_a_crash_or_a_hang_costs_one_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    slow_worker(monkeypatch, body)
    paths = sorted(folder.iterdir())
    items = [*paths[:4], folder / "bad.jpg", *paths[4:8], folder / "bad.jpg", *paths[8:]]
    with Decoder(SPEC, workers=1, limits=Limits(seconds=0.5)) as pool:
        results = list(pool.stream(items))
    assert [result.index for result in results if result.error] == [4, 9]
    assert all(reason in result.error.reason for result in results if result.error)


def test_memory_of_a_worker_is_limited(tmp_path: Path) -> None:
    Image.new("RGB", (9000, 9000)).save(tmp_path / "large.png")
    picture(0).save(tmp_path / "small.png")
    with Decoder(SPEC, workers=1, limits=Limits(max_memory=600 * 2**20)) as pool:
        large, small = pool.stream([tmp_path / "large.png", tmp_path / "small.png"])
    assert large.error is None or "memory" in large.error.reason
    assert small.error is None
    if sys.platform == "linux":
        assert large.error is not None


def process_ids(pool: Decoder) -> list[int]:
    assert pool._pool is not None
    return [lane._process.pid for lane in pool._pool._lanes if lane._process is not None]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_leaving_a_stream_early_kills_the_processes_and_the_next_works(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    with Decoder(SPEC, workers=2) as pool:
        stream = pool.stream(paths)
        next(stream)
        first = process_ids(pool)
        stream.close()
        assert first
        assert not any(map(is_alive, first))
        assert len(list(pool.stream(paths))) == 12
        second = process_ids(pool)
        assert all(map(is_alive, second))
        assert len(list(pool.stream(paths))) == 12
        assert set(second) <= set(process_ids(pool))
    assert not any(map(is_alive, second))


def test_an_error_of_the_input_reaches_the_caller(folder: Path) -> None:
    def items() -> Iterator[Path]:
        yield folder / "00.jpg"
        raise OSError("the list broke off")

    with Decoder(SPEC, workers=1) as pool, pytest.raises(OSError, match="broke off"):
        list(pool.stream(items()))


def test_processes_that_do_not_start_are_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "BOOT", "import sys; sys.exit(4)")
    with Decoder(SPEC, workers=2) as pool, pytest.raises(NexusError, match=r"does not start.*status 4"):
        list(pool.stream(sorted(folder.iterdir())))


def test_two_streams_of_one_decoder_at_once(folder: Path, decoder: Decoder) -> None:
    paths = sorted(folder.iterdir())
    seen: dict[str, list[int]] = {}

    def consume(name: str) -> None:
        seen[name] = [result.index for result in decoder.stream(paths * 3) if result.error is None]

    threads = [threading.Thread(target=consume, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": list(range(36)), "b": list(range(36))}


def test_zero_workers_are_refused() -> None:
    with pytest.raises(ConfigError, match="workers = 0"):
        Decoder(SPEC, workers=0)


def run_script(code: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True, text=True, timeout=60, check=False, **options,  # type: ignore[call-overload]
    )  # fmt: skip


def test_the_worker_imports_neither_torch_nor_pydantic(folder: Path) -> None:
    done = run_script(
        """
        import sys
        from nexus.transforms import worker
        from nexus.transforms.image import Limits
        work = {"resize": 8, "crop": [8, 8], "crop_rounding": "even", "interpolation": "bicubic", "min_side": 16}
        head, pixels = worker.answer(sys.argv[1], Limits(), **work)
        assert "error" not in head and len(pixels) == 192, head
        recipe = {"scale": [0.1, 1], "ratio": [1, 1], "flip": 1, "policy": "trivialaugment"}
        recipe |= dict.fromkeys(["brightness", "contrast", "saturation", "hue"], 0.1)
        head, pixels = worker.answer(sys.argv[1], Limits(), **work, augment=recipe, seed=1)
        assert "error" not in head and len(pixels) == 192, head
        print(sorted({name.split(".")[0] for name in sys.modules} & {"torch", "pydantic", "transformers", "rich"}))
        """,
        str(folder / "00.jpg"),
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_script_without_main_guard_and_a_hostile_current_folder(folder: Path) -> None:
    (folder / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    script = folder / "script.py"
    code = """
        import sys
        sys.path.pop(0)
        from nexus.transforms.decode import Decoder
        from nexus.transforms.preprocess import PreprocessSpec
        with Decoder(PreprocessSpec(), workers=2) as pool:
            print(sum(result.error is None for result in pool.stream(sys.argv[1:])))
    """
    script.write_text(textwrap.dedent(code))
    paths = [str(path) for path in sorted(folder.glob("*.jpg"))]
    done = subprocess.run(
        [sys.executable, str(script), *paths], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("12", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_no_process_outlives_its_parent(folder: Path, how: signal.Signals) -> None:
    code = """
        import itertools, signal, sys
        from nexus.transforms.decode import Decoder
        from nexus.transforms.preprocess import PreprocessSpec
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background inherits as ignored
        with Decoder(PreprocessSpec(), workers=2) as pool:
            for result in pool.stream(itertools.cycle(sys.argv[1:])):
                if result.index == 20:
                    print(*(lane._process.pid for lane in pool._pool._lanes if lane._process), flush=True)
    """
    paths = [str(path) for path in folder.glob("*.jpg")]
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *paths],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        workers = [int(number) for number in parent.stdout.readline().split()]
        assert workers
        os.killpg(parent.pid, how)
        try:
            parent.communicate(timeout=20)
        finally:
            parent.kill()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_an_answer_is_never_given_to_another_picture(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies while the next picture is about to be sent: that one must not be taken for the dead one."""
    slow_worker(monkeypatch, "os._exit(3)")
    poll = subprocess.Popen.poll

    def late(process: subprocess.Popen[bytes]) -> int | None:
        time.sleep(0.05)  # long enough for the death to be seen before the next picture is sent
        return poll(process)

    monkeypatch.setattr(subprocess.Popen, "poll", late)
    paths = sorted(folder.iterdir())
    items = [path for good in paths[:6] for path in (good, folder / "bad.jpg")]
    with Decoder(SPEC, workers=1) as pool:
        results = list(pool.stream(items))
    assert [result.error is not None for result in results] == [False, True] * 6
    with Decoder(SPEC, workers=1) as pool:
        alone = list(pool.stream(paths[:6]))
    assert [result.sha256 for result in results[::2]] == [result.sha256 for result in alone]
