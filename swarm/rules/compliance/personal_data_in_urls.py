"""The rule personal-data-in-urls."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from swarm.analysis.effects import http_call
from swarm.analysis.index import Index, Route
from swarm.analysis.routes.query_parameters import read_parameter
from swarm.analysis.source import Module
from swarm.core.findings import Finding
from swarm.rules.distinct import distinct
from swarm.rules.facts.personal_columns import PERSONAL_NAME
from swarm.rules.rule import Example, Rule
from swarm.rules.security.signatures.digests import assigned, last_name


class PersonalDataInUrls(Rule):
    """A person's e-mail, phone or name stands in an address: in the logs of every proxy and server on the way, in
    histories, and in what pages tell other sites of where a visitor came from.

    No mend: who calls the route, or answers it, has to change with it.
    """

    id = "personal-data-in-urls"
    category = "compliance"
    severity = "low"
    cwe = ("CWE-598",)
    title = "Personal data stands in an address"
    sources = ("OWASP ASVS 5.0 14.2.1",)
    bad = (
        Example(
            'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/leads")\ndef leads(email: str) -> list:\n'
            "    return []\n",
            None,
            "fastapi",
        ),
        Example(
            "import requests\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n\n"
            '@app.get("/find")\ndef find():\n'
            '    return requests.get("https://crm.example/find", params={"phone": request.args["phone"]}).text\n',
            None,
            "flask",
        ),
    )
    good = (
        "from fastapi import FastAPI\nfrom pydantic import BaseModel\n\napp = FastAPI()\n\n\n"
        "class Wanted(BaseModel):\n    email: str\n\n\n"
        '@app.post("/leads/search")\ndef leads(wanted: Wanted, limit: int = 10) -> list:\n    return []\n\n\n'
        '@app.get("/leads/{lead_id}")\ndef lead(lead_id: str) -> dict:\n    return {}\n',
    )

    @distinct
    def find(self, index: Index) -> Iterable[Finding]:
        """Routes that take such a value in their address, and calls that put one into theirs."""
        for route in index.routes:
            shown = f"{'/'.join(route.methods)} {route.path or route.function.name}"
            for name in dict.fromkeys(_taken(index, route)):
                yield self.finding(
                    route.function.module,
                    route.function.node,
                    evidence=f"{shown} takes {name} in its address",
                    recommendation=f"Take {name} in the body of a POST, or name the person by an id.",
                    anchor=f"{route.function.qualname}: {name}",
                    mendable=False,
                )
        for module in index.tree.modules.values():
            for call in module.nodes(ast.Call):
                for name in _sent(module, call) if http_call(index, module, call) is not None else ():
                    yield self.finding(
                        module,
                        call,
                        evidence=f"{module.segment(call.func)} sends {name} in its address",
                        recommendation=f"Send {name} in the body, where the other side takes it there.",
                        anchor=f"{module.segment(call.func)}: {name}",
                        mendable=False,
                        severity="medium",
                    )


def _taken(index: Index, route: Route) -> Iterator[str]:
    node = route.function.node
    in_path = re.findall(r"[{<](?:[^<>:{}]+:)?(\w+)", route.path)
    yield from (name for name in in_path if PERSONAL_NAME.match(name))
    if route.framework == "fastapi" and not set(route.methods) & {"POST", "PUT", "PATCH"}:
        arguments = node.args
        plain = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        yield from (a.arg for a in plain if a.arg not in in_path and PERSONAL_NAME.match(a.arg))
    for inner in index.own_nodes(route.function):
        name = read_parameter(inner)
        if name and PERSONAL_NAME.match(name):
            yield name


def _sent(module: Module, call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg == "params" and isinstance(keyword.value, ast.Dict):
            for key in keyword.value.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and PERSONAL_NAME.match(key.value):
                    yield key.value
    for given in (*call.args[:2], *(k.value for k in call.keywords if k.arg == "url")):
        address = assigned(given, module.enclosing_function(given))
        for part in address.values if isinstance(address, ast.JoinedStr) else ():
            name = last_name(part.value) if isinstance(part, ast.FormattedValue) else ""
            if name == "full_name" and isinstance(part, ast.FormattedValue) and not isinstance(part.value, ast.Name):
                continue  # of a repository
            if PERSONAL_NAME.match(name):
                yield name
