"""A generator of Hugging Face on a model, and requests for it."""

from contextlib import nullcontext

from helpers.scribe import encode
from searchtrain.rl.generation import Request, Sampling, TransformersGenerator

GREEDY = Sampling(0.0, 1.0, 24)


def open_generator(model, tokenizer, sampling, ends=()):
    return TransformersGenerator(lambda: nullcontext(model), tokenizer, sampling, 1024, ends)


def make_requests(tokenizer, count=5):
    texts = ["Which country is Oslo in? " * (number + 1) for number in range(count)]
    return [Request(encode(tokenizer, text), seed) for seed, text in enumerate(texts)]
