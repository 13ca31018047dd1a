"""Examples of the rule uncaught-validation."""

from __future__ import annotations

from swarm.rules.rule import Example

_FASTAPI = """from fastapi import Depends, FastAPI, {imported}Request
from pydantic import {more}

app = FastAPI()


class Order(BaseModel):
    number: str


@app.post("/orders")
async def take(request: Request) -> dict:
    body = await request.body()
{statement}
    return {{"number": order.number}}
"""
_FLASK = """from flask import Flask, {imported}request
from pydantic import {more}

app = Flask(__name__)


class Event(BaseModel):
    kind: str


def good(data):
    return bool(data)


@app.route("/hook", methods=["POST"])
def hook():
    payload = request.get_json()
    if not good(payload):
        return {{}}, 401
{statement}
    return {{"kind": event.kind}}
"""
BAD = (
    Example(
        _FASTAPI.format(imported="", more="BaseModel", statement="    order = Order.model_validate_json(body)"),
        _FASTAPI.format(
            imported="",
            more="BaseModel",
            statement="""    try:
        order = Order.model_validate_json(body)
    except ValidationError:
        raise HTTPException(422, "invalid payload") from None""",
        ).replace(
            "from pydantic import BaseModel\n",
            "from pydantic import BaseModel\nfrom fastapi import HTTPException\n"
            "from pydantic import ValidationError\n",
        ),
        "fastapi",
    ),
    Example(
        _FLASK.format(
            imported="abort, ", more="BaseModel, ValidationError", statement="    event = Event(**payload)"
        ),
        _FLASK.format(
            imported="abort, ",
            more="BaseModel, ValidationError",
            statement="""    try:
        event = Event(**payload)
    except ValidationError:
        abort(422, "invalid payload")""",
        ),
        "flask",
    ),
    Example(
        """from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route


class Ping(BaseModel):
    at: int


class Pings(HTTPEndpoint):
    async def post(self, request):
        data = await request.json()
        ping: Ping = Ping.model_validate(
            data
        )
        return JSONResponse({"at": ping.at})


app = Starlette(routes=[Route("/pings", Pings)])
""",
        """from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route


class Ping(BaseModel):
    at: int


class Pings(HTTPEndpoint):
    async def post(self, request):
        data = await request.json()
        try:
            ping: Ping = Ping.model_validate(
                data
            )
        except ValidationError:
            raise HTTPException(422, "invalid payload") from None
        return JSONResponse({"at": ping.at})


app = Starlette(routes=[Route("/pings", Pings)])
""",
        "starlette",
    ),
)
GOOD = (
    # somebody catches it
    _FASTAPI.format(
        imported="HTTPException, ",
        more="BaseModel",
        statement="""    try:
        order = Order.model_validate_json(body)
    except ValueError:
        raise HTTPException(400)""",
    ),
    # the application answers such errors for all routes
    _FASTAPI.format(
        imported="", more="BaseModel, ValidationError", statement="    order = Order.model_validate_json(body)"
    )
    + """

@app.exception_handler(ValidationError)
async def refused(request, error):
    return {}
""",
    # what another service answered is no payload of the sender's
    _FASTAPI.format(
        imported="",
        more="BaseModel",
        statement="    order = Order.model_validate_json((await fetch(body)).content)",
    )
    + """

async def fetch(body): ...
""",
    # FastAPI validates
    "from fastapi import FastAPI\nfrom pydantic import BaseModel\n\napp = FastAPI()\n\n\nclass Order(BaseModel):\n"
    '    number: str\n\n\n@app.post("/orders")\nasync def take(order: Order) -> dict:\n'
    "    return order.model_dump()\n",
)
