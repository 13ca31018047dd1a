"""A CRM on FastAPI: handlers `hole_KIND_…` have a hole, their twins `twin_KIND_…` have it closed. Read, never run."""

import asyncio
import hashlib
import importlib
import logging
import os
import pickle
import random
import secrets
import shutil
import subprocess
import uuid
from enum import Enum
from pathlib import Path as FilePath
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

import aiofiles
import aiosqlite
import httpx
import yaml
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Form, Header, HTTPException, Query, Request, Response
from fastapi import UploadFile
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment
from lxml import etree
from markupsafe import escape
from pydantic import BaseModel, Field, constr
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

app = FastAPI()
router = APIRouter(prefix="/crm")
logger = logging.getLogger("crm")
FILES = FilePath("/srv/crm")
HOSTS = frozenset({"hooks.example", "api.example"})
TEMPLATES = Environment(autoescape=True)
TABLES = {"lead": "leads", "deal": "deals"}


class Kind(str, Enum):
    lead = "lead"
    deal = "deal"


class Lead(BaseModel):
    email: str
    score: int = 0
    kind: Kind = Kind.lead
    code: constr(pattern=r"^[a-z]{3}$") = "abc"
    website: str | None = None


class Address(BaseModel):
    city: str
    zip: Annotated[str, Field(pattern=r"^[0-9]{5}$")]


class Person(BaseModel):
    name: str
    address: Address


async def session() -> AsyncSession: ...


async def paging(order: str = "id", limit: int = 10):
    return {"order": order, "limit": limit}


def token_of(authorization: Annotated[str, Header()]):
    return authorization.removeprefix("Bearer ")


async def rows(statement, values=None):
    async with aiosqlite.connect("crm.db") as base:
        cursor = await base.execute(statement, values or ())
        return await cursor.fetchall()


@router.get("/leads")
async def hole_sql_leads(email: str, base: AsyncSession = Depends(session)):
    return (await base.execute(text(f"SELECT * FROM leads WHERE email = '{email}'"))).all()


@router.get("/leads2")
async def twin_sql_leads(email: str, base: AsyncSession = Depends(session)):
    return (await base.execute(text("SELECT * FROM leads WHERE email = :email"), {"email": email})).all()


@router.post("/lead")
async def hole_sql_lead(lead: Lead):
    return await rows("UPDATE leads SET score = 1 WHERE email = '" + lead.email + "'")


@router.post("/lead2")
async def twin_sql_lead(lead: Lead):
    return await rows(f"SELECT * FROM {lead.kind.value}s WHERE score > {lead.score} AND code = '{lead.code}'")


@router.get("/list")
async def hole_sql_list(page: dict = Depends(paging)):
    return await rows("SELECT * FROM leads ORDER BY " + page["order"] + " LIMIT " + str(page["limit"]))


@router.get("/list2")
async def twin_sql_list(page: dict = Depends(paging)):
    return await rows("SELECT * FROM leads ORDER BY id LIMIT " + str(page["limit"]))


@router.get("/table/{kind}")
async def hole_sql_table(kind: str):
    return await rows(f"SELECT count(*) FROM {kind}")


@router.get("/table2/{kind}")
async def twin_sql_table(kind: str):
    if kind not in TABLES:
        raise HTTPException(404)
    return await rows(f"SELECT count(*) FROM {kind}")


@router.get("/table3/{kind}")
async def twin_sql_literal(kind: Literal["leads", "deals"], person: uuid.UUID):
    return await rows(f"SELECT count(*) FROM {kind} WHERE id = '{person}'")


@router.get("/table4/{kind}")
async def twin_sql_enum(kind: Kind):
    return await rows(f"SELECT count(*) FROM {kind}s")


@router.post("/person")
async def hole_sql_person(person: Person):
    return await rows("SELECT * FROM cities WHERE name = '%s'" % person.address.city)


@router.post("/person2")
async def twin_sql_person(person: Person):
    return await rows("SELECT * FROM cities WHERE zip = '%s'" % person.address.zip)


@router.get("/token")
async def hole_sql_token(token: str = Depends(token_of)):
    return await rows("SELECT * FROM tokens WHERE token = '{}'".format(token))


@router.get("/token2")
async def twin_sql_token(token: str = Depends(token_of)):
    digest = hashlib.sha256(token.encode()).hexdigest()
    return await rows(f"SELECT * FROM tokens WHERE digest = '{digest}'")


