"""Where persons live is theirs; where servers listen is nobody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.mending import find, write

_APP = """import logging

from flask import Flask, request

app = Flask(__name__)
log = logging.getLogger(__name__)


@app.post("/hook")
def hook():
    event = request.get_json()
    customer, server = event["customer"], event["server"]
    log.info("for %s", {value})
    return {{}}
"""


@pytest.mark.parametrize(("value", "is_personal"), [
    ('customer["address"]', True),
    ('customer.get("zip_code")', True),
    ('event["customer"]["shipping_address"]', True),
    ('server["address"]', False),
    ('customer["number"]', False),
    ("request.remote_addr", False),
])  # fmt: skip
def test_address_of_a_person_is_personal(tmp_path: Path, value: str, is_personal: bool) -> None:
    write(tmp_path, {"app.py": _APP.format(value=value)})
    assert bool(find(tmp_path, "personal-data-in-logs")) is is_personal
