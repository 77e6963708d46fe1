"""One finished conversation as each format writes it: as requests, and as a record."""

from helpers.rollouts import curate, make_rollout
from searchtrain.agent.formats import open_format
from searchtrain.models.request import make_body
from searchtrain.models.role import Role
from searchtrain.training import sharegpt

SYSTEM = "Answer by searching."
CURATED = curate(
    make_rollout(
        queries=(("capital of Norway", "Oslo"), ("founding of Oslo, in 1,040",)),
        passage='Oslo is the capital of Norway,\nfounded in 1,040; "Kristiania" until 1925.',
    )
)
"""One rollout of two searches."""

RESPACED = r"trained on is .*<think>I look .*, served is .*<think>\\nI look it up\.\\n</think>"
LOSS = (
    r"turn 1: '<(information|think)>.* has loss and is not the student's; set train\.tokens: served"
)
OPENED = r"turn 1 does not stand behind its own prompt: .*<think>\\n' has become"
LEFT_OUT = "the chat template leaves out a part of turn 1"
DATED = r"trained on is .*, served is .*(Cutting K|Environment: ipython)"
QWEN25, QWEN3, QWQ = "Qwen2.5-7B-Instruct", "Qwen3", "QwQ-32B"
R1, LLAMA = "DeepSeek-R1-Distill-Qwen-32B", "Llama-3.1-8B-Instruct"
CASES = [
    (QWEN25, "tags", "none", None, None),
    (QWEN25, "search_r1", "none", LOSS, None),
    (QWEN25, "tool_calls", "none", None, None),
    (QWEN3, "tags", "none", RESPACED, None),
    (QWEN3, "search_r1", "none", LEFT_OUT, LEFT_OUT),
    (QWEN3, "tool_calls", "none", r"turn 3: trained on is .*, served is .*<think>\\n\\n", None),
    (QWQ, "tags", "none", OPENED, OPENED),
    (QWQ, "search_r1", "none", OPENED, OPENED),
    (QWQ, "search_r1", "native", r"trained on is .*You are Qwen", None),
    (QWQ, "tool_calls", "none", OPENED, OPENED),
    (R1, "tags", "none", OPENED, OPENED),
    (R1, "search_r1", "none", OPENED, OPENED),
    (R1, "search_r1", "native", LOSS, None),
    (R1, "tool_calls", "none", OPENED, OPENED),
    (LLAMA, "tags", "none", DATED, None),
    (LLAMA, "search_r1", "none", DATED, r"turn 2: its prompt ends .* the tokenizer joins the two"),
    (LLAMA, "tool_calls", "none", LEFT_OUT, LEFT_OUT),
]
"""Family, the student's format and reasoning; what the check of training says with train.tokens
template and served, where it refuses."""


def make_student(reasoning="none", **values):
    """The student as vLLM serves it."""
    return Role(name="student", model="student", dialect="vllm", reasoning=reasoning, **values)


def make_record(form, student):
    """The conversation's record for a student."""
    (record,) = sharegpt.make_records(CURATED, SYSTEM, open_format(form, student), student)
    return record


def list_requests(form, student):
    """What the student is asked before each of its turns: fields of chat completions."""
    messages = CURATED["messages"][0].to_list()
    messages[0] = {**messages[0], "content": SYSTEM}
    written = open_format(form, student)
    bodies = []
    for place in range(2, len(messages), 2):
        sent, begun = written.make_request(messages[:place])
        body = make_body(student, sent, 0, prefill=begun, tools=written.tools)
        bodies.append(body | body.pop("extra_body", {}))
    return bodies
