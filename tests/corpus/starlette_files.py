"""A file service on Starlette: `hole_KIND_…` have a hole, their twins `twin_KIND_…` have it closed. Read, never run."""

import base64
import html
import json
import logging
import marshal
import os
import random
import shlex
import sqlite3
import string
import subprocess
import xml.sax
import xml.sax.handler
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse
from xml.dom import minidom

import httpx
import jsonpickle
from jinja2 import Template
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

ROOT = Path("/srv/data")
ALLOWED = ["report", "summary"]
base = sqlite3.connect("files.db")
logger = logging.getLogger(__name__)


class Store:
    def __init__(self, root):
        self.root = root

    def path_of(self, name):
        return self.root / name

    def checked(self, name):
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root):
            raise HTTPException(404)
        return path


store = Store(ROOT)


def field(request, name, default=""):
    return request.query_params.get(name, default)


def clean_name(name):
    return "".join(letter for letter in name if letter in string.ascii_letters)


def is_known(name):
    return name in ALLOWED


def require_number(value):
    if not value.isdigit():
        raise HTTPException(400)
    return value


async def hole_sql_list(request):
    owner = field(request, "owner")
    cursor = base.cursor()
    cursor.execute("SELECT * FROM files WHERE owner = '%s'" % owner)
    return JSONResponse(cursor.fetchall())


async def twin_sql_list(request):
    owner = field(request, "owner")
    cursor = base.cursor()
    cursor.execute("SELECT * FROM files WHERE owner = ?", (owner,))
    return JSONResponse(cursor.fetchall())


async def hole_sql_path(request: Request):
    query = "SELECT * FROM files WHERE id = " + request.path_params["id"]
    return JSONResponse(base.execute(query).fetchall())


async def twin_sql_path(request: Request):
    query = "SELECT * FROM files WHERE id = " + str(int(request.path_params["id"]))
    return JSONResponse(base.execute(query).fetchall())


async def hole_sql_number(request):
    size = field(request, "size")
    return JSONResponse(base.execute(f"SELECT * FROM files WHERE size > {size}").fetchall())


async def twin_sql_number(request):
    size = require_number(field(request, "size"))
    return JSONResponse(base.execute(f"SELECT * FROM files WHERE size > {size}").fetchall())


class Files(HTTPEndpoint):
    async def get(self, request):
        return await hole_sql_list(request)

    async def post(self, request):
        form = await request.form()
        return JSONResponse(self.insert(form["name"]))

    def insert(self, name):
        base.execute("INSERT INTO files (name) VALUES (?)", (name,))
        return {"ok": True}


async def hole_run_zip(request):
    data = await request.json()
    subprocess.run(f"zip -r out.zip {data['folder']}", shell=True, check=False)
    return JSONResponse({})


async def twin_run_zip(request):
    data = await request.json()
    subprocess.run(f"zip -r out.zip {shlex.quote(data['folder'])}", shell=True, check=False)
    return JSONResponse({})


async def hole_run_report(request):
    name = request.path_params["name"]
    os.system(f"make {name}")
    return Response(status_code=204)


async def twin_run_report(request):
    name = request.path_params["name"]
    if not is_known(name):
        return Response(status_code=404)
    os.system(f"make {name}")
    return Response(status_code=204)


async def hole_run_env(request):
    body = await request.body()
    subprocess.Popen(["sh", "-c", body.decode()])
    return Response(status_code=202)


async def twin_run_env(request):
    body = await request.body()
    name = clean_name(body.decode())
    subprocess.Popen(["sh", "-c", "echo " + name])
    return Response(status_code=202)


async def hole_code_filter(request):
    condition = field(request, "filter", "True")
    kept = [row for row in range(5) if eval(condition, {"row": row})]
    return JSONResponse(kept)


async def twin_code_filter(request):
    conditions = {"even": "row % 2 == 0", "all": "True"}
    condition = conditions.get(field(request, "filter"), "True")
    kept = [row for row in range(5) if eval(condition, {"row": row})]
    return JSONResponse(kept)


async def hole_path_get(request):
    return FileResponse(store.path_of(field(request, "name")))


async def twin_path_get(request):
    return FileResponse(store.checked(field(request, "name")))


async def hole_path_write(request):
    data = await request.json()
    Path(f"/srv/data/{data['name']}.json").write_text(json.dumps(data))
    return JSONResponse({})


async def twin_path_write(request):
    data = await request.json()
    name = PurePosixPath(data["name"]).name
    Path(f"/srv/data/{name}.json").write_text(json.dumps(data))
    return JSONResponse({})


async def hole_path_upload(request):
    form = await request.form()
    upload = form["file"]
    with open(f"uploads/{upload.filename}", "wb") as handle:
        handle.write(await upload.read())
    return JSONResponse({})


async def twin_path_upload(request):
    form = await request.form()
    upload = form["file"]
    name = os.path.basename(upload.filename)
    with open(f"uploads/{name}", "wb") as handle:
        handle.write(await upload.read())
    return JSONResponse({})


