"""The rule loop-of-awaits: the same answers in the same order, no more at once than are allowed, errors as before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.rules.mending import find, loaded, mend, write

APP = """import httpx
from fastapi import FastAPI

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


async def price(sku: str) -> dict:
    answer = await client.get(f"https://prices.example/{sku}")
    answer.raise_for_status()
    return answer.json()


@app.post("/cart")
async def cart(skus: list[str]):
    prices = []
    for sku in skus:
        prices.append(await price(sku))
    return prices
"""


class Prices:
    """Answers late, the first one latest; notes how many are asked at the same time."""

    def __init__(self) -> None:
        self.under_way = self.most = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        sku = request.url.path.strip("/")
        await asyncio.sleep(0.03 if sku == "a" else 0.01)
        self.under_way -= 1
        return httpx.Response(404 if sku == "none" else 200, json={"sku": sku})


async def _asked(root: Path, skus: list[str]) -> tuple[Any, int]:
    prices = Prices()
    with loaded(root, "app") as app:
        app.client = httpx.AsyncClient(transport=httpx.MockTransport(prices))
        return await app.cart(skus), prices.most


@pytest.mark.parametrize(("allowed", "most"), [("", 8), ("3", 3), ("1", 1), ("0", 1)])
async def test_answers_keep_their_order_and_few_are_asked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: str, most: int
) -> None:
    if allowed:
        monkeypatch.setenv("CALLS_AT_ONCE", allowed)
    write(tmp_path, {"app.py": APP})
    skus = list("abcdefghijkl")
    before, one = await _asked(tmp_path, skus)
    mend(tmp_path, "loop-of-awaits")
    after, together = await _asked(tmp_path, skus)
    assert before == after == [{"sku": sku} for sku in skus]
    assert (one, together) == (1, most)
    assert await _asked(tmp_path, []) == ([], 0)
    with pytest.raises(httpx.HTTPStatusError):
        await _asked(tmp_path, ["a", "none", "b"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("client.get(", "client.post("),
        ("prices.append(await price(sku))", "prices.append(await price(skus[0]))"),
        ("    return prices\n", "    return prices, sku\n"),
        ("    prices = []\n", "    prices = []\n    print(skus)\n"),
        (
            "        prices.append(await price(sku))\n",
            "        prices.append(await price(sku))\n        print(sku)\n",
        ),
    ],
)
def test_what_may_not_be_asked_together_is_not_patched(tmp_path: Path, old: str, new: str) -> None:
    assert old in APP
    write(tmp_path, {"app.py": APP.replace(old, new)})
    assert not any(finding.mendable for finding in find(tmp_path, "loop-of-awaits"))
