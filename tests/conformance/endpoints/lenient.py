"""A host that takes everything and holds the model to nothing: the model's habits come through."""

from conformance.brain import Speech
from conformance.decoding import Decoded, decode_text
from conformance.endpoints.base import Asked, Endpoint
from conformance.messages import find_shape_fault
from conformance.refusals import Refused, refuse_openai


class Lenient(Endpoint):
    """`kind.stops`: whether it looks for stop strings at all; it never keeps one."""

    health = ("/health",)

    def check(self, asked: Asked) -> None:
        if find_shape_fault(asked.body.get("messages"), None) or not asked.messages:
            raise refuse_openai("messages", "messages are not valid", param="messages")

    def measure_room(self, asked: Asked, prompt: int) -> int | None:
        context = self.kind.context
        if prompt >= context:
            said = (
                f"This model's maximum context length is {context} tokens. However, your messages"
                f" resulted in {prompt} tokens. Please reduce the length of the messages."
            )
            code = "context_length_exceeded"
            raise refuse_openai("too_long", said, param="messages", code=code)
        limit = self.read_limit(asked)
        return min(limit if limit is not None else context, context - prompt)

    def has_grammar(self, asked: Asked) -> bool:
        return False

    def decode(self, asked: Asked, speech: Speech, limit: int | None, prompt: str) -> Decoded:
        stop = asked.stop if self.kind.stops else []
        return decode_text(speech, opened=False, stop=stop, limit=limit, keep=False)

    def refuse_key(self) -> Refused:
        return refuse_openai("key", "Invalid key.", code="invalid_api_key", status=401)
