"""The form of what a tagger answers.

Invariant: strict structured output allows all that the schema says.
"""

from typing import Any

MIN_KEY_POINTS = 2
MAX_KEY_POINTS = 4
MAX_LABEL_CHARS = 60

TAG_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "domain": {"type": "string"},
        "key_points": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": MIN_KEY_POINTS,
            "maxItems": MAX_KEY_POINTS,
        },
    },
    "required": ["domain", "key_points"],
    "additionalProperties": False,
}
"""What a tagger must answer (`response_format`)."""