async def twin_path_dots(request):
    name = field(request, "name")
    if ".." in name:
        return Response(status_code=400)
    with open("static/" + name) as handle:
        return PlainTextResponse(handle.read())


async def hole_path_joined(request):
    name = field(request, "name")
    if ".." in name:
        return Response(status_code=400)
    with open(os.path.join("static", name)) as handle:
        return PlainTextResponse(handle.read())


async def hole_redirect_next(request):
    return RedirectResponse(url=request.query_params["next"], status_code=303)


async def twin_redirect_next(request):
    target = request.query_params["next"]
    if target not in ("/home", "/files"):
        target = "/home"
    return RedirectResponse(url=target, status_code=303)


async def hole_fetch_import(request):
    source = (await request.json()).get("source")
    with httpx.Client(timeout=4) as client:
        content = client.get(source).content
    return JSONResponse({"size": len(content)})


async def twin_fetch_import(request):
    source = (await request.json()).get("source")
    parts = urlparse(source)
    if parts.scheme != "https" or parts.netloc != "files.example":
        raise HTTPException(400)
    with httpx.Client(timeout=4) as client:
        content = client.get(source).content
    return JSONResponse({"size": len(content)})


async def hole_fetch_port(request):
    host = request.headers["X-Mirror"]
    return JSONResponse({"status": httpx.get(f"http://{host}/ping", timeout=2).status_code})


async def twin_fetch_port(request):
    name = request.headers["X-Mirror"]
    return JSONResponse({"status": httpx.get(f"http://mirror.example/{name}/ping", timeout=2).status_code})


async def hole_page_show(request):
    title = field(request, "title")
    return HTMLResponse(f"<title>{title}</title>")


async def twin_page_show(request):
    title = html.escape(field(request, "title"))
    return HTMLResponse(f"<title>{title}</title>")


async def hole_page_error(request):
    name = request.path_params["name"]
    return Response("<p>no " + name + "</p>", status_code=404, media_type="text/html")


async def twin_page_error(request):
    name = request.path_params["name"]
    return Response("no " + name, status_code=404, media_type="text/plain")


async def twin_page_plain(request):
    return PlainTextResponse("you sent " + field(request, "text"))


async def hole_page_rows(request):
    data = await request.form()
    page = "".join("<td>{}</td>".format(value) for value in data.values())
    return HTMLResponse(page)


async def twin_page_rows(request):
    data = await request.form()
    page = "".join("<td>{}</td>".format(len(value)) for value in data.values())
    return HTMLResponse(page)


async def hole_template_view(request):
    return JSONResponse({"text": Template(field(request, "view")).render(files=[])})


async def twin_template_view(request):
    return JSONResponse({"text": Template("{{ view }}").render(view=field(request, "view"))})


async def hole_header_name(request):
    return Response("", headers={"X-Name": field(request, "name")})


async def twin_header_name(request):
    name = field(request, "name")
    if "\n" in name or "\r" in name:
        raise HTTPException(400)
    return Response("", headers={"X-Name": name})


async def hole_xml_order(request):
    parser = xml.sax.make_parser()
    parser.setFeature(xml.sax.handler.feature_external_ges, True)
    document = minidom.parseString(await request.body(), parser)
    return JSONResponse({"tag": document.documentElement.tagName})


async def twin_xml_order(request):
    parser = xml.sax.make_parser()
    parser.setFeature(xml.sax.handler.feature_external_ges, False)
    document = minidom.parseString(await request.body(), parser)
    return JSONResponse({"tag": document.documentElement.tagName})


async def hole_load_job(request):
    return JSONResponse({"job": str(jsonpickle.decode((await request.body()).decode()))})


async def twin_load_job(request):
    return JSONResponse({"job": json.loads((await request.body()).decode())})


async def hole_load_blob(request):
    blob = base64.urlsafe_b64decode(request.cookies["blob"])
    return JSONResponse({"size": len(marshal.loads(blob))})


async def twin_load_blob(request):
    blob = base64.urlsafe_b64decode(request.cookies["blob"])
    return JSONResponse({"size": len(blob)})


async def hole_trust_key(request):
    data = await request.json()
    request.session[data["key"]] = data["value"]
    return JSONResponse({})


async def twin_trust_key(request):
    data = await request.json()
    request.session["colour"] = data["value"]
    return JSONResponse({})


async def hole_random_session(request):
    number = random.random()
    request.session["session_key"] = str(number)
    return JSONResponse({})


async def twin_random_session(request):
    number = random.SystemRandom().random()
    request.session["session_key"] = str(number)
    return JSONResponse({})


async def hole_log_agent(request):
    data = await request.json()
    logger.error("cannot read " + data["file"])
    return JSONResponse({})


async def twin_log_agent(request):
    data = await request.json()
    logger.error("cannot read %s", data["file"].replace("\n", " "))
    return JSONResponse({})


