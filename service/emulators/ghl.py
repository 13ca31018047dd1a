"""Local stand-in for the GoHighLevel API v2: python -m service.emulators.ghl --port 8701."""

import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.emulators.conditions import Conditions, from_options, parser
from service.emulators.ghl_access import RateLimit, Refused, Tokens
from service.emulators.ghl_store import Store

Endpoint = Callable[[Request], Awaitable[JSONResponse]]

OPEN_PATHS = {"/health", "/oauth/token"}
CONTACT_FIELDS = {
    "firstName",
    "lastName",
    "name",
    "email",
    "phone",
    "address1",
    "city",
    "state",
    "postalCode",
    "website",
    "timezone",
    "dnd",
    "dndSettings",
    "inboundDndSettings",
    "tags",
    "customFields",
    "source",
    "dateOfBirth",
    "country",
    "assignedTo",
    "companyName",
    "gender",
}


def refusal(status: int, message: Any, error: str | None = None) -> JSONResponse:
    body = {"statusCode": status, "message": message}
    if error:
        body["error"] = error
    return JSONResponse(body, status_code=status)


def unknown_properties(body: dict[str, Any], allowed: set[str]) -> JSONResponse | None:
    names = sorted(set(body) - allowed)
    if not names:
        return None
    messages = [f"property {name} should not exist" for name in names]
    return refusal(422, messages, "Unprocessable Entity")


def expected_version(path: str) -> str:
    old = path.startswith(("/calendars", "/conversations"))
    return "2021-04-15" if old else "2021-07-28"


class Gate:
    """Tokens, versions and rate limits in front of all that is not open."""

    def __init__(self, app: ASGIApp, conditions: Conditions, tokens: Tokens, limit: RateLimit) -> None:
        self.app = app
        self.conditions = conditions
        self.tokens = tokens
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            location = self.tokens.location_of(request.headers.get("authorization", ""))
        except Refused as refused:
            await refusal(refused.status, refused.message)(scope, receive, send)
            return
        if request.headers.get("version") != expected_version(scope["path"]):
            await refusal(401, "version header is invalid")(scope, receive, send)
            return
        allowed, headers = self.limit.take(location)

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        if not allowed:
            await refusal(429, "Too Many Requests")(scope, receive, send_with_limits)
            return
        failing = self.conditions.fails()
        await self.conditions.wait(scope)
        if failing:  # a failed call has not been carried out
            await refusal(500, "Internal Server Error")(scope, receive, send_with_limits)
            return
        await self.app(scope, receive, send_with_limits)


async def json_body(request: Request) -> dict[str, Any]:
    body = json.loads(await request.body() or b"{}")
    return body if isinstance(body, dict) else {}


