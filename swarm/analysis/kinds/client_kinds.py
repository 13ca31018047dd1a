"""Names of the HTTP libraries' classes: clients, what their calls give, and the verbs that they are asked with."""

from __future__ import annotations

HTTP_VERBS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request", "send"})
# what a client's calls give
RESPONSES = {
    "httpx.AsyncClient": "httpx.Response", "httpx.Client": "httpx.Response", "requests.Session": "requests.Response",
    "aiohttp.ClientSession": "aiohttp.ClientResponse",
}  # fmt: skip
HTTP_CLIENTS = frozenset(RESPONSES)
POOL_MANAGERS = frozenset({
    "urllib3.PoolManager", "urllib3.ProxyManager", "urllib3.HTTPConnectionPool", "urllib3.HTTPSConnectionPool",
})  # fmt: skip
