"""Planted faults: they parse in every framework, the detectors catch them, and a blind one is seen to be blind."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.analysis.index import Index, build_index
from swarm.analysis.source import SourceTree
from swarm.probes.probe import ProbeResult
from swarm.scores.faults import caught, plant
from swarm.scores.live_faults import signature_fault, without_refusals
from swarm.scores.looking import planted_faults, rules_by_fault
from swarm.scores.shown import shown_inapplicable

FASTAPI = '''"""A hook."""

from fastapi import FastAPI, HTTPException, Request

app = FastAPI()


def refused() -> HTTPException:
    return HTTPException(status_code=403)


@app.post("/hook")
async def hook(request: Request):
    """Takes a hook."""
    if not request.headers.get("x-sig"):
        raise HTTPException(status_code=401)
    if request.headers["x-sig"] == "no":
        raise refused()
    return {"ok": True}
'''
STARLETTE = """from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


async def hook(request):
    if "x-sig" not in request.headers:
        return JSONResponse({}, status_code=401)
    return JSONResponse({})


app = Starlette(routes=[Route("/hook", hook, methods=["POST"])])
"""
FLASK = """from flask import Flask, abort, request

app = Flask(__name__)


@app.post("/hook")
def hook():
    if not request.headers.get("X-Sig"):
        abort(401)
    return {"ok": True}
"""


def index_of(folder: Path, text: str) -> Index:
    (folder / "app.py").write_text(text, encoding="utf-8")
    return build_index(SourceTree.load(folder))


@pytest.mark.parametrize("text", [FASTAPI, STARLETTE, FLASK], ids=["fastapi", "starlette", "flask"])
def test_every_class_is_planted_and_caught(text: str, tmp_path: Path) -> None:
    faults = {fault.name: fault for fault in planted_faults(index_of(tmp_path, text), tmp_path)}
    assert set(faults) == set(rules_by_fault())
    assert {name for name, fault in faults.items() if fault.caught < fault.planted} == set()
    assert {name for name, fault in faults.items() if fault.false_alarms} == set()


def test_a_blind_detector_catches_nothing(tmp_path: Path) -> None:
    planted = plant(index_of(tmp_path, FASTAPI))
    assert planted is not None
    assert {fault.caught for fault in caught(planted, [], rules_by_fault())} == {0}


def test_no_route_no_fault(tmp_path: Path) -> None:
    assert planted_faults(index_of(tmp_path, "x = 1\n"), tmp_path) == ()


@pytest.mark.parametrize(("text", "count"), [(FASTAPI, 2), (STARLETTE, 1), (FLASK, 1)])
def test_refusals_are_taken_out(text: str, count: int, tmp_path: Path) -> None:
    blinded = without_refusals(index_of(tmp_path, text))
    assert blinded is not None and blinded.refusals == count
    after = blinded.changes[0].after or ""
    assert after.count("if False:") == count
    compile(after, "app.py", "exec")


def test_nothing_is_taken_out_where_nothing_is_refused(tmp_path: Path) -> None:
    assert without_refusals(index_of(tmp_path, "def f(x):\n    if x:\n        return 200\n    return 404\n")) is None


def test_refusals_by_exception_are_taken_out_too(tmp_path: Path) -> None:
    text = (
        "from fastapi import FastAPI, HTTPException\nfrom werkzeug.exceptions import Unauthorized\napp = FastAPI()\n"
        "@app.post('/a')\ndef a():\n    try:\n        check()\n    except ValueError:\n        log()\n"
        "        raise HTTPException(401)\n    return {}\n"
        "@app.post('/b')\ndef b(x):\n    if not x:\n        raise Unauthorized\n    return {}\n"
    )
    blinded = without_refusals(index_of(tmp_path, text))
    assert blinded is not None and blinded.refusals == 2
    after = blinded.changes[0].after or ""
    assert "    except ValueError:\n        pass\n    return {}\n" in after and "if False:" in after


def test_probes_that_still_pass_without_refusals_are_blind() -> None:
    seen = [
        ProbeResult("W01", "failed", "", ""),
        ProbeResult("W02", "passed", "", ""),
        ProbeResult("W03", "skipped", "", ""),
    ]
    fault = signature_fault(seen)
    assert (fault.planted, fault.caught) == (3, 1)


def test_absence_is_shown_only_where_it_is_whole(tmp_path: Path) -> None:
    assert set(shown_inapplicable(index_of(tmp_path, FASTAPI))) == {"S03", "S04", "S05", "S06", "S07"}
    busy = FASTAPI + (
        "\nimport hashlib, httpx, pickle, random\n\n\n@app.get('/x')\nasync def x(q: str):\n"
        "    random.choice([1])\n    pickle.loads(b'')\n    hashlib.md5(b'')\n"
        "    httpx.get('http://x', verify=True)\n    app.debug = False\n"
    )
    assert shown_inapplicable(index_of(tmp_path, busy)) == {}
    (tmp_path / "broken.py").write_text("def (:\n", encoding="utf-8")
    assert shown_inapplicable(index_of(tmp_path, FASTAPI)) == {}


def test_draws_that_are_pauses_are_no_secret(tmp_path: Path) -> None:
    text = FASTAPI + (
        "\nimport asyncio, random\n\n\n@app.get('/x')\nasync def x(q: str):\n"
        "    await asyncio.sleep(random.uniform(0, 1))\n    pause_s = 2 * random.random()\n    return pause_s\n"
    )
    assert "2 draws" in shown_inapplicable(index_of(tmp_path, text))["S05"]


@pytest.mark.parametrize(
    ("name", "shown"), [('"redis"', True), ('"a" if q else "b"', True), ("q", False), ('"plugins." + q', False)]
)
def test_a_module_that_the_code_names_is_not_run_as_data(tmp_path: Path, name: str, shown: bool) -> None:
    text = FASTAPI + (
        f"\nimport importlib\n\n\n@app.get('/x')\nasync def x(q: str):\n    return importlib.import_module({name})\n"
    )
    assert ("S04" in shown_inapplicable(index_of(tmp_path, text))) is shown
