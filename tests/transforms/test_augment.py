from __future__ import annotations

import math
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from nexus._seeds import generator
from nexus.errors import ConfigError
from nexus.transforms import _policies, _view
from nexus.transforms._policies import MAX_MAGNITUDE, OPERATIONS, rand_augment, trivial_augment
from nexus.transforms._view import ATTEMPTS, View, crop_box
from nexus.transforms.augment import AugmentConfig, augment
from nexus.transforms.image import Picture
from nexus.transforms.preprocess import PreprocessSpec, apply, geometry

GOLDEN = load_file(Path(__file__).parent.parent / "parity" / "golden" / "augment_outputs.safetensors")
SPEC = PreprocessSpec(resize=36, crop=(32, 32), interpolation="bilinear")
WHOLE = AugmentConfig(scale=(1, 1), ratio=(1, 1), flip=0)


def picture(size: tuple[int, int] = (80, 60), seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


# -- policies ----------------------------------------------------------------------------------------------------------


GOLDEN_CASES = [key for key in GOLDEN if key.count(".") == 2 and not key.endswith("magnitudes")]


def torchvision_value(policy: str, name: str, number: int) -> float:
    """What our operation is given for a magnitude of torchvision's."""
    value = float(GOLDEN[f"{policy}.{name}.magnitudes"][abs(number)])
    return 8 - value if name == "Posterize" else math.copysign(value, number) if OPERATIONS[name].signed else value


@pytest.mark.parametrize("key", GOLDEN_CASES)
def test_every_operation_gives_the_pixels_of_torchvision(key: str) -> None:
    policy, name, number = key.split(".")
    changed = OPERATIONS[name].apply(Image.fromarray(GOLDEN["picture"]), torchvision_value(policy, name, int(number)))
    np.testing.assert_array_equal(np.asarray(changed), GOLDEN[key])


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Names and values of the operations that are applied from here on, instead of their effect."""
    done: list[tuple[str, float]] = []

    def noted(name: str):  # type: ignore[no-untyped-def]
        return lambda image, value: done.append((name, value)) or image

    table = tuple(operation._replace(apply=noted(name)) for name, operation in OPERATIONS.items())
    monkeypatch.setattr(_policies, "_TABLE", table)
    return done


class Chosen:
    """A generator whose operation, magnitude and sign are chosen."""

    def __init__(self, name: str, number: int) -> None:
        self.integer = iter([list(OPERATIONS).index(name), abs(number)])
        self.sign = 0.0 if number < 0 else 1.0

    def integers(self, _: int) -> int:
        return next(self.integer)

    def random(self) -> float:
        return self.sign


def test_operations_and_magnitudes_are_those_of_torchvision(applied: list[tuple[str, float]]) -> None:
    image = Image.fromarray(GOLDEN["picture"])
    for key in GOLDEN_CASES:
        policy, name, number = key.split(".")
        rng: Any = Chosen(name, int(number))
        if policy == "rand":
            rand_augment(image, rng, 1, abs(int(number)), 0)
        else:
            trivial_augment(image, rng)
        done, value = applied.pop()
        value = round(value) if name == "Posterize" else value
        assert (done, value) == (name, pytest.approx(torchvision_value(policy, name, int(number)), abs=1e-5))
    for policy in ("rand", "trivial"):
        assert {key.split(".")[1] for key in GOLDEN_CASES if key.startswith(policy)} == set(OPERATIONS)
        signed = {key.split(".")[1] for key in GOLDEN_CASES if key.startswith(policy) and ".-" in key}
        assert signed == {name for name, operation in OPERATIONS.items() if operation.signed}


def test_trivial_augment_draws_operations_magnitudes_and_signs_uniformly(applied: list[tuple[str, float]]) -> None:
    rng, image, count = generator(1), picture(), 20_000
    for _ in range(count):
        trivial_augment(image, rng)
    names, frequency = np.unique([name for name, _ in applied], return_counts=True)
    assert set(names) == set(OPERATIONS)
    share = count / len(OPERATIONS)
    assert np.abs(frequency - share).max() < 5 * math.sqrt(share)
    values = np.array([value for name, value in applied if name == "Rotate"])
    assert abs((values < 0).mean() - 0.5) < 0.06
    np.testing.assert_allclose(np.unique(np.abs(values)), np.arange(31) * 4.5)


def test_rand_augment_keeps_its_magnitude_or_varies_it(applied: list[tuple[str, float]]) -> None:
    rng, image = generator(2), picture()
    for _ in range(3000):
        rand_augment(image, rng, 2, 9, 0.0)
    assert len(applied) == 6000
    assert {round(abs(value), 9) for name, value in applied if name == "Rotate"} == {9.0}
    applied.clear()
    for _ in range(6000):
        rand_augment(image, rng, 2, 9, 0.5)
    turns = np.array([abs(value) for name, value in applied if name == "Rotate"])  # 30 degrees at the magnitude 30
    assert abs(turns.mean() - 9) < 0.08
    assert abs(turns.std() - 0.5) < 0.06
    applied.clear()
    for _ in range(500):
        rand_augment(image, rng, 1, MAX_MAGNITUDE, 20)
    assert all(abs(value) <= 30 for name, value in applied if name == "Rotate")


# -- the crop ----------------------------------------------------------------------------------------------------------


def test_area_and_aspect_of_the_crop_have_their_laws() -> None:
    rng, size = generator(3), (400, 400)
    # Within these bounds every first attempt fits, so that nothing is left out.
    boxes = [crop_box(size, (0.1, 0.5), (0.8, 1.25), rng.random((ATTEMPTS, 4))) for _ in range(4000)]
    left, top, right, bottom = np.array(boxes).T
    width, height = right - left, bottom - top
    area, aspect = width * height / 160_000, np.log(width / height) / np.log(1.25)
    for value, low, high in ((area, 0.1, 0.5), (aspect, -1, 1), (left / (400 - width + 1), 0, 1)):
        place = np.sort((value - low) / (high - low))
        assert np.abs(place - np.linspace(0, 1, 4000)).max() < 1.95 / math.sqrt(4000) + 0.01  # Kolmogorov, 0.1 %
    assert min(left.min(), top.min()) == 0
    assert max(right.max(), bottom.max()) == 400


@pytest.mark.parametrize(
    ("size", "box"), [((1000, 10), (493, 0, 506, 10)), ((10, 1000), (0, 493, 10, 506)), ((1, 1), (0, 0, 1, 1))]
)
def test_without_an_attempt_that_fits_the_crop_is_the_largest_at_the_centre(
    size: tuple[int, int], box: tuple[int, ...]
) -> None:
    assert crop_box(size, (0.9, 1.0), (3 / 4, 4 / 3), np.full((ATTEMPTS, 4), 0.5)) == box


def test_the_crop_is_resized_to_the_spec_or_to_another_size() -> None:
    image = picture((90, 70))
    for size, shape in ((None, (32, 32, 3)), (48, (48, 48, 3))):
        pixels = augment(image, SPEC, AugmentConfig(flip=0), generator(5), size)
        assert pixels.shape == shape
        assert pixels.dtype == np.uint8
        box = crop_box((90, 70), (0.08, 1.0), (3 / 4, 4 / 3), generator(5).random((ATTEMPTS, 4)))
        expected = image.resize(shape[1::-1], Image.Resampling.BILINEAR, box=box)
        np.testing.assert_array_equal(pixels, np.asarray(expected))


def test_a_jpeg_is_decoded_no_smaller_than_the_crop_needs() -> None:
    config = AugmentConfig(flip=0)
    for seed in range(50):
        rng = generator(seed)
        view = View(config.to_dict(), rng, **geometry(SPEC))
        left, top, right, bottom = view._box((1600, 1200))
        side = view.min_side((1600, 1200))
        assert side is not None
        assert (right - left) * side / 1200 >= 32 - 1e-9
        assert (bottom - top) * side / 1200 >= 32 - 1e-9
    exact = View(config.to_dict(), generator(0), **geometry(SPEC.replace(decode="exact")))
    assert exact.min_side((1600, 1200)) is None


def test_a_picture_that_was_decoded_smaller_gives_the_same_crop() -> None:
    whole = picture((800, 600))
    small = whole.resize((200, 150), Image.Resampling.BOX)
    views = [View(AugmentConfig().to_dict(), generator(7), **geometry(SPEC)) for _ in range(2)]
    a, b = views[0].render(Picture(whole, (800, 600), None)), views[1].render(Picture(small, (800, 600), None))
    assert np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).mean() < 2


# -- the other steps ---------------------------------------------------------------------------------------------------


def test_none_is_the_evaluation_transform() -> None:
    for size in ((80, 60), (33, 200)):
        image = picture(size)
        pixels = augment(image, SPEC, AugmentConfig.none(), generator(0))
        np.testing.assert_array_equal(pixels, apply(image, SPEC))
    np.testing.assert_array_equal(
        augment(image, SPEC, AugmentConfig.none(), generator(0), 48), apply(image, SPEC.at(48))
    )


def test_flips_come_as_often_as_asked() -> None:
    image = picture((32, 32))
    config, mirrored = WHOLE.replace(flip=0.3), np.asarray(image)[:, ::-1]
    flips = [np.array_equal(augment(image, SPEC, config, generator(seed)), mirrored) for seed in range(1000)]
    assert abs(np.mean(flips) - 0.3) < 0.06


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colour_jitter_varies_one_thing_within_its_range(name: str) -> None:
    image = picture((32, 32))
    config = WHOLE.replace(**{name: 0.4})
    ranges = []
    for seed in range(200):
        pixels = augment(image, SPEC, config, generator(seed)).astype(float)
        grey = np.asarray(image.convert("L"), float)
        before, after = {
            "brightness": (np.asarray(image, float).mean(), pixels.mean()),
            "contrast": (np.asarray(image, float).std(), pixels.std()),
            "saturation": ((np.asarray(image, float) - grey[..., None]).std(), (pixels - grey[..., None]).std()),
        }[name]
        ranges.append(after / before)
    assert 0.58 < min(ranges) < 0.65
    assert 1.25 < max(ranges) < 1.42  # clipped at white, a little below 1.4


def test_hue_turns_in_both_directions_and_black_stays() -> None:
    image = Image.new("RGB", (32, 32), (200, 40, 40))
    config = WHOLE.replace(hue=0.1)
    colours = np.array([augment(image, SPEC, config, generator(seed))[0, 0] for seed in range(100)], int)
    assert (colours.max(1) == 200).all()
    green_minus_blue = colours[:, 1] - colours[:, 2]
    assert green_minus_blue.min() < -60
    assert green_minus_blue.max() > 60
    assert augment(Image.new("RGB", (32, 32)), SPEC, config, generator(0)).max() == 0


def test_jitter_steps_come_in_random_order(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    noted = {name: lambda image, _, name=name: done.append(name) or image for name in _view.JITTERS}
    monkeypatch.setattr(_view, "JITTERS", noted)
    config = WHOLE.replace(brightness=0.1, contrast=0.1, saturation=0.1)
    for seed in range(100):
        augment(picture(), SPEC, config, generator(seed))
    orders = [tuple(done[place : place + 3]) for place in range(0, 300, 3)]
    assert set(orders) == set(permutations(("brightness", "contrast", "saturation")))


def test_the_same_seed_gives_the_same_view_and_another_one_another() -> None:
    image = picture()
    config = AugmentConfig(policy="randaugment", magnitude_std=0.5, brightness=0.4, hue=0.1)
    views = [augment(image, SPEC, config, generator(seed)).tobytes() for seed in (1, 1, 2)]
    assert views[0] == views[1] != views[2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scale": (0.5, 0.1)}, "must not exceed"),
        ({"scale": (0, 0)}, "must keep something"),
        ({"ratio": (2, 1)}, "must not exceed"),
        ({"ratio": (0, 1)}, "ratio"),
        ({"flip": 1.5}, "flip"),
        ({"hue": 0.6}, "hue"),
        ({"policy": "autoaugment"}, "policy"),
        ({"magnitude": 31}, "magnitude"),
        ({"magnitude_sd": 1}, "did you mean 'magnitude_std'"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AugmentConfig.parse(values)


def test_configs_round_trip() -> None:
    config = AugmentConfig(policy="trivialaugment", scale=None, hue=0.1)
    assert AugmentConfig.parse(config.to_dict()) == config
