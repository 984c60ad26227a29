"""Licences that are shown, and have to be accepted, before weights under them are fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nexus.errors import LicenseError
from nexus.hub.settings import license_accepted
from nexus.results import Progress, ProgressEvent

__all__ = ["Gate", "restriction"]

NON_COMMERCIAL = {"nc", "noncommercial", "research"}
"""Words in the names of licences that forbid commercial use: CC-BY-NC-4.0, fair-noncommercial-research-license."""

RESEARCH_ONLY = {"apple-amlr"}
"""Licences that do so without saying it in their names, as the Hugging Face hub calls them."""


def restriction(license: str | None, *, gated: bool = False) -> str | None:
    """Say what has to be accepted before weights under a licence are fetched.

    Args:
        license: SPDX name, or what the source calls it; None: not known.
        gated: the source lets only those in who agree to its terms.

    Returns:
        A few words; None for a licence without such terms.
    """
    name = (license or "").lower()
    words = set(re.split(r"[^a-z]+", name.replace("non-commercial", "noncommercial")))
    if words & NON_COMMERCIAL or name in RESEARCH_ONLY:
        return "no commercial use"
    return "gated: its owners ask you to agree to their terms" if gated else None


@dataclass
class Gate:
    """Lets weights through whose licence is free or was accepted.

    Attributes:
        name: of the model or repository.
        accept: whether the caller has accepted its licence; ``NEXUS_ACCEPT_LICENSES`` may do so, too.
        progress: told of each licence that was accepted, before the first byte.
    """

    name: str
    accept: bool = False
    progress: Progress | None = None
    _said: set[str] = field(default_factory=set)

    def check(self, license: str | None, *, gated: bool = False, source: str, page: str | None = None) -> None:
        """Let one source through, or not.

        Args:
            license: its licence.
            gated: see `restriction`.
            source: who states it, as a user would recognise it.
            page: where the terms can be read.

        Raises:
            LicenseError: the licence has to be accepted, and was not.
        """
        reason = restriction(license, gated=gated)
        if reason is None:
            return
        stated = f"{self.name} is under {license or 'a licence of its own'} ({reason}), says {source}"
        if text := page if gated else _text(license) or page:
            stated += f"; its text: {text}"
        if not license_accepted(self.name, license, self.accept):
            raise LicenseError(
                f"{stated}. Nothing was fetched. If you accept the licence, say so: accept_license=True, "
                f"--accept-license, or NEXUS_ACCEPT_LICENSES={self.name}"
            )
        if self.progress is not None and stated not in self._said:
            self._said.add(stated)
            note = f"{stated}. You accepted it"
            self.progress(ProgressEvent(stage=f"download {self.name}", done=0, unit="files", note=note))


def _text(license: str | None) -> str | None:
    """Where a licence of the SPDX list can be read."""
    name = (license or "").upper()
    return f"https://spdx.org/licenses/{name}.html" if re.fullmatch(r"CC-BY(-\w+)*-\d\.\d", name) else None
