"""Strict imitations of real OpenAI-compatible endpoints, to prove the client against.

    with serve("vllm-qwq-parser", context=4096) as served:
        ask(served.url + "/v1", served.model)
        assert served.ledger.refusals == {}

`kinds.KINDS` is the table of endpoints, `server.serve` starts one, its `ledger` notes what came.

How sure each rule is: what carries no mark is measured, read in source or quoted from a thread (the
project's reference on real models); `[R]` marks what is recalled, a wording or a limit that may
differ at the real endpoint. No rate of a model's deviation is measured anywhere: all are assumed.
"""
