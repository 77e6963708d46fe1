"""Turns from the vLLM engine that TRL keeps beside the trainer, on the same GPU.

TRL loads the trained weights into the engine before every rollout. Invariant: a turn stops, and its
text ends, where that of a served student does.
"""

from collections.abc import Sequence
from typing import Any

from searchtrain.core.errors import InputError
from searchtrain.rl.generation import Generated, Generator, Request, Sampling


class ColocatedGenerator(Generator):
    """A `Generator` over `trl.GRPOTrainer`'s `vllm_generation` in mode `colocate`."""

    def __init__(self, engine: Any, sampling: Sampling) -> None:
        """`engine`: the `vllm.LLM`."""
        self.sampling = sampling
        self.context = engine.llm_engine.model_config.max_model_len
        self._engine = engine

    def generate(self, requests: Sequence[Request]) -> list[Generated]:
        """See `Generator.generate`; logprobs are those that the engine drew with."""
        from vllm import SamplingParams

        sampling = self.sampling
        outputs = self._engine.generate(
            [{"prompt_token_ids": list(request.ids)} for request in requests],
            [
                SamplingParams(
                    temperature=sampling.temperature,
                    top_p=sampling.top_p,
                    max_tokens=sampling.max_new_tokens,
                    seed=request.seed % 2**63,
                    stop=list(request.stop),
                    include_stop_str_in_output=True,
                    logprobs=0,
                )
                for request in requests
            ],
            use_tqdm=False,
        )
        return [_read_output(output.outputs[0]) for output in outputs]


def open_colocated(trainer: Any, sampling: Sampling) -> ColocatedGenerator:
    """The generator of a `GRPOTrainer`; raises InputError for a set-up it cannot drive.

    Each process asks its own engine in its own rhythm, so no engine may span processes, and one
    that sleeps would be asked while it does.
    """
    generation = trainer.vllm_generation
    wrong = {
        "mode": generation.mode != "colocate",
        "tensor_parallel_size": generation.tensor_parallel_size != 1,
        "enable_sleep_mode": generation.enable_sleep_mode,
    }
    for name, refused in wrong.items():
        if refused:
            raise InputError(
                f"grpo.vllm.{name}: {getattr(generation, name)!r} is not supported; take it out"
            )
    return ColocatedGenerator(generation.llm, sampling)


def _read_output(output: Any) -> Generated:
    ids = list(output.token_ids)
    logprobs = [step[token].logprob for token, step in zip(ids, output.logprobs, strict=True)]
    return Generated(ids, logprobs, output.text, output.finish_reason or "")
