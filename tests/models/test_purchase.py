"""Paying for answers: once for everybody, kept before it is seen, and not at all after a stop."""

import asyncio
from collections import Counter

import pytest

from searchtrain.core.errors import InputError, Interrupted, ModelError, ServiceError
from searchtrain.models import purchase
from searchtrain.models.purchase import Counts, Purchaser, find_excess
from searchtrain.models.request_cache import RequestCache


class Shop:
    """What is asked: makes every request wait, then answers or fails as told."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.asked = 0
        self.busy = self.most = 0

    async def ask(self):
        self.asked += 1
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(0.001)
        self.busy -= 1
        outcome = self.outcomes.pop(0) if self.outcomes else {"text": "x"}
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def open_purchaser(cache=None, **options):
    settings = {"concurrency": 2, "attempts": 3, "backoff": 0.001, **options}
    return Purchaser(cache, Counter(), **settings)


def busy(**options):
    return ModelError("busy", "http_429", passing=True, **options)


def broken(**options):
    return ModelError("broken", "http_500", passing=True, **options)


def test_those_who_want_the_same_at_the_same_time_share_one_request(tmp_path):
    cache, shop = RequestCache(tmp_path, "tag"), Shop({"text": "x"})

    async def go():
        purchaser = open_purchaser(cache)
        answers = await asyncio.gather(*(purchaser.buy("k", shop.ask) for _ in range(5)))
        return purchaser, answers

    purchaser, answers = asyncio.run(go())
    assert shop.asked == 1 and answers == [{"text": "x"}] * 5
    assert purchaser.recall("k") == cache.get("k") == {"text": "x"}
    assert purchaser.usage == {"requests": 1, "cached": 1}


def test_so_many_requests_are_in_flight_and_no_more():
    shop = Shop()

    async def go():
        purchaser = open_purchaser(counts=Counts("searches", "hits", "again"))
        await asyncio.gather(*(purchaser.buy(str(n), shop.ask) for n in range(9)))
        return purchaser.usage

    assert asyncio.run(go()) == {"searches": 9}
    assert (shop.asked, shop.most) == (9, 2)


def test_a_passing_failure_is_tried_again_and_a_lasting_one_is_not(tmp_path):
    cache = RequestCache(tmp_path, "tag")
    shop = Shop(busy(), busy(), {"text": "x"}, ModelError("no", "http_400"))

    async def go():
        purchaser = open_purchaser(cache)
        await purchaser.buy("k", shop.ask)
        with pytest.raises(ModelError, match="no"):
            await purchaser.buy("other", shop.ask)
        return purchaser.usage

    assert asyncio.run(go()) == {"requests": 1, "retries": 2}
    assert shop.asked == 4 and cache.get("other") is None


def test_attempts_end_and_the_wait_is_what_the_server_asks_for():
    shop = Shop(broken(), broken(retry_after=0.2), broken())

    async def go():
        begun = asyncio.get_running_loop().time()
        with pytest.raises(ModelError, match=r"broken \(3 attempts\)"):
            await open_purchaser().buy("k", shop.ask)
        return asyncio.get_running_loop().time() - begun

    assert asyncio.run(go()) >= 0.2 and shop.asked == 3


def test_a_busy_server_is_waited_for_and_costs_no_attempt():
    shop = Shop(*[busy() for _ in range(9)], broken(), {"text": "x"})
    assert asyncio.run(open_purchaser(attempts=2).buy("k", shop.ask)) == {"text": "x"}
    assert shop.asked == 11


def test_patience_with_a_busy_server_ends(monkeypatch):
    monkeypatch.setattr(purchase, "PATIENCE_S", 0.0)
    with pytest.raises(ModelError, match=r"^busy$"):
        asyncio.run(open_purchaser().buy("k", Shop(busy(), busy()).ask))


def test_after_a_stop_nothing_is_begun_and_what_is_in_flight_is_kept(tmp_path):
    cache, shop = RequestCache(tmp_path, "tag"), Shop()

    async def go():
        purchaser = open_purchaser(cache)
        buying = [asyncio.create_task(purchaser.buy(str(n), shop.ask)) for n in range(4)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert shop.busy == 2
        purchaser.stop()
        return await asyncio.gather(*buying, return_exceptions=True)

    *done, third, fourth = asyncio.run(go())
    assert done == [{"text": "x"}] * 2 == [cache.get("0"), cache.get("1")]
    assert isinstance(third, Interrupted) and isinstance(fourth, Interrupted) and shop.asked == 2


def test_what_is_tried_again_ends_with_a_stop():
    async def go():
        purchaser = open_purchaser(attempts=100)
        shop = Shop(*[busy() for _ in range(100)])
        buying = asyncio.create_task(purchaser.buy("k", shop.ask))
        while shop.asked < 2:
            await asyncio.sleep(0)
        purchaser.stop()
        with pytest.raises(Interrupted):
            await buying
        assert shop.asked < 5

    asyncio.run(go())


def test_a_refusal_of_everyone_is_met_by_everyone_without_a_request():
    shop = Shop(ServiceError("wrong key"))

    async def go():
        purchaser = open_purchaser(concurrency=1)
        return await asyncio.gather(
            *(purchaser.buy(str(n), shop.ask) for n in range(9)), return_exceptions=True
        )

    assert [str(error) for error in asyncio.run(go())] == ["wrong key"] * 9 and shop.asked == 1


def test_an_answer_that_cannot_be_kept_is_not_seen(tmp_path):
    cache = RequestCache(tmp_path, "tag")
    cache._own.execute("pragma max_page_count=2")

    async def go():
        await open_purchaser(cache).buy("k", Shop({"text": "x" * 100_000}).ask)

    with pytest.raises(InputError, match=r"tag\.sqlite: database or disk is full"):
        asyncio.run(go())


def test_a_job_that_has_spent_its_dollars_buys_nothing_more_and_keeps_what_it_bought(tmp_path):
    cache, shop = RequestCache(tmp_path, "tag"), Shop()

    async def go():
        purchaser = open_purchaser(
            cache,
            find_excess=lambda: find_excess("models.judge", purchaser.usage["requests"] * 0.5, 2.0),
        )
        requests = (purchaser.buy(str(number), shop.ask) for number in range(50))
        return await asyncio.gather(*requests, return_exceptions=True)

    answers = asyncio.run(go())
    refused = {str(each) for each in answers if isinstance(each, ServiceError)}
    assert (
        len(refused) == 1 and "models.judge.max_dollars: 2: this job has spent $2" in refused.pop()
    )
    # Two are in flight at a time: the one beside the fourth is paid for as well.
    assert 4 <= shop.asked <= 5
    assert sum(cache.get(str(number)) is not None for number in range(50)) == shop.asked


def test_without_a_limit_nothing_ends():
    assert find_excess("web", 1e9, None) is None
    assert find_excess("web", 1.9, 2.0) is None