async def twin_run_match(request):
    match field(request, "job"):
        case "clean" | "index" as job:
            os.system("job " + job)
        case _:
            return Response(status_code=404)
    return JSONResponse({})


async def twin_code_constant(request):
    mode = "safe"
    wanted = field(request, "code") if mode == "open" else "1 + 1"
    return JSONResponse(eval(wanted))


app = Starlette(
    routes=[
        Mount(
            "/",
            routes=[
                Route("/files", Files),
                Route("/sql/{id}", hole_sql_path),
                Route("/sql2/{id}", twin_sql_path),
                Route("/hole_sql_list", hole_sql_list, methods=["GET", "POST"]),
                Route("/twin_sql_list", twin_sql_list, methods=["GET", "POST"]),
                Route("/hole_sql_number", hole_sql_number, methods=["GET", "POST"]),
                Route("/twin_sql_number", twin_sql_number, methods=["GET", "POST"]),
                Route("/hole_run_zip", hole_run_zip, methods=["GET", "POST"]),
                Route("/twin_run_zip", twin_run_zip, methods=["GET", "POST"]),
                Route("/hole_run_report/{name}", hole_run_report, methods=["GET", "POST"]),
                Route("/twin_run_report/{name}", twin_run_report, methods=["GET", "POST"]),
                Route("/hole_run_env", hole_run_env, methods=["GET", "POST"]),
                Route("/twin_run_env", twin_run_env, methods=["GET", "POST"]),
                Route("/hole_code_filter", hole_code_filter, methods=["GET", "POST"]),
                Route("/twin_code_filter", twin_code_filter, methods=["GET", "POST"]),
                Route("/hole_path_get", hole_path_get, methods=["GET", "POST"]),
                Route("/twin_path_get", twin_path_get, methods=["GET", "POST"]),
                Route("/hole_path_write", hole_path_write, methods=["GET", "POST"]),
                Route("/twin_path_write", twin_path_write, methods=["GET", "POST"]),
                Route("/hole_path_upload", hole_path_upload, methods=["GET", "POST"]),
                Route("/twin_path_upload", twin_path_upload, methods=["GET", "POST"]),
                Route("/twin_path_dots", twin_path_dots, methods=["GET", "POST"]),
                Route("/hole_path_joined", hole_path_joined, methods=["GET", "POST"]),
                Route("/hole_redirect_next", hole_redirect_next, methods=["GET", "POST"]),
                Route("/twin_redirect_next", twin_redirect_next, methods=["GET", "POST"]),
                Route("/hole_fetch_import", hole_fetch_import, methods=["GET", "POST"]),
                Route("/twin_fetch_import", twin_fetch_import, methods=["GET", "POST"]),
                Route("/hole_fetch_port", hole_fetch_port, methods=["GET", "POST"]),
                Route("/twin_fetch_port", twin_fetch_port, methods=["GET", "POST"]),
                Route("/hole_page_show", hole_page_show, methods=["GET", "POST"]),
                Route("/twin_page_show", twin_page_show, methods=["GET", "POST"]),
                Route("/hole_page_error/{name}", hole_page_error, methods=["GET", "POST"]),
                Route("/twin_page_error/{name}", twin_page_error, methods=["GET", "POST"]),
                Route("/twin_page_plain", twin_page_plain, methods=["GET", "POST"]),
                Route("/hole_page_rows", hole_page_rows, methods=["GET", "POST"]),
                Route("/twin_page_rows", twin_page_rows, methods=["GET", "POST"]),
                Route("/hole_template_view", hole_template_view, methods=["GET", "POST"]),
                Route("/twin_template_view", twin_template_view, methods=["GET", "POST"]),
                Route("/hole_header_name", hole_header_name, methods=["GET", "POST"]),
                Route("/twin_header_name", twin_header_name, methods=["GET", "POST"]),
                Route("/hole_xml_order", hole_xml_order, methods=["GET", "POST"]),
                Route("/twin_xml_order", twin_xml_order, methods=["GET", "POST"]),
                Route("/hole_load_job", hole_load_job, methods=["GET", "POST"]),
                Route("/twin_load_job", twin_load_job, methods=["GET", "POST"]),
                Route("/hole_load_blob", hole_load_blob, methods=["GET", "POST"]),
                Route("/twin_load_blob", twin_load_blob, methods=["GET", "POST"]),
                Route("/hole_trust_key", hole_trust_key, methods=["GET", "POST"]),
                Route("/twin_trust_key", twin_trust_key, methods=["GET", "POST"]),
                Route("/hole_random_session", hole_random_session, methods=["GET", "POST"]),
                Route("/twin_random_session", twin_random_session, methods=["GET", "POST"]),
                Route("/hole_log_agent", hole_log_agent, methods=["GET", "POST"]),
                Route("/twin_log_agent", twin_log_agent, methods=["GET", "POST"]),
                Route("/twin_run_match", twin_run_match, methods=["GET", "POST"]),
                Route("/twin_code_constant", twin_code_constant, methods=["GET", "POST"]),
            ],
        )
    ]
)
