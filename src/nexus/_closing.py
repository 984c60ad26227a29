"""What is used as a context manager, and closed at its end."""

from __future__ import annotations

from typing import Self

__all__ = ["Closing"]


class Closing:
    """Base of what has a `close`: leaving a ``with`` block calls it, whatever happened there."""

    def close(self) -> None:
        """Give back what is held."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
