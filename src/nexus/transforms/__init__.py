"""From a picture of unknown origin to a model's input: decode, resize, crop, normalise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.transforms.augment import AugmentConfig as AugmentConfig
    from nexus.transforms.decode import Decoded as Decoded
    from nexus.transforms.decode import Decoder as Decoder
    from nexus.transforms.decode import Seeded as Seeded
    from nexus.transforms.image import EncodedImage as EncodedImage
    from nexus.transforms.image import ImageLike as ImageLike
    from nexus.transforms.image import Limits as Limits
    from nexus.transforms.image import open_image as open_image
    from nexus.transforms.mix import ErasingConfig as ErasingConfig
    from nexus.transforms.mix import MixConfig as MixConfig
    from nexus.transforms.preprocess import PreprocessSpec as PreprocessSpec
    from nexus.transforms.resize import naflex_size as naflex_size

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AugmentConfig": ".augment",
        "Decoded": ".decode",
        "Decoder": ".decode",
        "EncodedImage": ".image",
        "ErasingConfig": ".mix",
        "ImageLike": ".image",
        "Limits": ".image",
        "MixConfig": ".mix",
        "PreprocessSpec": ".preprocess",
        "Seeded": ".decode",
        "naflex_size": ".resize",
        "open_image": ".image",
    },
)
