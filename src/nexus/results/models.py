"""Which models there are, all that is known of one, and which are recommended."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from nexus.results.base import Result
from nexus.results.text import aligned, cut, indented, scaled, three_digits, wrapped

__all__ = ["LayerRow", "ModelCard", "ModelList", "ModelRow", "Quote", "Suggestion", "Suggestions"]


class ModelRow(Result):
    """One variant, as its family states it.

    Attributes:
        name: what to pass as `model`.
        family: its family folder.
        class_name: its class.
        tasks: what it does: ``"embed"``, ``"classify"``, ...
        parameters: counted; None where nobody has counted (a family outside nexus).
        gflops: 10⁹ multiply-adds of one picture of `input_size`, counted; None as before.
        input_size: (height, width) of the input that its preprocess spec makes.
        labels: name of its label list, for classifiers.
        license: of the weights; None where no source states one.
        score: reported results with their source; None where none was read.
        sources: kinds of places its weights can come from, in order of preference.
    """

    name: str
    family: str
    class_name: str
    tasks: tuple[str, ...]
    parameters: int | None
    gflops: float | None
    input_size: tuple[int, int]
    labels: str | None
    license: str | None
    score: dict[str, Any] | None
    sources: tuple[str, ...]

    @property
    def top1(self) -> float | None:
        """Reported top-1 accuracy on ImageNet-1k in percent."""
        return (self.score or {}).get("imagenet_1k_top1")

    def cells(self) -> tuple[str, ...]:
        """Its row in a list of models."""
        height, width = self.input_size
        # An address is the second choice of most; the card has it.
        places = [PLACES.get(kind, kind) for kind in self.sources if kind != "url" or "huggingface" not in self.sources]
        return (
            self.name,
            "-" if self.parameters is None else scaled(self.parameters),
            "-" if self.gflops is None else three_digits(self.gflops),
            str(height) if height == width else f"{height}x{width}",
            "-" if self.top1 is None else f"{self.top1:.1f}",
            cut(self.license or "-", 12),
            "+".join(dict.fromkeys(places)) or "-",
        )


PLACES = {"huggingface": "hub", "package": "pkg"}
"""Short names of kinds of weight sources."""


class ModelList(Result):
    """The models that match.

    Attributes:
        models: in the order asked for.
    """

    models: tuple[ModelRow, ...]

    def lines(self) -> list[str]:
        """One aligned row per model; in the order of names, below the names of their families."""
        head, *rows = aligned([MODEL_COLUMNS, *(model.cells() for model in self.models)], right={1, 2, 3, 4})
        order = [(model.family, model.name) for model in self.models]
        if order == sorted(order):
            table = zip(self.models, rows, strict=True)
            families = groupby(table, key=lambda pair: pair[0].family)
            rows = [line for family, pairs in families for line in (f"[{family}]", *(row for _, row in pairs))]
        return [head, *rows, "", *LEGEND]


MODEL_COLUMNS = ("NAME", "PARAMS", "GFLOPS", "INPUT", "TOP-1", "LICENCE", "FROM")

LEGEND = (
    "GFLOPS: 10^9 multiply-adds of one picture at INPUT. TOP-1: % on ImageNet-1k, as reported.",
    "FROM: hub (Hugging Face), pkg (your package index), url. `nexus models show NAME` has it all.",
)


class LayerRow(Result):
    """One part of a model, or several alike that follow one another.

    Attributes:
        name: its path in the model, e.g. ``"stages.0.0-2"``.
        type: its class.
        count: how many.
        output: shape of what it gives for one picture; None where it is not called, or is a parameter.
        parameters: of all of them.
        gflops: 10⁹ multiply-adds of all of them, for one picture.
    """

    name: str
    type: str
    count: int = 1
    output: tuple[int, ...] | None = None
    parameters: int
    gflops: float = 0.0


class ModelCard(ModelRow):
    """All that is known of one variant.

    Attributes:
        config: values of the model's config, defaults included.
        preprocess: values of its preprocess spec.
        weights: every source, in order of preference.
        layers: what it is made of, down to the blocks.
        about: the paper, the licence and what the family is, from its docstring.
        bibtex: how to cite it, the family's main paper first.
    """

    config: dict[str, Any]
    preprocess: dict[str, Any]
    weights: tuple[dict[str, Any], ...]
    layers: tuple[LayerRow, ...]
    about: str
    bibtex: tuple[str, ...]

    def lines(self) -> list[str]:
        """The card as text."""
        height, width = self.input_size
        score = self.score or {}
        figures = ", ".join(f"{key} {value}" for key, value in score.items() if key != "source")
        rows = [
            ("name", self.name),
            ("family", self.family),
            ("class", self.class_name),
            ("tasks", ", ".join(self.tasks)),
            ("parameters", f"{self.parameters:,}"),
            ("GFLOPs", f"{self.gflops:.2f} (10^9 multiply-adds of one picture)"),
            ("input", f"{height}x{width}"),
            ("licence", self.license or self._unstated()),
            ("labels", self.labels or "none: features only"),
            ("score", figures or "none recorded"),
        ]
        sources = (
            " ".join(f"{key}={value}" for key, value in source.items() if value is not None) for source in self.weights
        )
        config = (f"{key}: {value}" for key, value in self.config.items())
        return [
            *aligned(rows),
            *wrapped([f"score from  {score['source']}"] if "source" in score else [], further=" " * 12),
            "",
            *self.about.splitlines(),
            "",
            "WEIGHTS, in the order in which they are tried"
            if self.weights
            else "WEIGHTS: none are published; random ones",
            *indented(sources),
            "",
            "CONFIG",
            *indented(config),
            "",
            *self._layers(),
            "",
            "CITE" if self.bibtex else "CITE: no paper is named",
            *(f"  {line}" for entry in self.bibtex for line in entry.splitlines()),
        ]

    def _unstated(self) -> str:
        """Why the licence of the weights is not known."""
        if not self.weights:
            return "there are no weights"
        on_hub = any(source["kind"] == "huggingface" for source in self.weights)
        return "as the model's page says; the download records it" if on_hub else "the sources state none"

    def _layers(self) -> list[str]:
        rows = [("LAYER", "TYPE", "OUTPUT", "PARAMETERS", "GFLOPS")]
        for layer in self.layers:
            times = f" x{layer.count}" if layer.count > 1 else ""
            output = "x".join(map(str, layer.output)) if layer.output else "-"
            flops = "-" if not layer.gflops else "<0.01" if layer.gflops < 0.01 else f"{layer.gflops:.2f}"
            rows.append((layer.name, layer.type + times, output, f"{layer.parameters:,}", flops))
        return aligned(rows, right={3, 4})


class Quote(Result):
    """A statement and where it stands."""

    says: str
    document: str
    section: str


class Suggestion(Result):
    """One model that is recommended.

    Attributes:
        name: as the documents name it.
        model: the variant to use; None where nexus does not have the model yet.
        reasons: what speaks for it.
    """

    name: str
    model: ModelRow | None
    reasons: tuple[Quote, ...]

    def cells(self) -> tuple[str, ...]:
        """Its row in a list of suggestions; only of one that nexus has."""
        assert self.model is not None
        variant, parameters, gflops, _, top1, license, _ = self.model.cells()
        return self.name, variant, parameters, gflops, top1, license


class Suggestions(Result):
    """Which models to use for a task.

    Attributes:
        task, images, constraints: what was asked.
        approach: what to do with so many labelled pictures; None where none were mentioned.
        approach_reasons: the statements that say so.
        run: a command to start with, with the first model.
        models: best first.
        absent: models that the documents name and nexus does not have yet.
        notes: what the documents leave open, and how that was answered.
    """

    task: str
    images: int | None
    constraints: tuple[str, ...]
    approach: str | None
    approach_reasons: tuple[Quote, ...]
    run: str | None
    models: tuple[Suggestion, ...]
    absent: tuple[Suggestion, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The answer first, then the statements that it rests on."""
        pictures = [] if self.images is None else [f"{self.images:,} labelled pictures"]
        lines = [", ".join([self.task, *pictures, *self.constraints]), ""]
        if self.models:
            head = ("", "MODEL", "VARIANT", "PARAMS", "GFLOPS", "TOP-1", "LICENCE")
            rows = [(str(number), *one.cells()) for number, one in enumerate(self.models, 1)]
            lines += aligned([head, *rows], right={3, 4, 5})
        else:
            lines.append("nexus has none of the models that the documents name for this yet.")
        if self.approach or self.run:
            lines += ["", "HOW", *wrapped([self.approach or ""], "  ", "  "), *([f"  {self.run}"] if self.run else [])]
        if self.absent:
            lines += ["", f"NOT IN NEXUS YET: {', '.join(one.name for one in self.absent)}"]
        quotes = (quote for one in (*self.models, *self.absent) for quote in one.reasons)
        lines += ["", "WHY"]
        for quote in dict.fromkeys((*quotes, *self.approach_reasons)):
            lines += [*wrapped([f'"{quote.says}"'], "  ", "   "), f"      {quote.document}: {quote.section}"]
        return [*lines, *([""] if self.notes else []), *wrapped(self.notes)]
