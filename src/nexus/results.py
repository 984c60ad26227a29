"""What verbs return: frozen pydantic models. They are the JSON of the command line and the schemas of the service."""

from __future__ import annotations

import base64
import html
import textwrap
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

__all__ = [
    "AnomalyMetrics",
    "AnomalyResult",
    "Array",
    "CalibrationBin",
    "Caption",
    "CaptionedPicture",
    "CaptionsResult",
    "ClassReport",
    "Classification",
    "Cluster",
    "ClusterResult",
    "CopyCalibration",
    "CopyMatch",
    "DedupeResult",
    "DryRun",
    "Embeddings",
    "EvaluateResult",
    "ExactGroup",
    "Hit",
    "JudgedPicture",
    "Mistake",
    "Name",
    "NearGroup",
    "NearPair",
    "OrganizeResult",
    "Placement",
    "Prediction",
    "Progress",
    "ProgressEvent",
    "ProtocolRow",
    "Recommendation",
    "Result",
    "Skipped",
    "TemperatureScaling",
    "TrainResult",
    "printable",
]


def printable(name: str) -> str:
    """Return a file name for people: undecodable bytes and control characters (newlines too) are escaped."""
    raw = name.encode("utf-8", "surrogateescape")
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _name_to_json(name: str) -> str | dict[str, str]:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raw = name.encode("utf-8", "surrogateescape")
        return {"name": printable(name), "base64": base64.b64encode(raw).decode()}
    return name


Name = Annotated[str, PlainSerializer(_name_to_json, when_used="json")]
"""A file name as Python holds it (`os.fsdecode`). Undecodable, it is ``{"name": escaped, "base64": bytes}`` in JSON."""

Array = Annotated[Any, PlainSerializer(lambda array: array.tolist(), when_used="json")]
"""A NumPy array; nested lists in JSON."""


class Result(BaseModel):
    """Base of every result. Immutable; ``to_json()`` is what ``--json`` prints."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return self.model_dump(mode="json")

    def to_json(self) -> str:
        """Return one line of JSON."""
        return self.model_dump_json()

    def lines(self) -> list[str]:
        """Return what the command line prints for people."""
        return [f"{key}: {_short(value)}" for key, value in self.to_dict().items()]

    def _repr_html_(self) -> str:
        """Show as a table in notebooks."""
        rows = (
            f"<tr><th style='text-align:left'>{html.escape(key)}</th><td>{html.escape(_short(value))}</td></tr>"
            for key, value in self.to_dict().items()
        )
        return f"<table><caption>{type(self).__name__}</caption>{''.join(rows)}</table>"


def _short(value: Any, limit: int = 300) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]} … ({len(text)} characters)"


class Skipped(Result):
    """One input that could not be used, and why."""

    source: Name
    reason: str


class Shown(Result):
    """Base of results that can be drawn.

    Attributes:
        sheet, page: the contact sheet (PNG) and the HTML page, where they were asked for.
        skipped: inputs that could not be read, and why.
    """

    sheet: Name | None = None
    page: Name | None = None
    skipped: tuple[Skipped, ...] = ()

    def written(self) -> list[str]:
        """One line per file that was drawn."""
        return [f"wrote {printable(path)}" for path in (self.sheet, self.page) if path]


class ProgressEvent(Result):
    """How far a long job is.

    Attributes:
        stage: what is being done, e.g. ``"embed"`` or ``"download dinov2_vits14"``.
        done: units finished.
        total: units in all, or None where unknown.
        unit: what is counted: ``"images"``, ``"bytes"``.
        note: a line worth keeping, e.g. which engine was taken and why.
        values: what to watch meanwhile, by name, in the order to show it in: ``loss``, ``lr``, ``images/s``, ``memory``
            (bytes). Text is shown as it is.
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = "images"
    note: str = ""
    values: Mapping[str, float | str] = Field(default_factory=dict)


