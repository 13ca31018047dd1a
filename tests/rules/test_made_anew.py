"""Work on what a framework hands in is moved where it can be made again from nothing, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rules.mending import find, mend, write

APP = """from typing import Annotated

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, Request

app = FastAPI()
client = httpx.AsyncClient(timeout=5)


class Mail:
    def __init__(self, http: httpx.AsyncClient):
        self.http = http

    async def send(self, to: str) -> None:
        answer = await self.http.post("http://mail/send", json={"to": to})
        answer.raise_for_status()


class Audit:
    async def note(self, text: str) -> None:
        answer = await client.post("http://audit/notes", json={"text": text})
        answer.raise_for_status()


def get_mail() -> Mail:
    return Mail(client)


@app.post("/hooks/order")
async def order(event: dict, mail: Mail = Depends(get_mail)):
    await mail.send(event["mail"])
    return {"ok": True}


@app.post("/hooks/note")
async def note(event: dict, audit: Annotated[Audit, Depends()]):
    await audit.note(event["text"])
    return {"ok": True}


@app.post("/hooks/later")
async def later(event: dict, tasks: BackgroundTasks, mail: Mail = Depends(get_mail)):
    tasks.add_task(mail.send, event["mail"])
    return {"ok": True}
"""


def test_the_work_makes_its_object_for_itself(tmp_path: Path) -> None:
    write(tmp_path, {"app.py": APP})
    mend(tmp_path, "work-before-answer", "acknowledged-before-stored")
    text = (tmp_path / "app.py").read_text()
    assert 'async def work_of_order(event):\n    mail = get_mail()\n    await mail.send(event["mail"])\n' in text
    assert 'async def work_of_note(event):\n    audit = Audit()\n    await audit.note(event["text"])\n' in text
    assert 'async def work_of_later(event):\n    mail = get_mail()\n    await mail.send(event["mail"])\n' in text
    assert text.count("await submit(work_of_") == 3


@pytest.mark.parametrize(
    "provider",
    [
        "def get_mail(request: Request) -> Mail:\n    return request.app.state.mail\n",
        "def get_mail():\n    yield Mail(client)\n",
        "def get_mail(http=Depends(httpx.AsyncClient)) -> Mail:\n    return Mail(http)\n",
        "async def get_mail() -> Mail:\n    return Mail(client)\n",
    ],
)
def test_what_only_a_request_can_make_is_advice(tmp_path: Path, provider: str) -> None:
    write(tmp_path, {"app.py": APP.replace("def get_mail() -> Mail:\n    return Mail(client)\n", provider)})
    told = {finding.evidence.split()[0]: finding.mendable for finding in find(tmp_path, "work-before-answer")}
    assert told == {"order": False, "note": True}