def create_app(
    conditions: Conditions,
    tokens: Tokens | None = None,
    limit: RateLimit | None = None,
) -> Starlette:
    store = Store()
    known_tokens = tokens or Tokens()
    gate = Middleware(Gate, conditions=conditions, tokens=known_tokens, limit=limit or RateLimit())
    app = Starlette(middleware=[gate])
    app.state.store = store

    def route(method: str, path: str) -> Callable[[Endpoint], Endpoint]:
        def added(endpoint: Endpoint) -> Endpoint:
            app.add_route(path, endpoint, methods=[method])
            return endpoint

        return added

    @route("GET", "/health")
    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @route("POST", "/oauth/token")
    async def oauth_token(request: Request) -> JSONResponse:
        form = {k: v[0] for k, v in parse_qs((await request.body()).decode()).items()}
        await conditions.wait(request.scope)
        try:
            return JSONResponse(known_tokens.grant(form))
        except Refused as refused:
            return refusal(refused.status, refused.message)

    @route("POST", "/contacts/")
    async def create_contact(request: Request) -> JSONResponse:
        body = await json_body(request)
        if not body.get("locationId"):
            return refusal(422, ["locationId should not be empty"], "Unprocessable Entity")
        wrong = unknown_properties(body, CONTACT_FIELDS | {"locationId"})
        return wrong or JSONResponse({"contact": store.add_contact(body)}, status_code=201)

    @route("POST", "/contacts/upsert")
    async def upsert_contact(request: Request) -> JSONResponse:
        body = await json_body(request)
        wrong = unknown_properties(body, CONTACT_FIELDS | {"locationId", "createNewIfDuplicateAllowed"})
        if wrong:
            return wrong
        new, contact = store.upsert_contact(body)
        return JSONResponse({"new": new, "contact": contact, "traceId": str(uuid.uuid4())})

    @route("POST", "/contacts/search")
    async def search_contacts(request: Request) -> JSONResponse:
        body = await json_body(request)
        found = store.search_contacts(body.get("locationId"), str(body.get("query") or ""))
        size = int(body.get("pageLimit") or 20)
        start = (int(body.get("page") or 1) - 1) * size
        return JSONResponse({"contacts": found[start : start + size], "total": len(found)})

    @route("POST", "/contacts/bulk/tags/update/{kind}")
    async def bulk_tags(request: Request) -> JSONResponse:
        kind = request.path_params["kind"]
        body = await json_body(request)
        if kind not in {"add", "remove"}:
            return refusal(422, ["type must be add or remove"], "Unprocessable Entity")
        ids = body.get("contacts") or []
        for contact_id in ids:
            store.change_tags(contact_id, body.get("tags") or [], kind == "add")
        return JSONResponse({"succeded": True, "errorCount": 0, "responses": ids}, status_code=201)

    @route("GET", "/contacts/{contact_id}")
    async def get_contact(request: Request) -> JSONResponse:
        contact_id = request.path_params["contact_id"]
        return JSONResponse({"contact": store.contact(contact_id)})

    @route("PUT", "/contacts/{contact_id}")
    async def update_contact(request: Request) -> JSONResponse:
        contact_id = request.path_params["contact_id"]
        body = await json_body(request)
        wrong = unknown_properties(body, CONTACT_FIELDS)
        if wrong:
            return wrong
        return JSONResponse({"succeded": True, "contact": store.update_contact(contact_id, body)})

    @route("DELETE", "/contacts/{contact_id}")
    async def delete_contact(request: Request) -> JSONResponse:
        contact_id = request.path_params["contact_id"]
        store.contacts.pop(contact_id, None)
        return JSONResponse({"succeded": True})

    @route("POST", "/contacts/{contact_id}/tags")
    async def add_tags(request: Request) -> JSONResponse:
        contact_id = request.path_params["contact_id"]
        wanted = (await json_body(request)).get("tags") or []
        tags, added = store.change_tags(contact_id, wanted, True)
        return JSONResponse({"tags": tags, "tagsAdded": added}, status_code=201)

    @route("DELETE", "/contacts/{contact_id}/tags")
    async def remove_tags(request: Request) -> JSONResponse:
        contact_id = request.path_params["contact_id"]
        unwanted = (await json_body(request)).get("tags") or []
        tags, removed = store.change_tags(contact_id, unwanted, False)
        return JSONResponse({"tags": tags, "tagsRemoved": removed})

    @route("GET", "/opportunities/pipelines")
    async def pipelines(request: Request) -> JSONResponse:
        return JSONResponse({"pipelines": store.pipelines})

    @route("POST", "/opportunities/upsert")
    async def upsert_opportunity(request: Request) -> JSONResponse:
        new, opportunity = store.upsert("opportunities", await json_body(request))
        return JSONResponse({"new": new, "opportunity": opportunity})

    @route("POST", "/opportunities/")
    async def create_opportunity(request: Request) -> JSONResponse:
        _, opportunity = store.upsert("opportunities", await json_body(request))
        return JSONResponse({"opportunity": opportunity}, status_code=201)

    @route("GET", "/opportunities/{opportunity_id}")
    async def get_opportunity(request: Request) -> JSONResponse:
        opportunity_id = request.path_params["opportunity_id"]
        found = store.opportunities.get(opportunity_id)
        return JSONResponse({"opportunity": found}) if found else refusal(404, "Not found")

    @route("PUT", "/opportunities/{opportunity_id}")
    async def update_opportunity(request: Request) -> JSONResponse:
        opportunity_id = request.path_params["opportunity_id"]
        body = {**await json_body(request), "id": opportunity_id}
        return JSONResponse({"opportunity": store.upsert("opportunities", body)[1]})

    @route("POST", "/calendars/events/appointments")
    async def create_appointment(request: Request) -> JSONResponse:
        _, appointment = store.upsert("appointments", await json_body(request))
        return JSONResponse(appointment, status_code=201)

    @route("GET", "/calendars/events/appointments/{event_id}")
    async def get_appointment(request: Request) -> JSONResponse:
        event_id = request.path_params["event_id"]
        found = store.appointments.get(event_id)
        return JSONResponse({"appointment": found}) if found else refusal(404, "Not found")

    @route("PUT", "/calendars/events/appointments/{event_id}")
    async def update_appointment(request: Request) -> JSONResponse:
        event_id = request.path_params["event_id"]
        body = {**await json_body(request), "id": event_id}
        return JSONResponse(store.upsert("appointments", body)[1])

    @route("POST", "/conversations/messages")
    @route("POST", "/conversations/messages/inbound")
    async def send_message(request: Request) -> JSONResponse:
        body = await json_body(request)
        if not body.get("type") or not (body.get("contactId") or body.get("conversationId")):
            return refusal(422, ["type and contactId are required"], "Unprocessable Entity")
        message = store.add_message(body)
        return JSONResponse(
            {"conversationId": message["conversationId"], "messageId": message["id"]},
            status_code=201,
        )

    @route("GET", "/locations/{location_id}/customFields")
    async def custom_fields(request: Request) -> JSONResponse:
        location_id = request.path_params["location_id"]
        return JSONResponse({"customFields": store.custom_fields(location_id)})

    return app


def main() -> None:
    options_parser = parser("GoHighLevel API emulator", latency_ms=76, jitter_ms=8, handshake_ms=125)
    options_parser.add_argument("--api-key", action="append", default=[], help="accept these keys only")
    options_parser.add_argument("--rate-limit", type=int, default=100, help="requests per 10 s and location")
    options_parser.add_argument("--token-ttl-s", type=int, default=86399)
    options = options_parser.parse_args()
    app = create_app(
        from_options(options, "ghl"),
        Tokens(options.api_key, options.token_ttl_s),
        RateLimit(options.rate_limit),
    )
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
