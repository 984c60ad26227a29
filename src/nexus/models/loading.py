"""From a name or a folder to a model with its weights, and back to a folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from nexus import hub, registry
from nexus._files import write_file
from nexus.assets import load_labels
from nexus.errors import ConfigError, DownloadError, NexusError, OfflineError, WeightsError
from nexus.layers import ClassifierHead, HeadConfig, build_head, merged_state
from nexus.models.conversion import State, detect_format
from nexus.models.image_text import ImageTextModule
from nexus.models.tokenizer import tokenizer_from_folder, tokenizer_of_variant
from nexus.results import Progress
from nexus.transforms.preprocess import PreprocessSpec, spec_from_huggingface, spec_from_timm

if TYPE_CHECKING:
    from nexus.models.base import NexusModule

__all__ = ["FORMAT_VERSION", "build_on_meta", "load_model", "save_model"]

FORMAT_VERSION = 1
"""Version of the folders that `save_model` writes."""

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def load_model(
    source: str | Path,
    *,
    weights: str | Path | None = None,
    mirror: bool | None = None,
    accept_license: bool = False,
    progress: Progress | None = None,
) -> NexusModule:
    """Build a model of whatever class `source` names; see `NexusModule.from_pretrained`."""
    folder = Path(source).expanduser()
    if weights is not None and (folder.is_dir() or _is_repository(source)):
        raise ConfigError(f"{source} comes with weights; leave out weights={str(weights)!r}, or name the model alone")
    if folder.is_dir():
        model = _from_folder(folder)
    elif folder.is_file():
        raise ConfigError(
            f"{source} is a file, which does not say what model it is of; give the name too: "
            f"from_pretrained(NAME, weights={str(source)!r})"
        )
    elif _is_repository(source):
        try:
            fetched = hub.fetch_repository(str(source), accept_license=accept_license, progress=progress)
        except (DownloadError, OfflineError) as error:  # perhaps it was meant as a folder's name
            raise type(error)(f"there is no folder {source}, and as a repository: {error}") from error
        model = _from_folder(fetched)
    else:
        variant = registry.variant(str(source))
        if weights is None:
            path = hub.fetch(
                variant.weights,
                name=variant.name,
                license=variant.license,
                accept_license=accept_license,
                mirror=mirror,
                progress=progress,
            )
        else:
            path = Path(weights).expanduser()
        model = _from_variant(variant, path, str(weights or variant.name))
    return model.eval()


def save_model(model: NexusModule, folder: str | Path, state: State | None = None) -> Path:
    """Write a model's folder; see `NexusModule.save_pretrained`.

    Args:
        model: what is written.
        folder: where; made if it is not there.
        state: its tensors, where the model itself does not hold them whole.
    """
    from safetensors.torch import save

    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    config = model.describe_config()
    # After the head was replaced, names that were loaded with the old head mean nothing.
    named = model.labels is not None and len(model.labels) == config.get("num_classes")
    described = {
        "nexus_format": FORMAT_VERSION,
        "class": type(model).__name__,
        "variant": model.variant,
        "config": config,
        "preprocess": model.preprocess.to_dict(),
        "labels": model.labels if named else None,
    }
    if isinstance(head := getattr(model, "head", None), ClassifierHead) and "num_classes" in config:
        described["head"] = head.config.to_dict()
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in merged_state(model, state).items()}
    write_file(folder / "model.safetensors", save(tensors, metadata={"format": "pt"}))
    if model.tokenizer is not None:
        write_file(folder / "tokenizer.json", model.tokenizer.to_json().encode())
    write_file(folder / "config.json", (json.dumps(described, indent=2, ensure_ascii=False) + "\n").encode())
    return folder


def _is_repository(source: str | Path) -> bool:
    """Whether a source that is no folder has the form of a repository's name, and not that of a variant."""
    return isinstance(source, str) and bool(REPOSITORY.fullmatch(source)) and source not in registry.list_models()


def _from_variant(variant: registry.Variant, file: Path, source: str) -> NexusModule:
    model = _build(variant.class_name, variant.config)
    load_converted(model, hub.read_tensors(file), variant.family, source)
    model.variant, model.preprocess = variant.name, PreprocessSpec.parse(variant.preprocess)
    model.labels = load_labels(variant.labels) if variant.labels else None
    if isinstance(model, ImageTextModule) and variant.tokenizer:
        model.tokenizer = tokenizer_of_variant(variant.tokenizer, model.context_length, lowercase=model.lowercase)
    return model


def _from_folder(folder: Path) -> NexusModule:
    described = _read_json(folder / "config.json")
    if "nexus_format" in described:
        return _from_nexus(folder, described)
    if "model_type" in described:
        return _from_huggingface(folder, described)
    if "architecture" in described:
        return _from_timm(folder, described)
    raise ConfigError(
        f"{folder / 'config.json'} has neither 'nexus_format' nor 'model_type' (transformers) nor 'architecture' "
        "(timm): it is not a model that nexus reads"
    )


