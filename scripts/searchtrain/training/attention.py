"""Attention over packed records by their lengths, for LLaMA-Factory's neat packing.

LLaMA-Factory keeps packed records apart with flash-attn 2 or with a dense mask of tokens x tokens.
This does it with PyTorch's own variable-length kernel (FlashAttention-2's, in the wheel of
PyTorch), so it needs no other package and no mask. Invariant: no token sees another record's, and
a record's loss is what it is alone, but for rounding.

    python -m searchtrain.training.attention sft.yaml    # in place of searchtrain.training.worker
"""

import inspect
from itertools import pairwise
from typing import Any

import torch
from llamafactory.extras.constants import IGNORE_INDEX
from llamafactory.model import patcher
from llamafactory.train.sft import workflow
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.modeling_flash_attention_utils import prepare_fa_kwargs_from_position_ids

from searchtrain.training import worker

NAME = "searchtrain_varlen"
LOGITS = "logits_to_keep"
CAUSAL = (-1, 0)
# PyTorch 2.11 takes fewer key heads than query heads as they come, later ones want to be told.
GROUPED: dict[str, Any] = dict.fromkeys(
    {"enable_gqa"} & inspect.signature(varlen_attn).parameters.keys(), True
)


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of a packed row; a transformers attention function.

    `query` [1, heads, tokens, size]; `key` and `value` [1, key heads, tokens, size], where key
    heads divide heads. `cu_seq_lens_q` [records + 1]: where each record begins and the last ends;
    `max_length_q`: the longest one's tokens. Returns [1, tokens, heads, size].
    """
    assert cu_seq_lens_q is not None and max_length_q is not None, "the collator gives the lengths"
    if not query.is_cuda:
        return _attend_one_by_one(query, key, value, cu_seq_lens_q, scaling), None
    queries, keys, values = (states[0].transpose(0, 1) for states in (query, key, value))
    output = varlen_attn(
        queries, keys, values, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q,
        scale=scaling, window_size=CAUSAL, **GROUPED,
    )  # fmt: skip
    assert isinstance(output, torch.Tensor), "it is a pair where more is asked for"
    return output.unsqueeze(0), None


def _attend_one_by_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bounds: torch.Tensor,
    scaling: float | None,
) -> torch.Tensor:
    """The same where PyTorch has no such kernel (a CPU)."""
    outputs = [
        scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, start:end], value[:, :, start:end],
            is_causal=True, scale=scaling, enable_gqa=True,
        )
        for start, end in pairwise(bounds.tolist())
    ]  # fmt: skip
    return torch.cat(outputs, dim=2).transpose(1, 2)


def choose_logits(labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Which logits of a row are needed: arguments of a transformers causal language model.

    `labels` [1, tokens], one for each token itself. Returns the positions whose next token has
    loss, and those next tokens [1, positions].
    """
    following = pad(labels, (0, 1), value=IGNORE_INDEX)[:, 1:]
    kept = following[0].ne(IGNORE_INDEX).nonzero()[:, 0]
    return {LOGITS: kept, "shift_labels": following[:, kept]}


class Collator(workflow.SFTDataCollatorWith4DAttentionMask):  # type: ignore[misc]
    """LLaMA-Factory's collator on its path for flash-attn 2 (no padding, no mask), plus lengths.

    It asks for logits only where there is loss, if the model can leave others out: most tokens are
    prompts and observations.
    """

    def __post_init__(self) -> None:
        self.attn_implementation = "flash_attention_2"
        super().__post_init__()
        self.chooses_logits = (
            self.model is not None
            and LOGITS in inspect.signature(type(self.model).forward).parameters
        )

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, Any]:
        """One packed row without its padding, where its records begin, and where it has loss."""
        batch: dict[str, Any] = super().__call__(features)
        if self.chooses_logits:
            batch |= choose_logits(batch["labels"])
        (bounds, _), (longest, _) = prepare_fa_kwargs_from_position_ids(batch["position_ids"])
        batch |= {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds}
        longest = int(longest)
        return batch | {"max_length_q": longest, "max_length_k": longest}


def install() -> None:
    """Make LLaMA-Factory train with this attention from now on, in this process."""
    AttentionInterface.register(NAME, attend)
    patcher.configure_attn_implementation = _choose
    workflow.SFTDataCollatorWith4DAttentionMask = Collator


def _choose(config: Any, model_args: Any) -> None:
    config._attn_implementation = NAME


if __name__ == "__main__":
    install()
    worker.main()
