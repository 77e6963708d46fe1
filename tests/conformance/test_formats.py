"""Each format at the kinds of endpoints that take it: rollouts and forced answers."""

import pytest

from conformance.server import serve
from conformance.stages import Desk, measure_usable, roll_out
from conformance.test_stages import SETTINGS
from searchtrain.core.errors import InputError

CALLS = ["openai", "openai-reasoning", "deepseek", "dashscope", "vllm-qwen25", "vllm-qwq-parser",
         "qwen3-thinking", "sglang"]  # fmt: skip
GROWING = ["vllm-qwen25", "vllm-qwq", "vllm-qwq-parser", "vllm-r1", "sglang"]
TAKEN = [*(("tool_calls", kind) for kind in CALLS), *(("search_r1", kind) for kind in GROWING)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.mark.parametrize(("form", "kind"), TAKEN)
def test_a_format_is_written_and_read_wherever_it_is_taken(form, kind, desk):
    settings = {**SETTINGS[kind], "format": form}
    with serve(kind) as served:
        rows, _, _ = roll_out(desk, served, settings, count=10)
        endless = served.ledger.deviations["endless"]
        assert measure_usable(rows) >= 0.95 - endless / rows.height, served.ledger.summarise()
        assert served.ledger.deviations["lost"] == 0, served.ledger.summarise()
        rows, _, _ = roll_out(desk, served, settings, closed=True, count=5)
        assert (rows["answer"] == "").sum() == 0, rows["stop_reason"].to_list()


@pytest.mark.parametrize("kind", ["openai", "tgi", "deepseek"])
def test_one_growing_message_is_refused_where_none_can_grow(kind, desk):
    with serve(kind) as served:
        with pytest.raises(InputError, match="format: search_r1"):
            roll_out(desk, served, {**SETTINGS[kind], "format": "search_r1"}, count=1)
        assert served.ledger.requests == 0
