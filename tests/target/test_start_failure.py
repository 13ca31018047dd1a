from __future__ import annotations

import pytest

from swarm.target.running.start_failure import describe_answer_failure, describe_start_failure

PYDANTIC = """Traceback (most recent call last):
  File "app.py", line 3, in <module>
pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings
crm_api_key
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2/v/missing
crm_secret
  Field required [type=missing, input_value={}, input_type=dict]
"""


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("Traceback\nModuleNotFoundError: No module named 'flask'\n", "cannot import 'flask'"),
        ("ERROR:    [Errno 98] error while attempting to bind on address: address already in use", "port is taken"),
        ("Traceback\nKeyError: 'CRM_TOKEN'\n", "put CRM_TOKEN into"),
        (PYDANTIC, "put CRM_API_KEY, CRM_SECRET into"),
        ("OSError: swarm: no network but loopback: api.x.example:443 is out of reach", "calls api.x.example:443"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'model.bin'", "'model.bin' is missing"),
        ("Enter a password: Traceback\nEOFError: EOF when reading a line\n", "asks for input as it starts"),
        ('ERROR: Error loading ASGI app. Attribute "app" not found in module "x".', 'Attribute "app" not found'),
        ("Traceback\n  File ...\nshop.errors.BadError: cannot open\n", "shop.errors.BadError: cannot open"),
        ("odd words\nlast words\n", "last words"),
        ("", ""),
    ],
)
def test_typical_failures_are_told_in_one_line(log: str, says: str) -> None:
    told = describe_start_failure(log)
    assert says in told
    assert "\n" not in told


def test_a_payload_that_does_not_validate_is_no_missing_setting() -> None:
    log = (
        "pydantic_core.ValidationError: 2 validation errors for Message\nid\n  Field required\nts\n  Field required\n"
    )
    assert describe_answer_failure(log) == "ValidationError: the payload is no Message: it wants id, ts"
    assert describe_answer_failure("KeyError: 'HOOK_SECRET'") == describe_start_failure("KeyError: 'HOOK_SECRET'")