Progress = Callable[[ProgressEvent], None]
"""Called by long jobs as often as they like; whoever renders it decides how often to draw."""


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
            _cut(self.license or "-", 12),
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
            lines += ["", "HOW", *_wrapped([self.approach or ""], "  ", "  "), *([f"  {self.run}"] if self.run else [])]
        if self.absent:
            lines += ["", f"NOT IN NEXUS YET: {', '.join(one.name for one in self.absent)}"]
        quotes = (quote for one in (*self.models, *self.absent) for quote in one.reasons)
        lines += ["", "WHY"]
        for quote in dict.fromkeys((*quotes, *self.approach_reasons)):
            lines += [*_wrapped([f'"{quote.says}"'], "  ", "   "), f"      {quote.document}: {quote.section}"]
        return [*lines, *([""] if self.notes else []), *_wrapped(self.notes)]


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
            ("licence", self.license or "the sources state none"),
            ("labels", self.labels or "none: features only"),
            ("score", figures or "none recorded"),
        ]
        sources = (
            " ".join(f"{key}={value}" for key, value in source.items() if value is not None) for source in self.weights
        )
        config = (f"{key}: {value}" for key, value in self.config.items())
        return [
            *aligned(rows),
            *_wrapped([f"score from  {score['source']}"] if "source" in score else [], further=" " * 12),
            "",
            *self.about.splitlines(),
            "",
            "WEIGHTS, in the order in which they are tried",
            *_indented(sources),
            "",
            "CONFIG",
            *_indented(config),
            "",
            *self._layers(),
            "",
            "CITE" if self.bibtex else "CITE: no paper is named",
            *(f"  {line}" for entry in self.bibtex for line in entry.splitlines()),
        ]

    def _layers(self) -> list[str]:
        rows = [("LAYER", "TYPE", "OUTPUT", "PARAMETERS", "GFLOPS")]
        for layer in self.layers:
            times = f" x{layer.count}" if layer.count > 1 else ""
            output = "x".join(map(str, layer.output)) if layer.output else "-"
            flops = "-" if not layer.gflops else "<0.01" if layer.gflops < 0.01 else f"{layer.gflops:.2f}"
            rows.append((layer.name, layer.type + times, output, f"{layer.parameters:,}", flops))
        return aligned(rows, right={3, 4})


