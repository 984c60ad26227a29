"""Rebuild ``src/nexus/assets/vocabularies/clip_bpe.txt.gz`` from a checkout of openai/CLIP.

    python tools/build_vocabulary.py CHECKOUT

The authors' file lists 262,144 merges, of which their tokenizer uses those that fill 49,152 - 256 - 2 numbers
(`clip/simple_tokenizer.py`); only these are kept. The same checkout gives the same bytes.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src" / "nexus" / "assets" / "vocabularies" / "clip_bpe.txt.gz"

USED = 49152 - 256 - 2


def main(checkout: Path) -> None:
    lines = gzip.decompress((checkout / "clip" / "bpe_simple_vocab_16e6.txt.gz").read_bytes()).decode().splitlines()
    merges = lines[1 : 1 + USED]  # the first line is a version
    TARGET.write_bytes(gzip.compress(("\n".join(merges) + "\n").encode(), 9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
