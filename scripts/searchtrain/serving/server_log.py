"""What a server's log says about its end."""

import re
from pathlib import Path

GIST_CHARS = 300
LOG_TAIL_BYTES = 1 << 18
FAULT = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b: \S.*")


def read_gist(log: Path, start: int) -> str:
    """What a server said since byte `start` of its log: its first and last exception, or last line.

    The first is the cause when one process of several fails (vLLM); warnings quote exceptions too.
    """
    with log.open("rb") as stream:
        stream.seek(max(start, log.stat().st_size - LOG_TAIL_BYTES))
        text = stream.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [FAULT.search(line) for line in lines if " WARNING " not in line]
    faults = [match[0] for match in found if match]
    chosen = dict.fromkeys((faults[0], faults[-1]) if faults else lines[-1:])
    return " ... ".join(line[:GIST_CHARS] for line in chosen) or "it logged nothing"