def aligned(rows: Sequence[Sequence[str]], gap: str = "  ", right: Container[int] = ()) -> list[str]:
    """Return one line per row with the columns aligned to the left, or those in `right` to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        placed = [cell.rjust(w) if n in right else cell.ljust(w) for n, (cell, w) in enumerate(cells)]
        lines.append(gap.join(placed).rstrip())
    return lines


def scaled(count: int) -> str:
    """Return a count with three digits and a unit: 22.1M, 1.14B."""
    return f"{three_digits(count / 1e9)}B" if count >= 999.5e6 else f"{three_digits(count / 1e6)}M"


def three_digits(value: float) -> str:
    """Return a number with three digits, at most two of them after the point: 299, 55.5, 4.09, 0.39."""
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def _wrapped(texts: Iterable[str], first: str = "", further: str = "") -> Iterator[str]:
    """Lines of at most 100 characters; what has no spaces stays whole."""
    for text in texts:
        yield from textwrap.wrap(
            text, 100, initial_indent=first, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
        )


def _indented(texts: Iterable[str]) -> Iterator[str]:
    """Lines below a headline."""
    return _wrapped(texts, "  ", "      ")


def _share(score: float) -> str:
    """A probability; one too small for two places still shows its size."""
    return f"{score:.2f}" if score >= 0.005 or score == 0 else f"{score:.0e}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


class Hit(Result):
    """One image that a search found.

    Attributes:
        path: the image.
        cosine: of its vector and the query's, -1..1; 1 is the same direction.
        l2: Euclidean distance of the two vectors as the model gave them, not normalised; 0 is the same.
    """

    path: Name
    cosine: float
    l2: float


class IndexResult(Result):
    """What `nexus.index` did.

    Attributes:
        path: the collection's folder.
        added, updated, removed, unchanged: numbers of pictures.
        total: pictures in the collection now.
        dims: floats per stored vector.
        explained: share of the variance that a reduction by PCA kept; None without one.
        ann: kind of search index: ``"flat"``, ``"hnsw"`` or ``"ivfpq"``.
        engine: what ran the model.
        seconds: from start to end.
        images_per_second: pictures embedded in this run, over `seconds`.
        skipped: what could not be read, and why.
    """

    path: Name
    added: int
    updated: int
    removed: int
    unchanged: int
    total: int
    dims: int
    explained: float | None
    ann: str
    engine: str
    seconds: float
    images_per_second: float
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """Two or three lines."""
        speed = f", engine {self.engine}, {self.images_per_second:.1f} images/s" if self.added + self.updated else ""
        said = [
            f"{printable(self.path)}: {self.total} pictures ({self.added} added, {self.updated} updated, "
            f"{self.removed} removed, {self.unchanged} unchanged)",
            f"{self.dims} floats each, {self.ann} index, {self.seconds:.1f} s{speed}",
        ]
        return said + ([f"PCA kept {self.explained:.1%} of the variance"] if self.explained is not None else [])


class SearchResult(Result):
    """What one query found, best first.

    Attributes:
        query: the picture, or the text.
        is_text: whether the query is a text.
        hits: what was found.
    """

    query: Name
    is_text: bool = False
    hits: tuple[Hit, ...]


class SearchReport(Shown):
    """What `nexus.search` found, one entry per query.

    Attributes:
        collection: where it was searched.
        results: in the order of the queries.
    """

    collection: Name
    results: tuple[SearchResult, ...]

    def lines(self) -> list[str]:
        """One numbered line per match."""
        said = []
        for result in self.results:
            how = "images for the text" if result.is_text else "similar images to"
            said.append(f"Top {len(result.hits)} {how} {printable(result.query)}:")
            said += [
                f"{rank}. {printable(hit.path)} (similarity: {hit.cosine:.4f}, distance: {hit.l2:.4f})"
                for rank, hit in enumerate(result.hits, 1)
            ]
        return said + self.written()


class SimilarityResult(Result):
    """How alike some pictures are.

    Attributes:
        names: the pictures.
        cosine: (N, N) cosine similarity of the features, -1..1.
        l2: (N, N) Euclidean distance of the features.
        picture: the drawn matrix, where it was asked for.
        skipped: what could not be read.
    """

    names: tuple[Name, ...]
    cosine: Array
    l2: Array
    picture: Name | None = None
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """For two pictures a sentence, for more the matrix."""
        if len(self.names) == 2:
            return [f"similarity: {self.cosine[0][1]:.4f}, distance: {self.l2[0][1]:.4f}"]
        rows = [
            [printable(name), *(f"{value:.4f}" for value in row)]
            for name, row in zip(self.names, self.cosine, strict=True)
        ]
        said = aligned([["", *(str(n) for n in range(1, len(self.names) + 1))], *rows])
        return said + ([f"wrote {printable(self.picture)}"] if self.picture else [])


class PcaResult(Result):
    """The patch picture that `nexus.visualize_pca` wrote.

    Attributes:
        names: the pictures in it, from top to bottom.
        picture: the PNG.
        separated: whether an object was told from the background.
        explained_single: (3,) share of the variance of all patches that each colour explains.
        explained_two: (3,) the same among the object's patches.
        skipped: what could not be read.
    """

    names: tuple[Name, ...]
    picture: Name
    separated: bool
    explained_single: Array
    explained_two: Array
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """One line."""
        share = (
            f"{sum(self.explained_two):.0%} of the object's variance" if self.separated else "no background was found"
        )
        return [f"wrote {printable(self.picture)}: {len(self.names)} pictures, {share}"]


class Check(Result):
    """One thing that `nexus.doctor` looked at.

    Attributes:
        name: what was looked at.
        ok: False where something is missing or wrong.
        detail: what was found.
        remedy: the line that mends it.
    """

    name: str
    ok: bool
    detail: str
    remedy: str | None = None


class DoctorResult(Result):
    """What is installed, what would run, and what is missing."""

    checks: tuple[Check, ...]

    def lines(self) -> list[str]:
        """One line per check, and the remedy under it."""
        rows = aligned([("ok" if check.ok else "--", check.name, check.detail) for check in self.checks])
        said = []
        for check, row in zip(self.checks, rows, strict=True):
            said += [row] if check.remedy is None else [row, f"      {check.remedy}"]
        return said


class Embeddings(Result):
    """Vectors of images.

    Attributes:
        sources: the images that were read, in order.
        vectors: (images, D) float32; (images, N, D) with pooling ``"patch"``.
        skipped: the images that could not be read.
        model: name of the variant or class.
        weights: digest of its weights.
        preprocess: digest of the preprocess spec.
        pooling: ``"cls"``, ``"mean"`` or ``"patch"``.
        layer: the block they were taken from; None: the final output.
        engine: what ran the model.
    """

    sources: tuple[Name, ...]
    vectors: Array
    skipped: tuple[Skipped, ...] = ()
    model: str
    weights: str
    preprocess: str
    pooling: str
    layer: int | None
    engine: str

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.sources)

    def lines(self) -> list[str]:
        """What there is, and how to get it out."""
        shape = "x".join(map(str, self.vectors.shape[1:]))
        said = f"{len(self)} vectors of {shape} (engine {self.engine})"
        return [said, "say --out x.npz or --out x.parquet to write them to a file, or --json to print them"]


class Prediction(Result):
    """One class with its softmax probability, 0..1."""

    label: str
    index: int
    score: float


class Classification(Result):
    """The most likely classes of one image, best first; none, and the reason, where it could not be read."""

    source: Name
    predictions: tuple[Prediction, ...]
    reason: str | None = None


class ExactGroup(Result):
    """Files with the same bytes, in the order in which they were indexed."""

    sha256: str
    paths: tuple[Name, ...]


class NearPair(Result):
    """Two pictures that look the same.

    Attributes:
        first, second: the pictures.
        cosine: of their features, -1..1.
        bits: differing bits of their perceptual hashes, 0..64.
        found_by: which of ``"phash"`` and ``"features"`` called them near.
    """

    first: Name
    second: Name
    cosine: float
    bits: int
    found_by: tuple[str, ...]


class NearGroup(Result):
    """Pictures that hang together by near pairs, and the pairs."""

    paths: tuple[Name, ...]
    pairs: tuple[NearPair, ...]


class DedupeResult(Shown):
    """Duplicates in a collection.

    Attributes:
        count: images looked at.
        exact: files with the same bytes.
        near: different files that look the same; of exact copies only the first takes part.
    """

    count: int
    exact: tuple[ExactGroup, ...]
    near: tuple[NearGroup, ...]

    def lines(self) -> list[str]:
        """Exact groups first, then near ones, with what found each pair."""
        said = [f"{len(self.exact)} exact and {len(self.near)} near groups among {self.count} images"]
        for exact in self.exact:
            said += ["exact:", *(f"  {printable(path)}" for path in exact.paths)]
        for near in self.near:
            said += ["near:", *(f"  {printable(path)}" for path in near.paths)]
            said += [
                f"    {printable(pair.first)} ~ {printable(pair.second)}: cosine {pair.cosine:.4f}, "
                f"{pair.bits} of 64 bits differ, found by {' and '.join(pair.found_by)}"
                for pair in near.pairs
            ]
        return said + self.written()


class CopyMatch(Result):
    """A protected picture that a suspect is a near-copy of.

    Attributes:
        path: the protected picture.
        score: up to 1; the larger of `cosine` and ``1 - bits / 32``.
        cosine: of the features, -1..1.
        bits: differing bits of the perceptual hashes, 0..64.
    """

    path: Name
    score: float
    cosine: float
    bits: int


class CopyCalibration(Result):
    """What a threshold is worth on given pictures.

    Attributes:
        threshold: scores from here on count as copies.
        pictures: how many were edited.
        pairs: unrelated pairs that were scored.
        false_alarms: of these, how many reached the threshold.
        false_alarm_rate: the share, 0..1.
        false_alarm_upper: upper end of its 95 % interval.
        recall: edit -> share of edited pictures that were recognised.
    """

    threshold: float
    pictures: int
    pairs: int
    false_alarms: int
    false_alarm_rate: float
    false_alarm_upper: float
    recall: dict[str, float]

    def lines(self) -> list[str]:
        """The rates as a table."""
        alarms = f"{self.false_alarm_rate:.2%} (at most {self.false_alarm_upper:.2%}) of {self.pairs} unrelated pairs"
        return [
            f"threshold {self.threshold:.2f}: false alarms {alarms}",
            *aligned([(f"  {edit}", f"{share:.0%} recognised") for edit, share in self.recall.items()]),
        ]


class Placement(Result):
    """Where one file went.

    Attributes:
        source, target: the file and its new place.
        action: ``"copy"``, ``"link"``, or ``"kept"`` where it was there already.
    """

    source: Name
    target: Name
    action: str


class OrganizeResult(Result):
    """What was brought into folders, or in a dry run what would be."""

    destination: Name
    dry_run: bool
    placements: tuple[Placement, ...]
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """One line per file."""
        would = "would " if self.dry_run else ""
        said = [f"{would}{p.action} {printable(p.source)} -> {printable(p.target)}" for p in self.placements]
        return said + [f"skipped {printable(skip.source)}: {skip.reason}" for skip in self.skipped]


class Cluster(Result):
    """One group of like pictures.

    Attributes:
        representative: the picture nearest to the centroid.
        paths: its pictures, nearest to the centroid first.
        cosine: of each to the centroid.
    """

    representative: Name
    paths: tuple[Name, ...]
    cosine: tuple[float, ...]


class ClusterResult(Shown):
    """Groups of like pictures, largest first.

    Attributes:
        method: ``"kmeans"`` or ``"hdbscan"``.
        count: images looked at.
        silhouette: how well the groups are apart, -1..1; None for fewer than two groups.
        clusters: the groups.
        unassigned: pictures in no group (HDBSCAN only).
        organized: where the files went, or in a dry run would go, if that was asked for.
    """

    method: str
    count: int
    silhouette: float | None
    clusters: tuple[Cluster, ...]
    unassigned: tuple[Name, ...] = ()
    organized: OrganizeResult | None = None

    def lines(self) -> list[str]:
        """Each group with its size, its representative first."""
        quality = "" if self.silhouette is None else f", silhouette {self.silhouette:.2f}"
        said = [f"{len(self.clusters)} groups of {self.count} images by {self.method}{quality}"]
        for number, group in enumerate(self.clusters, 1):
            said += [f"group {number}: {len(group.paths)} images", *(f"  {printable(path)}" for path in group.paths)]
        if self.unassigned:
            said += [f"in no group: {len(self.unassigned)} images", *(f"  {printable(p)}" for p in self.unassigned)]
        return said + (self.organized.lines() if self.organized else []) + self.written()


class Recommendation(Result):
    """One recommended picture.

    Attributes:
        path: the picture.
        score: cosine with the direction from what is disliked to what is liked, -1..1.
    """

    path: Name
    score: float


class EmbedResult(Result):
    """The file that `nexus.embed` wrote.

    Attributes:
        path: the file.
        count: vectors in it.
        shape: of one vector: (D,), or (N, D) for patches.
        resumed: how many of them an earlier, interrupted run had made.
        engine: what ran the model.
        seconds: from start to end.
        images_per_second: pictures embedded in this run, over `seconds`.
        skipped: what could not be read, and why.
    """

    path: Name
    count: int
    shape: tuple[int, ...]
    resumed: int
    engine: str
    seconds: float
    images_per_second: float
    skipped: tuple[Skipped, ...] = ()

    def lines(self) -> list[str]:
        """One line."""
        before = f", {self.resumed} of them from an earlier run" if self.resumed else ""
        shape = "x".join(map(str, self.shape))
        speed = f"engine {self.engine}, {self.images_per_second:.1f} images/s"
        return [f"wrote {printable(self.path)}: {self.count} vectors of {shape}{before} ({speed})"]


class RecommendResult(Shown):
    """Pictures ranked by what is liked and disliked, best first."""

    likes: tuple[Name, ...]
    dislikes: tuple[Name, ...]
    recommendations: tuple[Recommendation, ...]

    def lines(self) -> list[str]:
        """One numbered line per picture."""
        ranked = [
            f"{rank}. {printable(one.path)} (score: {one.score:.4f})"
            for rank, one in enumerate(self.recommendations, 1)
        ]
        return ranked + self.written()


class Suspect(Result):
    """One suspect and the protected pictures that it is a near-copy of, best first; none where it is innocent."""

    path: Name
    matches: tuple[CopyMatch, ...]


class CopiesResult(Shown):
    """Which suspects are near-copies of protected pictures.

    Attributes:
        collection: the protected pictures.
        threshold: scores from here on are copies.
        suspects: every suspect that could be read.
        calibration: what the threshold is worth on these protected pictures, where it was asked for.
    """

    collection: Name
    threshold: float
    suspects: tuple[Suspect, ...]
    calibration: CopyCalibration | None = None

    def lines(self) -> list[str]:
        """One line per match, then how many were innocent, then the calibration."""
        said = [
            f"{printable(suspect.path)} is a copy of {printable(match.path)} (score: {match.score:.3f}, "
            f"cosine: {match.cosine:.3f}, {match.bits} of 64 bits differ)"
            for suspect in self.suspects
            for match in suspect.matches
        ]
        guilty = sum(bool(suspect.matches) for suspect in self.suspects)
        said.append(f"{guilty} of {len(self.suspects)} suspects are near-copies at threshold {self.threshold:.2f}")
        return said + (self.calibration.lines() if self.calibration else []) + self.written()


class ClassifyResult(Shown):
    """Labels of pictures.

    Attributes:
        method: ``"classifier"`` (the model's own head), ``"knn"``, ``"probe"`` or ``"zero-shot"`` (labels in words).
        model: what gave the logits or the features.
        classes: the labels there are.
        accuracy: of the examples, each labelled by the others (``knn``) or by folds (``probe``); None without examples.
        pictures: in order.
    """

    method: str
    model: str
    classes: tuple[str, ...]
    accuracy: float | None
    pictures: tuple[Classification, ...]

    def lines(self) -> list[str]:
        """One line per picture, and how far the labels can be trusted."""
        said = [
            f"{printable(picture.source)}: " + ", ".join(f"{p.label} {_share(p.score)}" for p in picture.predictions)
            for picture in self.pictures
            if picture.predictions
        ]
        if self.accuracy is not None:
            said.append(f"{self.accuracy:.1%} of the examples are labelled right by the other examples ({self.method})")
        return said + self.written()


class ClassReport(Result):
    """How one class fares.

    Attributes:
        name: the class.
        support: pictures of it.
        precision: of what was called so, the share that is, 0..1.
        recall: of its pictures, the share that was called so, 0..1: the accuracy of the class.
        f1: harmonic mean of the two.
        average_precision: of pictures that may show several classes, 0..1; None otherwise, or without positives.
        taken_for: what its pictures are most often called wrongly; None where that never happens.
    """

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    average_precision: float | None = None
    taken_for: str | None = None


class CalibrationBin(Result):
    """Pictures of which the model was about equally sure.

    Attributes:
        lower, upper: bounds of the confidence, 0..1; the upper one is included.
        count: pictures.
        confidence: their mean confidence; None without pictures.
        accuracy: the share that is right; None without pictures.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


class TemperatureScaling(Result):
    """What dividing the logits by one number does to the confidence; the answers stay the same.

    Attributes:
        temperature: that number, fitted on some of the pictures; above 1 the model was too sure.
        fitted_on, measured_on: how many pictures it was fitted on, and how many others it was judged by.
        error_before, error_after: expected calibration error on the latter.
        loss_before, loss_after: negative log-likelihood on the latter, in nats.
    """

    temperature: float
    fitted_on: int
    measured_on: int
    error_before: float
    error_after: float
    loss_before: float
    loss_after: float


class Mistake(Result):
    """A picture that was called wrongly.

    Attributes:
        source: the picture.
        index: its number in the dataset.
        true, predicted: class names; with several classes per picture, all of them with commas between.
        confidence: probability of the class that was predicted, 0..1; with several, of the least right decision.
        loss: cross-entropy in nats.
    """

    source: Name
    index: int
    true: str
    predicted: str
    confidence: float
    loss: float


class ProtocolRow(Result):
    """One setting of an evaluation protocol.

    Attributes:
        setting: what was varied.
        top1: share of pictures, 0..1, that are right; with several classes per picture, of all yes or no decisions.
        top5: top-5 accuracy; None where it was not looked at.
    """

    setting: str
    top1: float
    top5: float | None = None


class EvaluateResult(Result):
    """How good a classifier is on labelled pictures. All shares are of 1.

    Attributes:
        protocol: ``"head"`` (the model's own), ``"knn"`` or ``"linear"`` (on its features).
        model: what gave the logits or the features.
        data: the labelled pictures.
        count: how many of them were scored.
        multi_label: whether a picture may show several classes; then `mean_average_precision`, `micro_f1`, `macro_f1`
            and `exact_match` are there, else all others.
        top1: share of pictures whose class is the most probable one.
        top1_interval: its 95 % interval (E. B. Wilson, 1927).
        top5: whose class is among the five most probable ones; None for five classes or fewer.
        balanced_accuracy: mean recall of the classes that occur.
        macro_f1: mean F1 of the classes that occur or were predicted.
        micro_f1, exact_match: at probability 0.5.
        mean_average_precision: over the classes that occur.
        loss: negative log-likelihood in nats; None for votes of neighbours, which may be 0.
        brier: squared distance of the probabilities from the truth, 0..2.
        calibration_error: expected calibration error, see `bins`.
        bins: 15 of equal width.
        temperature: what temperature scaling would change, if it was asked for.
        classes: those that occur or were predicted.
        confusion: (C, C) pictures: rows are the true ones of `classes`, columns the predicted ones.
        settings: all settings of the protocol; none for the model's own head.
        setting: the one that all else is about.
        mistakes: the worst, worst first.
        notes: what to know when comparing these figures with others.
        skipped: what could not be read, and why.
        engine: what ran the model.
        seconds: from start to end.
        files: what was written.
    """

    protocol: str
    model: str
    data: Name
    count: int
    multi_label: bool
    top1: float | None = None
    top1_interval: tuple[float, float] | None = None
    top5: float | None = None
    balanced_accuracy: float | None = None
    macro_f1: float
    micro_f1: float | None = None
    exact_match: float | None = None
    mean_average_precision: float | None = None
    loss: float | None = None
    brier: float | None = None
    calibration_error: float | None = None
    bins: tuple[CalibrationBin, ...] = ()
    temperature: TemperatureScaling | None = None
    classes: tuple[ClassReport, ...]
    confusion: Array | None = None
    settings: tuple[ProtocolRow, ...] = ()
    setting: str | None = None
    mistakes: tuple[Mistake, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    engine: str = ""
    seconds: float = 0.0
    files: tuple[Name, ...] = ()

    def lines(self) -> list[str]:
        """Overall figures, calibration, all settings of the protocol, the worst classes, the worst mistakes."""
        said = [f"{self.model} ({self.protocol}) on {printable(self.data)}: {self.count} pictures"]
        said += self.headlines() + self._calibration() + self._settings() + self._worst_classes()
        if self.mistakes:
            said += ["", "worst mistakes:"]
            said += [
                f"  {printable(one.source)}: {one.true}, called {one.predicted or 'nothing'} ({_share(one.confidence)})"
                for one in self.mistakes[:MOST_SHOWN]
            ]
        notes = [f"note: {note}" for note in self.notes]
        return [*said, *([""] if notes else []), *_wrapped(notes, further="  "), *self.written()]

    def written(self) -> list[str]:
        """One line per file."""
        return [f"wrote {printable(path)}" for path in self.files]

    def headlines(self) -> list[str]:
        """The overall figures, in a line."""
        if self.top1 is None or self.top1_interval is None:
            return [
                f"mAP {self.mean_average_precision or 0:.1%}, micro F1 {self.micro_f1 or 0:.3f}, macro F1 "
                f"{self.macro_f1:.3f}, exact match {self.exact_match or 0:.1%}"
            ]
        low, high = self.top1_interval
        top5 = "" if self.top5 is None else f", top-5 {self.top5:.1%}"
        return [
            f"top-1 {self.top1:.1%} (95 % interval {low:.1%} to {high:.1%}){top5}, mean of the classes "
            f"{self.balanced_accuracy:.1%}, macro F1 {self.macro_f1:.3f}"
        ]

    def _calibration(self) -> list[str]:
        if self.calibration_error is None:
            return []
        sure = sum(one.count * (one.confidence or 0) for one in self.bins) / self.count
        loss = "" if self.loss is None else f", negative log-likelihood {self.loss:.3f}"
        said = [
            f"calibration: ECE {self.calibration_error:.3f} (mean confidence {sure:.1%}){loss}, Brier {self.brier:.3f}"
        ]
        if (scaled := self.temperature) is not None:
            said.append(
                f"temperature {scaled.temperature:.3g}, fitted on {scaled.fitted_on} pictures; on the other "
                f"{scaled.measured_on}: ECE {scaled.error_before:.3f} -> {scaled.error_after:.3f}, negative "
                f"log-likelihood {scaled.loss_before:.3f} -> {scaled.loss_after:.3f}"
            )
        return said

    def _settings(self) -> list[str]:
        if not self.settings:
            return []
        shown = sorted(self.settings, key=lambda one: (one.setting != self.setting, -one.top1))[:MOST_SHOWN]
        rows = [
            ("*" if one.setting == self.setting else "", one.setting, f"{one.top1:.1%}", f"{one.top5 or 0:.1%}")
            for one in self.settings
            if one in shown
        ]
        head = ("", "SETTING" if len(rows) == len(self.settings) else "BEST SETTINGS", "TOP-1", "TOP-5")
        columns = 3 if shown[0].top5 is None else 4
        return ["", *aligned([row[:columns] for row in (head, *rows)], right={2, 3})]

    def _worst_classes(self) -> list[str]:
        wrong = [one for one in self.classes if one.support and one.recall < 1]
        rows = [
            (one.name, str(one.support), f"{one.recall:.1%}", f"{one.precision:.1%}", one.taken_for or "")
            for one in sorted(wrong, key=lambda one: one.recall)[:MOST_SHOWN]
        ]
        head = ("WORST CLASSES", "PICTURES", "RECALL", "PRECISION", "TAKEN FOR")
        return ["", *aligned([head, *rows], right={1, 2, 3})] if rows else []


MOST_SHOWN = 10
"""Worst classes and mistakes that are printed; ``--json`` has all."""


class Caption(Result):
    """One text, and how well it describes a picture.

    Attributes:
        text: as it was given.
        index: its place among all texts, from 0.
        cosine: of its vector and the picture's, -1..1.
        score: its probability, 0..1: among all texts (CLIP), or for itself (SigLIP).
    """

    text: str
    index: int
    cosine: float
    score: float


class CaptionedPicture(Result):
    """A picture and the texts that describe it best, best first."""

    source: Name
    captions: tuple[Caption, ...]


class CaptionsResult(Shown):
    """Which texts describe which pictures.

    Attributes:
        model: what compared them.
        count: texts that were compared.
        pictures: in order.
    """

    model: str
    count: int
    pictures: tuple[CaptionedPicture, ...]

    def lines(self) -> list[str]:
        """For each picture one numbered line per text."""
        said = []
        for picture in self.pictures:
            said.append(f"{printable(picture.source)}, best of {self.count} texts:")
            said += [
                f"{rank}. {one.text} (similarity: {one.cosine:.4f}, probability: {_share(one.score)})"
                for rank, one in enumerate(picture.captions, 1)
            ]
        return said + self.written()


class AnomalyMetrics(Result):
    """How well scores tell odd pictures from normal ones, where it is known which is which.

    Attributes:
        pictures, odd: how many there are, and how many of them are odd.
        image_auroc: chance that an odd picture scores above a normal one, 0..1.
        best_f1, best_f1_threshold: highest F1 of any threshold, 0..1, and that threshold.
        pixel_auroc: as `image_auroc`, of pixels; None without masks.
        aupro: area under the per-region overlap curve up to a false positive rate of 0.3, 0..1; None without masks.
    """

    pictures: int
    odd: int
    image_auroc: float
    best_f1: float
    best_f1_threshold: float
    pixel_auroc: float | None = None
    aupro: float | None = None

    def lines(self) -> list[str]:
        """Two lines at most."""
        said = [
            f"{self.odd} of {self.pictures} are known to be odd: AUROC {self.image_auroc:.4f}, best F1 "
            f"{self.best_f1:.4f} (at threshold {self.best_f1_threshold:.4g})"
        ]
        if self.pixel_auroc is not None and self.aupro is not None:
            said.append(f"where they are odd: AUROC of pixels {self.pixel_auroc:.4f}, AUPRO {self.aupro:.4f}")
        return said


class JudgedPicture(Result):
    """How odd one picture is.

    Attributes:
        source: the picture.
        score: its distance from what is normal, from 0.
        odd: whether that reaches the threshold.
        kind: what is known of it: the name of its folder, ``"good"`` for a normal one; None where nothing is.
        heatmap: the picture of where it is odd, if that was asked for.
    """

    source: Name
    score: float
    odd: bool
    kind: str | None = None
    heatmap: Name | None = None


class AnomalyResult(Shown):
    """Which pictures are odd, the oddest first.

    Attributes:
        model: what described the patches.
        normals: how many normal pictures the bank was made of.
        patches: how many patches it holds.
        threshold: scores from here on are odd.
        calibrated: normal pictures that the threshold was found with, each left out once; 0 where it was given.
        pictures: what was judged, by score.
        metrics: how right the scores are, where that is known.
        bank: the file with the memory bank, if it was saved.
        notes: what should be known of the scores.
    """

    model: str
    normals: int
    patches: int
    threshold: float
    calibrated: int
    pictures: tuple[JudgedPicture, ...]
    metrics: AnomalyMetrics | None = None
    bank: Name | None = None
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """One line per picture, the oddest first, then what they were compared with."""
        rows = [("odd" if one.odd else "-", f"{one.score:.2f}", printable(one.source)) for one in self.pictures]
        odd = sum(one.odd for one in self.pictures)
        found = f" (found with {self.calibrated} normal pictures)" if self.calibrated else ""
        said = aligned(rows, right={1})
        said.append(f"{odd} of {len(self.pictures)} pictures are odd at threshold {self.threshold:.2f}{found}")
        said += self.metrics.lines() if self.metrics else []
        said += self.notes
        drawn = [one.heatmap for one in self.pictures if one.heatmap]
        said += [f"wrote {len(drawn)} heat maps, {printable(drawn[0])} first"] if drawn else []
        return said + self.written() + ([f"wrote {printable(self.bank)}"] if self.bank else [])


class DemoStep(Result):
    """One step of the demo: its name, what it did, and how long it took."""

    name: str
    said: str
    seconds: float

    def lines(self) -> list[str]:
        """One line."""
        return [f"{self.name + ':':15}{self.said} [{self.seconds:.1f} s]"]


class DemoResult(Result):
    """What the demo did, and the contact sheet that it ended with."""

    steps: tuple[DemoStep, ...]
    sheet: Name

    def lines(self) -> list[str]:
        """Where the picture is; the steps have been said as they happened."""
        return [f"look at {printable(self.sheet)}"]


class DryRun(Result):
    """What `nexus.train` would do.

    Attributes:
        mode, model: what would be trained.
        config: the resolved settings.
        classes: names, in the order of the logits.
        images, validated: pictures to learn from and to measure on.
        parameters, trainable: of the model.
        precision: of the forward and backward pass.
        steps_per_epoch: optimiser steps.
        seconds_per_epoch: by the median of ten measured steps.
        memory: highest number of bytes in use during these.
        warnings: what is unusual about it.
    """

    mode: str
    model: str
    config: dict[str, Any]
    classes: tuple[str, ...]
    images: int
    validated: int
    parameters: int
    trainable: int
    precision: str
    steps_per_epoch: int
    seconds_per_epoch: float
    memory: int
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """The settings, then what they would take."""
        frozen = self.parameters - self.trainable
        return [
            *_settings(self.config),
            "",
            f"{self.mode} of {self.model} on {self.images:,} pictures of {len(self.classes)} classes, measured on "
            f"{self.validated:,}",
            f"parameters: {scaled(self.trainable)} trained, {scaled(frozen)} frozen; computed in {self.precision}",
            self._time(),
            f"memory: {self.memory / 2**30:.1f} GiB",
            *(f"warning: {warning}" for warning in self.warnings),
        ]

    def _time(self) -> str:
        minutes, epochs = self.seconds_per_epoch / 60, self.config["epochs"]
        if not self.steps_per_epoch:
            return f"time: {minutes:.1f} min for the features of all pictures, of those that are not known yet"
        hours = epochs * minutes / 60
        return f"time: {minutes:.1f} min an epoch of {self.steps_per_epoch} steps, {hours:.1f} h for {epochs}"


def _settings(config: dict[str, Any], prefix: str = "") -> list[str]:
    """Nested settings, one a line, as ``--set`` takes them."""
    lines = []
    for key, value in config.items():
        if isinstance(value, dict) and value:
            lines += _settings(value, f"{prefix}{key}.")
        else:
            lines.append(f"{prefix}{key} = {value}")
    return lines


class TrainResult(Result):
    """What came of `nexus.train`.

    Attributes:
        folder: of the run; every verb takes it as `model`.
        mode: ``"probe"``, ``"finetune"`` or ``"scratch"``.
        model: what the run began with.
        classes: names, in the order of the logits.
        images: pictures that were learnt from.
        best_epoch: after how many epochs the kept model was reached; 0 for a probe.
        seconds: from start to end of this session.
        evaluation: the kept model on the validation pictures; None where there are none.
        few_shot: accuracy with fewer pictures, where it was asked for.
        files: in the folder, to look at.
        warnings: what was unusual about the run.
        skipped: pictures that could not be read, and why.
        published: its address on the hub, where it was sent there.
    """

    folder: Name
    mode: str
    model: str
    classes: tuple[str, ...]
    images: int
    best_epoch: int = 0
    seconds: float
    evaluation: EvaluateResult | None = None
    few_shot: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    published: str | None = None

    def lines(self) -> list[str]:
        """How good it is, and what to do with it."""
        folder = printable(self.folder)
        return [
            f"{self.mode} of {self.model}: {len(self.classes)} classes, {self.images:,} pictures, "
            f"{self.seconds / 60:.1f} min",
            *self._measured(),
            *self.few_shot,
            f"wrote {folder}: {', '.join(self.files)}",
            f"use it: nexus classify PICTURES --model {folder}",
            *([f"published: {self.published}"] if self.published else []),
        ]

    def _measured(self) -> list[str]:
        return (
            []
            if self.evaluation is None
            else [f"on {self.evaluation.count:,} others: {line}" for line in self.evaluation.headlines()]
        )