@router.post("/many")
async def hole_sql_many(request: Request):
    data = await request.json()
    conditions = []
    for name, value in data.items():
        conditions.append(f"{name} = '{value}'")
    return await rows("SELECT * FROM leads WHERE " + " AND ".join(conditions))


@router.post("/many2")
async def twin_sql_many(request: Request):
    data = await request.json()
    marks = ", ".join("?" for _ in data["ids"])
    return await rows(f"SELECT * FROM leads WHERE id IN ({marks})", data["ids"])


@router.get("/orm")
async def twin_sql_orm(email: str, base: AsyncSession = Depends(session)):
    statement = select(Lead).where(Lead.email == email).order_by(Lead.email)
    return (await base.execute(statement)).all()


@router.post("/convert")
async def hole_run_convert(source: Annotated[str, Form()]):
    process = await asyncio.create_subprocess_shell(f"soffice --convert-to pdf {source}")
    return {"code": await process.wait()}


@router.post("/convert2")
async def twin_run_convert(source: Annotated[str, Form()]):
    process = await asyncio.create_subprocess_exec("soffice", "--convert-to", "pdf", source)
    return {"code": await process.wait()}


def backup(target):
    script = "pg_dump crm > " + target
    return subprocess.run(["bash", "-c", script], check=True)


@router.post("/backup")
async def hole_run_backup(name: str = Body(embed=True)):
    await asyncio.to_thread(backup, name)
    return backup(name).returncode


@router.post("/backup2")
async def twin_run_backup(name: int = Body(embed=True)):
    return backup(f"dump-{name}.sql").returncode


@router.post("/ping")
async def hole_run_ping(hosts: list[str]):
    for host in hosts:
        os.system("ping -c1 " + host)


@router.post("/ping2")
async def twin_run_ping(hosts: list[str]):
    for host in hosts:
        if host in HOSTS:
            os.system("ping -c1 " + host)


@router.get("/calc")
async def hole_code_calc(expression: Annotated[str, Query(max_length=50)]):
    return {"result": eval(expression)}


@router.get("/calc2")
async def twin_code_calc(expression: Annotated[str, Query(pattern=r"^[0-9+]+$")]):
    return {"result": eval(expression)}


@router.get("/driver/{name}")
async def hole_code_driver(name: str):
    return importlib.import_module(name).VERSION


@router.get("/driver2/{name}")
async def twin_code_driver(name: Kind):
    return importlib.import_module("drivers." + name.value).VERSION


@router.get("/file/{name:path}")
async def hole_path_file(name: str):
    return FileResponse(FILES / name)


@router.get("/file2/{name}")
async def twin_path_file(name: str):
    return FileResponse(FILES / name)


@router.post("/attach")
async def hole_path_attach(file: UploadFile):
    target = FILES / file.filename
    with target.open("wb") as handle:
        shutil.copyfileobj(file.file, handle)


@router.post("/attach2")
async def twin_path_attach(file: UploadFile):
    target = FILES / f"{uuid.uuid4()}.bin"
    with target.open("wb") as handle:
        shutil.copyfileobj(file.file, handle)


@router.get("/note")
async def hole_path_note(name: str):
    async with aiofiles.open(os.path.join("/srv/notes", name)) as handle:
        return await handle.read()


@router.get("/note2")
async def twin_path_note(name: str):
    path = os.path.realpath(os.path.join("/srv/notes", name))
    if not path.startswith("/srv/notes/"):
        raise HTTPException(404)
    async with aiofiles.open(path) as handle:
        return await handle.read()


@router.delete("/note3")
async def twin_path_base(name: str):
    os.remove(os.path.join("/srv/notes", os.path.basename(name)))


@router.delete("/note4")
async def hole_path_remove(name: str):
    shutil.rmtree("/srv/notes/" + name)


@router.get("/go")
async def hole_redirect_go(url: str):
    return RedirectResponse(url)


@router.get("/go2")
async def twin_redirect_go(url: str):
    if urlsplit(url).netloc not in HOSTS:
        raise HTTPException(400)
    return RedirectResponse(url)


@router.get("/go3")
async def hole_redirect_header(url: str, response: Response):
    response.status_code = 302
    response.headers["Location"] = url


@router.get("/go4")
async def twin_redirect_header(lead: int, response: Response):
    response.status_code = 302
    response.headers["Location"] = f"/leads/{lead}"


