"""A real vLLM under the true chat templates: the prompts that it reads, the sampling that it does.

One server per template and, of one, a second that leaves sampling to the model's own file.
"""

import pytest

from helpers.families import FAMILIES, FOLDER
from searchtrain.models.role import Role

pytestmark = [
    pytest.mark.build,
    pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no chat templates in {FOLDER}"),
]
ROLE = Role(name="student", model="student", dialect="vllm", sampling={"max_tokens": 1})
PENALISED = "Qwen2.5-7B-Instruct"


@pytest.fixture(scope="module", params=FAMILIES)
def server(request, tmp_path_factory):
    """A family's name, its folder, and the URL and log of a server of it."""
    with start(request.param, tmp_path_factory.mktemp("served"), "vllm") as (folder, url, log):
        yield request.param, folder, url, log
