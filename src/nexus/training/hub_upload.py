"""Sending a finished run to the Hugging Face hub, or to whatever ``HF_ENDPOINT`` names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus.errors import ConfigError, TrainingError
from nexus.hub.huggingface import hub_client, hub_endpoint
from nexus.hub.settings import offline

__all__ = ["open_repository", "push_run"]

FILES = ("config.json", "model.safetensors", "tokenizer.json", "README.md", "*.png")
"""What is sent of a run folder: what loads and what explains. Checkpoints, logs and paths of pictures stay here."""


def open_repository(repository: str, *, private: bool = True) -> None:
    """Make a model repository, unless it is there: call it before a long run to learn in time that it cannot be sent.

    Args:
        repository: ``owner/name``, or a name alone for one of the token's own.
        private: whether only its owner sees it; a repository that is there already stays as it is.

    Raises:
        ConfigError: that is no name of a repository.
        TrainingError: the network is off, there is no token, it may not write there, or the hub is out of reach.
    """
    client = hub_client()
    with _explaining(repository):
        client.HfApi(endpoint=hub_endpoint()).create_repo(repository, private=private, exist_ok=True)


def push_run(folder: str | Path, repository: str, *, private: bool = True) -> str:
    """Send the model of a run, its card and its pictures; `nexus.load(repository)` reads it back.

    The sheet of worst mistakes shows pictures of the validation data: mind who may see them before ``private=False``.

    Args:
        folder: of the run.
        repository: see `open_repository`; it is made where it is not there.
        private: see `open_repository`.

    Returns:
        The address of the repository.

    Raises:
        ConfigError: the folder holds no model, or `repository` is no name of one.
        TrainingError: it cannot be sent; the run is kept as it is.
    """
    folder = Path(folder).expanduser()
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder} holds no trained model (config.json), so there is nothing to send")
    open_repository(repository, private=private)
    client = hub_client()
    with _explaining(repository):
        commit = client.HfApi(endpoint=hub_endpoint()).upload_folder(
            repo_id=repository, folder_path=folder, allow_patterns=list(FILES), commit_message="Add a model by nexus"
        )
    return str(commit.repo_url)


@contextmanager
def _explaining(repository: str) -> Iterator[None]:
    """Say in one line what the client's exceptions mean, and what to do."""
    client = hub_client()
    if offline():
        raise TrainingError(
            f"nothing can be sent to {repository}: NEXUS_OFFLINE or HF_HUB_OFFLINE switches the network off. Unset it"
        )
    if client.get_token() is None:
        raise TrainingError(
            f"nothing can be sent to {repository} without a token: set HF_TOKEN, or run `hf auth login`"
        )
    try:
        yield
    except client.errors.HFValidationError as error:
        raise ConfigError(
            f"push_to_hub = {repository!r}: no name of a repository, which is owner/name ({error})"
        ) from error
    except Exception as error:  # the client, and the libraries below it, raise anything
        status = getattr(getattr(error, "response", None), "status_code", 0)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        remedy = REMEDIES.get(status, "the run is whole: send it again later")
        raise TrainingError(f"nothing was sent to {repository} ({reason}); {remedy}") from error


REMEDIES = {
    401: "the token is not valid (any more): run `hf auth login`, or set HF_TOKEN",
    403: "the token may not write there: make one with the role write, or name a repository of your own",
}
"""Status of the answer -> what to do."""
