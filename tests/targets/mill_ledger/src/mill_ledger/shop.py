"""The shop: one session with retries for what may be repeated, and a timeout on everything."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

TIMEOUT_S = (1.0, 3.0)
RETRIES = Retry(
    total=3,
    backoff_factor=0.2,
    backoff_jitter=0.1,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=frozenset({"GET", "PUT"}),
    respect_retry_after_header=True,
    raise_on_status=False,
)


class ShopUnavailable(Exception):
    """The shop was not told; the bank shall deliver again."""


class TimedAdapter(HTTPAdapter):
    """Gives every request a timeout, whoever sends it."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send with our timeout where the caller names none."""
        kwargs["timeout"] = kwargs.get("timeout") or TIMEOUT_S
        return super().send(request, **kwargs)


class ShopClient:
    """Lives as long as the application."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = requests.Session()
        adapter = TimedAdapter(max_retries=RETRIES, pool_maxsize=20)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def tell_paid(self, order: str, paid_cents: int) -> None:
        """Set what was paid for an order: saying so twice is the same as once. Raises ShopUnavailable."""
        url = f"{self._base_url}/orders/{quote(order, safe='')}/payment"
        try:
            answer = self._session.put(url, json={"paid_cents": paid_cents})
            answer.raise_for_status()
        except requests.RequestException as error:
            raise ShopUnavailable(type(error).__name__) from error

    def close(self) -> None:
        """Close its connections."""
        self._session.close()
