"""Families whose output is a vector, class, box, mask, keypoint, depth or radiance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nexus._lazy import attach

if TYPE_CHECKING:
    from nexus.models.cv.alexnet import AlexNet as AlexNet
    from nexus.models.cv.clip import CLIP as CLIP
    from nexus.models.cv.clip import CLIPResNet as CLIPResNet
    from nexus.models.cv.clip import CLIPVision as CLIPVision
    from nexus.models.cv.convnext import ConvNeXt as ConvNeXt
    from nexus.models.cv.cvt import CvT as CvT
    from nexus.models.cv.deit import DeiT as DeiT
    from nexus.models.cv.dinat import DiNAT as DiNAT
    from nexus.models.cv.dinov2 import DINOv2 as DINOv2
    from nexus.models.cv.efficient_net import EfficientNet as EfficientNet
    from nexus.models.cv.eva02 import EVA02 as EVA02
    from nexus.models.cv.googlenet import GoogLeNet as GoogLeNet
    from nexus.models.cv.hiera import Hiera as Hiera
    from nexus.models.cv.hivit import HiViT as HiViT
    from nexus.models.cv.inception import InceptionV3 as InceptionV3
    from nexus.models.cv.intern_vl import InternViT as InternViT
    from nexus.models.cv.intern_vl import InternVL as InternVL
    from nexus.models.cv.lenet import LeNet as LeNet
    from nexus.models.cv.mobile_former import MobileFormer as MobileFormer
    from nexus.models.cv.mobilenet import MobileNetV1 as MobileNetV1
    from nexus.models.cv.mobilenet import MobileNetV2 as MobileNetV2
    from nexus.models.cv.mobilenet import MobileNetV3 as MobileNetV3
    from nexus.models.cv.mobilevit import MobileViT as MobileViT
    from nexus.models.cv.mobilevit import MobileViTV2 as MobileViTV2
    from nexus.models.cv.nin import NiN as NiN
    from nexus.models.cv.resnet import ResNet as ResNet
    from nexus.models.cv.siglip import SigLIP as SigLIP
    from nexus.models.cv.siglip import SigLIPVision as SigLIPVision
    from nexus.models.cv.swin_transformer import SwinTransformer as SwinTransformer
    from nexus.models.cv.swin_transformer import SwinTransformerV2 as SwinTransformerV2
    from nexus.models.cv.tiny_vit import TinyViT as TinyViT
    from nexus.models.cv.vgg import VGG as VGG
    from nexus.models.cv.vit import VisionTransformer as VisionTransformer
    from nexus.models.cv.vit_hybrid import HybridViT as HybridViT

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AlexNet": ".alexnet",
        "CLIP": ".clip",
        "CLIPResNet": ".clip",
        "CLIPVision": ".clip",
        "ConvNeXt": ".convnext",
        "CvT": ".cvt",
        "DINOv2": ".dinov2",
        "DeiT": ".deit",
        "DiNAT": ".dinat",
        "EVA02": ".eva02",
        "EfficientNet": ".efficient_net",
        "GoogLeNet": ".googlenet",
        "HiViT": ".hivit",
        "Hiera": ".hiera",
        "HybridViT": ".vit_hybrid",
        "InceptionV3": ".inception",
        "InternViT": ".intern_vl",
        "InternVL": ".intern_vl",
        "LeNet": ".lenet",
        "MobileFormer": ".mobile_former",
        "MobileNetV1": ".mobilenet",
        "MobileNetV2": ".mobilenet",
        "MobileNetV3": ".mobilenet",
        "MobileViT": ".mobilevit",
        "MobileViTV2": ".mobilevit",
        "NiN": ".nin",
        "ResNet": ".resnet",
        "SigLIP": ".siglip",
        "SigLIPVision": ".siglip",
        "SwinTransformer": ".swin_transformer",
        "SwinTransformerV2": ".swin_transformer",
        "TinyViT": ".tiny_vit",
        "VGG": ".vgg",
        "VisionTransformer": ".vit",
    },
)
