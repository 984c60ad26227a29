"""Copy or hard-link files into one folder per group. Nothing is deleted or overwritten, and a second run goes on."""

from __future__ import annotations

import contextlib
import filecmp
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from nexus.errors import InputError
from nexus.results import OrganizeResult, Placement, Skipped

__all__ = ["organize", "plan_folders"]

PART = ".nexus-part"
"""End of the name of a copy that is not finished."""


def plan_folders(groups: Sequence[Sequence[str]], names: Sequence[str] | None = None) -> list[tuple[str, str]]:
    """Say which file belongs in which folder: ``[(source, folder name)]``; by default ``group-01``, ``group-02``, ...

    Raises:
        InputError: a name is not that of one folder.
    """
    width = max(2, len(str(len(groups))))
    folders = list(names) if names is not None else [f"group-{n:0{width}}" for n in range(1, len(groups) + 1)]
    for name in folders:
        if name in ("", ".", "..") or {"/", "\\", "\0"} & set(name):
            raise InputError(f"{name!r} cannot be the name of a folder")
    return [(source, folder) for group, folder in zip(groups, folders, strict=True) for source in group]


def organize(
    wanted: Iterable[tuple[str, str]],
    destination: str | Path,
    *,
    link: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> OrganizeResult:
    """Bring files into folders below a destination.

    A file whose name is taken there by another content gets a number: ``a (2).jpg``. One that is there already is left
    alone, so an interrupted run can be repeated.

    Args:
        wanted: ``(source, folder name)``, from `plan_folders`.
        destination: made if needed.
        link: hard-link instead of copying, where source and destination share a disk; otherwise copy.
        dry_run: only say what would be done.
        progress: called with the number of files done so far.

    Returns:
        Where each file went, and which could not be read and why.
    """
    claimed: set[str] = set()
    placements, skipped = [], []
    for done, (source, folder) in enumerate(wanted, 1):
        try:
            placement = _place(source, Path(destination) / folder, claimed, link=link, dry_run=dry_run)
        except OSError as error:
            skipped.append(Skipped(source=source, reason=error.strerror or str(error)))
        else:
            claimed.add(_same_name(placement.target))
            placements.append(placement)
        if progress is not None:
            progress(done)
    return OrganizeResult(
        destination=str(destination), dry_run=dry_run, placements=tuple(placements), skipped=tuple(skipped)
    )


def _place(source: str, folder: Path, claimed: set[str], *, link: bool, dry_run: bool) -> Placement:
    if not dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    base, number = Path(source), 1
    while True:
        target = folder / (base.name if number == 1 else f"{base.stem} ({number}){base.suffix}")
        number += 1
        if _same_name(str(target)) in claimed:
            continue
        if os.path.lexists(target):
            if _same_file(source, target):
                return Placement(source=source, target=str(target), action="kept")
            continue
        if dry_run:
            os.stat(source)
            return Placement(source=source, target=str(target), action="link" if link else "copy")
        with contextlib.suppress(FileExistsError):  # somebody else made it since: the next number
            return Placement(source=source, target=str(target), action=_bring(source, target, link))


def _bring(source: str, target: Path, link: bool) -> str:
    """Make the target in one step from nothing to complete; FileExistsError if it exists."""
    if link:
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # another disk, or a file system without links
            pass
        else:
            return "link"
    part = target.with_name(f"{target.name}{PART}")
    try:
        shutil.copy2(source, part)
        _rename_without_overwriting(part, target)
    finally:
        part.unlink(missing_ok=True)
    return "copy"


def _rename_without_overwriting(part: Path, target: Path) -> None:
    try:
        os.link(part, target)  # fails where the target exists, which a rename on POSIX does not
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        os.rename(part, target)


def _same_file(source: str, target: Path) -> bool:
    return target.is_file() and (os.path.samefile(source, target) or filecmp.cmp(source, target, shallow=False))


def _same_name(path: str) -> str:
    """Names that differ only in case are one file on some disks."""
    return path.casefold()