@router.post("/hook")
async def hole_fetch_hook(lead: Lead):
    async with httpx.AsyncClient(timeout=5) as client:
        return (await client.get(lead.website)).status_code


@router.post("/hook2")
async def twin_fetch_hook(lead: Lead):
    if urlsplit(lead.website).hostname not in HOSTS:
        raise HTTPException(400)
    async with httpx.AsyncClient(timeout=5) as client:
        return (await client.get(lead.website)).status_code


class Gateway:
    def __init__(self):
        self.client = httpx.AsyncClient(base_url="https://api.example", timeout=5)

    async def fetch(self, url):
        return await self.client.get(url)


@router.post("/relay")
async def hole_fetch_relay(target: Annotated[str, Body(embed=True)]):
    return (await Gateway().fetch(target)).status_code


@router.post("/relay2")
async def twin_fetch_relay(target: Annotated[str, Body(embed=True)]):
    return (await Gateway().fetch(f"https://api.example/leads/{quote(target)}")).status_code


@router.get("/card", response_class=HTMLResponse)
async def hole_page_card(name: str):
    return f"<h1>{name}</h1>"


@router.get("/card2", response_class=HTMLResponse)
async def twin_page_card(name: str):
    return f"<h1>{escape(name)}</h1>"


@router.get("/json")
async def twin_page_json(name: str):
    return {"card": f"<h1>{name}</h1>"}


@router.get("/html")
async def hole_page_html(request: Request):
    return HTMLResponse("<p>" + request.query_params.get("text", "") + "</p>")


@router.get("/html2")
async def twin_page_html(count: int):
    return HTMLResponse(f"<p>{count}</p>")


@router.post("/render")
async def hole_template_render(lead: Lead, body: Annotated[str, Body()]):
    return TEMPLATES.from_string(body).render(lead=lead)


@router.post("/render2")
async def twin_template_render(lead: Lead, body: Annotated[str, Body()]):
    return TEMPLATES.from_string("{{ body }}").render(lead=lead, body=body)


@router.get("/download")
async def hole_header_download(name: str):
    return Response(b"", headers={"Content-Disposition": "attachment; filename=" + name})


@router.get("/download2")
async def twin_header_download(name: str):
    return Response(b"", headers={"Content-Disposition": "attachment; filename=" + quote(name)})


@router.post("/xml")
async def hole_xml_post(request: Request):
    parser = etree.XMLParser(load_dtd=True, resolve_entities=True)
    return etree.fromstring(await request.body(), parser).tag


@router.post("/xml2")
async def twin_xml_post(request: Request):
    parser = etree.XMLParser(load_dtd=False, resolve_entities=False)
    return etree.fromstring(await request.body(), parser).tag


@router.get("/xpath")
async def hole_xpath_find(name: str):
    return len(etree.parse("people.xml").xpath(f"//person[name='{name}']"))


@router.get("/xpath2")
async def twin_xpath_find(name: str):
    if "'" in name:
        raise HTTPException(400)
    return len(etree.parse("people.xml").xpath(f"//person[name='{name}']"))


@router.post("/state")
async def hole_load_state(request: Request):
    return {"keys": list(pickle.loads(await request.body()))}


@router.post("/state2")
async def twin_load_state(lead: Lead):
    return {"keys": list(pickle.loads(pickle.dumps({"score": lead.score})))}


@router.post("/config")
async def hole_load_config(config: str = Body()):
    return yaml.unsafe_load(config)


@router.post("/config2")
async def twin_load_config(config: str = Body()):
    return yaml.safe_load(config)


@router.post("/otp")
async def hole_random_otp(sent: Annotated[str, Form()], response: Response):
    expected = "".join(random.choice("0123456789") for _ in range(6))
    return {"ok": sent == expected}


@router.post("/otp2")
async def twin_random_otp(sent: Annotated[str, Form()]):
    expected = "".join(secrets.choice("0123456789") for _ in range(6))
    return {"ok": sent == expected}


@router.get("/find")
async def hole_log_find(term: str):
    logger.info(f"searching {term}")


@router.get("/find2")
async def twin_log_find(term: str, cart: str = Cookie("")):
    logger.info("searching %r", term)


@router.get("/overwritten")
async def twin_run_overwritten(name: str):
    command = "echo " + name
    command = "uptime"
    os.system(command)


app.include_router(router)
