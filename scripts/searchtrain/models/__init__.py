"""Asking a model: client, request cache, prompts, the pool of requests, progress."""