def _from_nexus(folder: Path, described: Mapping[str, Any]) -> NexusModule:
    if described["nexus_format"] > FORMAT_VERSION:
        raise ConfigError(
            f"{folder} has format {described['nexus_format']}, this nexus reads up to {FORMAT_VERSION}: "
            "pip install --upgrade nexus-vision"
        )
    missing = {"class", "variant", "config", "preprocess", "labels"} - described.keys()
    if missing:
        raise ConfigError(f"{folder / 'config.json'} lacks {', '.join(sorted(missing))}: was it changed by hand?")
    model = _build(described["class"], described["config"])
    if "head" in described:
        _replace_head(model, HeadConfig.parse(described["head"]), folder)
    model.load_tensors(hub.read_tensors(folder / "model.safetensors"), str(folder))
    model.variant, model.preprocess = described["variant"], PreprocessSpec.parse(described["preprocess"])
    model.labels = tuple(described["labels"]) if described["labels"] else None
    return _with_tokenizer(model, folder)


def _replace_head(model: NexusModule, config: HeadConfig, folder: Path) -> None:
    linear = getattr(model, "head", None)
    if not isinstance(linear, nn.Linear):
        raise ConfigError(
            f"{folder / 'config.json'} has a 'head' for a {type(model).__name__} of no classes: was it changed by hand?"
        )
    with linear.weight.device:  # shapes alone, where the model has no more
        model.head = build_head(linear.in_features, linear.out_features, config)


def _from_huggingface(folder: Path, described: Mapping[str, Any]) -> NexusModule:
    family, class_name = registry.family_of(huggingface=described["model_type"])
    converter = registry.converter(family.name)
    if hasattr(converter, "class_from_huggingface"):  # one model_type stands for several classes
        class_name = converter.class_from_huggingface(described)
    try:
        config = converter.config_from_huggingface(described)
    except KeyError as error:
        raise ConfigError(f"{folder / 'config.json'} of a {class_name} lacks {error}") from None
    model = load_converted(_build(class_name, config), hub.read_tensors(folder), family.name, str(folder))
    if (processor := _image_processor(folder)) is not None:
        model.preprocess = spec_from_huggingface(processor)
    names = described.get("id2label") or {}
    if config.get("num_classes") and len(names) == config["num_classes"]:
        model.labels = tuple(names[key] for key in sorted(names, key=int))
    return _with_tokenizer(model, folder)


def _image_processor(folder: Path) -> dict[str, Any] | None:
    """The config of the image processor, in a file of its own or, beside a tokenizer, inside the processor's."""
    if (folder / "preprocessor_config.json").is_file():
        return _read_json(folder / "preprocessor_config.json")
    if (folder / "processor_config.json").is_file():
        return _read_json(folder / "processor_config.json").get("image_processor")
    return None


def _from_timm(folder: Path, described: Mapping[str, Any]) -> NexusModule:
    """Read a folder of timm's. Its config names an architecture; the sizes are those of the variant that has it."""
    data, arguments = described["pretrained_cfg"], described.get("model_args", {})
    variant = registry.variant_of_timm(described["architecture"], data.get("tag", ""))
    config = {**variant.config, "num_classes": described["num_classes"]}
    if "image_size" in config and "img_size" in arguments:
        config["image_size"] = arguments["img_size"][0]
    model = load_converted(_build(variant.class_name, config), hub.read_tensors(folder), variant.family, str(folder))
    model.preprocess = spec_from_timm(data)
    names = described.get("label_names") or (load_labels(variant.labels) if variant.labels else ())
    model.labels = tuple(names) if len(names) == described["num_classes"] else None
    return model


def _with_tokenizer(model: NexusModule, folder: Path) -> NexusModule:
    if isinstance(model, ImageTextModule):
        model.tokenizer = tokenizer_from_folder(folder, model.context_length, lowercase=model.lowercase)
    return model


def load_converted(model: NexusModule, state: State, family: str, source: str) -> NexusModule:
    """Load a checkpoint of any layout that the family reads (our own included), strictly.

    Raises:
        WeightsError: it does not fit; the message says what it seems to be.
    """
    try:
        return model.load_tensors(_converted(model, state, family, source), source)
    except WeightsError as error:
        from nexus.models.diagnosis import explain

        raise explain(error, model, state, family, source) from error.__cause__


def _converted(model: NexusModule, state: State, family: str, source: str) -> State:
    own = model.state_dict().keys()
    if own - set(model.optional_keys) <= state.keys() <= own:
        return state
    formats = registry.converter(family).FORMATS
    layout = detect_format(state, formats, source)
    try:
        return formats[layout].convert(state, model.config)  # type: ignore[no-any-return]
    except NexusError:
        raise
    except Exception as error:  # a checkpoint of another family may break a converter in any way
        raise WeightsError(f"{source} has keys as in {layout} checkpoints, but does not fit ({error!r}).") from error


def build_on_meta(class_name: str, config: Mapping[str, Any]) -> NexusModule:
    """Build a model that has shapes but no numbers: it takes no memory and hardly any time."""
    model_class = registry.model_class(class_name)
    with torch.device("meta"), _NoRandomNumbers():
        model: NexusModule = model_class(config)
    return model.eval()


def _build(class_name: str, config: Mapping[str, Any]) -> NexusModule:
    """Build without memory or random numbers for weights that will be replaced at once."""
    model = build_on_meta(class_name, config)
    computed = dict(model.named_buffers()).keys() - model.state_dict().keys()
    return registry.model_class(class_name)(config) if computed else model


class _NoRandomNumbers(TorchFunctionMode):
    """Leaves tensors as they are where they would be filled with random numbers.

    On the meta device there is nothing to fill, and the attempt alone imports torch's compiler: a second.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "uniform_"):
            return (kwargs or {}).get("tensor", args[0] if args else None)
        return func(*args, **(kwargs or {}))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"{path.parent} is not a model folder: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a JSON object")
    return content
