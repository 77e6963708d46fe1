"""A strict imitation of vLLM behind vLLM's own command line."""

import argparse

import uvicorn

from conformance.kinds import KINDS
from conformance.ledger import Ledger
from conformance.server import make_app

THINKS = "qwq"
"""In the names of models that open their thought in the template."""


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    for name in ("model", "served-model-name", "host", "reasoning-parser", "generation-config"):
        parser.add_argument(f"--{name}", default="")
    for name in ("port", "max-model-len", "tensor-parallel-size"):
        parser.add_argument(f"--{name}", type=int)
    args, others = parser.parse_known_args()
    model = args.served_model_name or args.model
    name = "vllm-qwen25"
    if THINKS in model.lower():
        name = "vllm-qwq-parser" if args.reasoning_parser else "vllm-qwq"
    print(f"imitates {name} as {model}: {vars(args)}, {others}", flush=True)
    if args.generation_config != "vllm":
        raise SystemExit("it would sample as the model's generation_config.json says")
    kind = KINDS[name].change(models=(model,), context=args.max_model_len)
    uvicorn.run(
        make_app(kind, Ledger()), host=args.host, port=args.port, log_level="warning",
        access_log=False, lifespan="off",
    )  # fmt: skip


if __name__ == "__main__":
    main()
