"""Who a model server says it is: the cards of GET /v1/models.

vLLM's cards have `root`, the folder or hub name that it loaded; others have the name alone.
Invariant: a server that says it is another model is refused before it is asked anything.
"""

import logging
from pathlib import Path
from typing import Any

from searchtrain.core.errors import InputError, ServiceError
from searchtrain.models.role import Role
from searchtrain.models.transport import make_options

logger = logging.getLogger(__name__)

TIMEOUT_S = 20.0
SAY_CONTEXT = ("vllm", "sglang")
"""Dialects of servers whose cards tell the model's context."""


def is_same_model(name: str, other: str) -> bool:
    """Whether two names mean one model: their last parts are equal but for letter case, so that a
    hub name and a local folder compare."""
    return Path(name).name.casefold() == Path(other).name.casefold()


def read_cards(url: str, key: str) -> dict[str, dict[str, Any]] | None:
    """The cards of an OpenAI-compatible server by model name; None when it does not say.

    `url`: the server's base URL, with /v1 or without.
    """
    import openai  # slow to import, and the workflow itself reads no cards

    base = url if url.endswith("/v1") else f"{url}/v1"
    transport = openai.DefaultHttpxClient(**make_options(base))
    try:
        with openai.OpenAI(
            base_url=base, api_key=key, timeout=TIMEOUT_S, max_retries=1, http_client=transport
        ) as client:
            return {card.id: card.model_dump() for card in client.models.list().data}
    except (openai.APIError, ValueError, TypeError, AttributeError) as error:
        logger.warning("%s: does not say which models it serves (%s)", url, error)
        return None


def check_name(url: str, key: str, model: str, only: str) -> None:
    """Check that the server's `model` is `only`, by its root or, without one, by its name.

    A server that does not answer /v1/models passes with a warning in the log. Raises ServiceError
    naming what it serves.
    """
    cards = read_cards(url, key)
    if cards is None:
        return
    root = _find_root(cards, url, model) or model
    if not is_same_model(root, only):
        raise ServiceError(
            f"{url}: {model!r} is {root!r} there, and only {only!r} (task.teacher) may write"
            " training data; serve that model, or correct task.teacher"
        )


def check_context(url: str, role: Role) -> None:
    """Check that the answers that a role may ask for fit into its model's context.

    vLLM and SGLang say how long that is (`max_model_len`); others pass. Raises InputError.
    """
    longest = role.sampling.get("max_tokens")
    if role.dialect not in SAY_CONTEXT or longest is None:
        return
    card = (read_cards(url, role.read_key()) or {}).get(role.model, {})
    context = card.get("max_model_len")
    if isinstance(context, int) and longest >= context:
        raise InputError(
            f"{url}: max_tokens {longest} of models.{role.name} leaves no room for a prompt in"
            f" {role.model}'s context of {context} tokens; lower the sampling's max_tokens, or"
            " raise the server's max-model-len"
        )


def check_folder(url: str, key: str, model: str, folder: Path) -> None:
    """Check that the server's `model` was loaded from `folder`.

    Raises ServiceError when it was not, or when the server cannot say.
    """
    root = _find_root(read_cards(url, key) or {}, url, model)
    if root is None or Path(root).resolve() != folder.resolve():
        raise ServiceError(
            f"{url}: {model!r} is {root!r} there and not the checkpoint {folder}; let the workflow"
            " serve it (models.student.endpoint: null), or serve this folder with vLLM"
        )


def _find_root(cards: dict[str, dict[str, Any]], url: str, model: str) -> str | None:
    if model not in cards:
        known = ", ".join(map(repr, cards)) or "nothing"
        raise ServiceError(f"{url}: serves {known}, not {model!r}; check the URL and the model")
    return cards[model].get("root")
