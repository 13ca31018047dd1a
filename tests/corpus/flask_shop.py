"""A shop on Flask: handlers `hole_KIND_…` have a hole, their twins `twin_KIND_…` have it closed. Read, never run."""

import base64
import html
import json
import logging
import os
import pickle
import random
import re
import secrets
import shlex
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import urljoin, urlparse
from xml.dom import minidom

import jinja2
import ldap3
import requests
import yaml
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    jsonify,
    make_response,
    redirect,
    render_template,
    render_template_string,
    request,
    send_file,
    send_from_directory,
    session,
    url_for,
)
from ldap3.utils.conv import escape_filter_chars
from lxml import etree
from markupsafe import Markup, escape
from werkzeug.utils import secure_filename

app = Flask(__name__)
shop = Blueprint("shop", __name__, url_prefix="/shop")
log = logging.getLogger(__name__)
EXPORTS = Path("/srv/exports")
SORTS = {"name": "name ASC", "price": "price DESC"}
COLUMNS = ("sku", "name", "price")
CATALOGUE = etree.parse("catalogue.xml")
SKU = re.compile(r"[A-Z]{3}-\d{4}")


def connect():
    return sqlite3.connect("shop.db")


def all_rows(statement, values=()):
    with connect() as base:
        return base.execute(statement, values).fetchall()


class Orders:
    """The orders of one customer."""

    def __init__(self, customer):
        self.customer = customer
        self.base = connect()

    def raw(self):
        return self.base.execute("SELECT * FROM orders WHERE customer = '" + self.customer + "'").fetchall()

    def bound(self):
        return self.base.execute("SELECT * FROM orders WHERE customer = ?", (self.customer,)).fetchall()


@shop.get("/search")
def hole_sql_search():
    term = request.args.get("q", "").strip()
    return jsonify(all_rows(f"SELECT * FROM products WHERE name LIKE '%{term}%'"))


@shop.get("/search2")
def twin_sql_search():
    term = request.args.get("q", "").strip()
    return jsonify(all_rows("SELECT * FROM products WHERE name LIKE ?", (f"%{term}%",)))


@shop.get("/sorted")
def hole_sql_sorted():
    return jsonify(all_rows("SELECT * FROM products ORDER BY %s" % request.args["sort"]))


@shop.get("/sorted2")
def twin_sql_sorted():
    order = SORTS.get(request.args["sort"], "name ASC")
    return jsonify(all_rows("SELECT * FROM products ORDER BY %s" % order))


@shop.get("/orders/<customer>")
def hole_sql_orders(customer):
    return jsonify(Orders(customer).raw())


@shop.get("/orders2/<customer>")
def twin_sql_orders(customer):
    return jsonify(Orders(customer).bound())


@shop.post("/columns")
def hole_sql_columns():
    picked = ", ".join(request.json["columns"])
    return jsonify(all_rows("SELECT " + picked + " FROM products"))


@shop.post("/columns2")
def twin_sql_columns():
    picked = ", ".join(name for name in request.json["columns"] if name in COLUMNS)
    return jsonify(all_rows("SELECT " + picked + " FROM products"))


@shop.get("/page/<int:number>")
def twin_sql_page(number):
    return jsonify(all_rows(f"SELECT * FROM products LIMIT 20 OFFSET {number * 20}"))


@shop.get("/page")
def hole_sql_page():
    offset = request.args.get("offset")
    return jsonify(all_rows(f"SELECT * FROM products LIMIT 20 OFFSET {offset}"))


@shop.post("/thumbnail")
def hole_run_thumbnail():
    name = request.form["name"]
    command = "convert {} -resize 100x100 out.png".format(name)
    subprocess.call(command, shell=True)
    return "", 204


@shop.post("/thumbnail2")
def twin_run_thumbnail():
    name = request.form["name"]
    subprocess.call(["convert", "--", name, "-resize", "100x100", "out.png"])
    return "", 204


@shop.post("/whois")
def hole_run_whois():
    domain = (request.get_json() or {}).get("domain")
    with os.popen("whois " + domain) as answer:
        return jsonify(text=answer.read())


@shop.post("/whois2")
def twin_run_whois():
    domain = (request.get_json() or {}).get("domain")
    if not re.fullmatch(r"[a-z0-9-]{1,60}", domain):
        abort(400)
    with os.popen("whois " + domain) as answer:
        return jsonify(text=answer.read())


def archive_with(options, folder):
    parts = ["tar", "czf", "out.tgz"]
    parts.extend(options)
    parts.append(folder)
    return os.system(" ".join(parts))


@shop.post("/archive")
def hole_run_archive():
    return jsonify(code=archive_with(["-v"], request.values["folder"]))


@shop.post("/archive2")
def twin_run_archive():
    return jsonify(code=archive_with(["-v"], shlex.quote(request.values["folder"])))


@shop.get("/tool")
def hole_run_tool():
    tool = request.cookies.get("tool", "ls")
    return subprocess.run([tool, "-l"], capture_output=True, text=True).stdout


@shop.get("/tool2")
def twin_run_tool():
    tool = {"list": "ls", "disk": "df"}[request.cookies.get("tool", "list")]
    return subprocess.run([tool, "-l"], capture_output=True, text=True).stdout


@shop.post("/price")
def hole_code_price():
    rule = request.form.get("rule")
    total = 12
    return jsonify(price=eval(rule, {"total": total}))


@shop.post("/price2")
def twin_code_price():
    factor = float(request.form.get("rule"))
    total = 12
    return jsonify(price=eval(f"total * {factor}", {"total": total}))


@shop.post("/plug")
def hole_code_plug():
    source = request.files["plugin"].read().decode()
    exec(compile(source, "plugin", "exec"), {})
    return "ok"


@shop.post("/plug2")
def twin_code_plug():
    source = request.files["plugin"].read().decode()
    return jsonify(json.loads(source))


@shop.get("/invoice")
def hole_path_invoice():
    number = request.args["number"]
    return send_file(f"/srv/invoices/{number}.pdf")


@shop.get("/invoice2")
def twin_path_invoice():
    number = request.args["number"]
    return send_from_directory("/srv/invoices", f"{number}.pdf")


@shop.post("/upload")
def hole_path_upload():
    sent = request.files["file"]
    sent.save(os.path.join("/srv/up", sent.filename))
    return "", 204


@shop.post("/upload2")
def twin_path_upload():
    sent = request.files["file"]
    sent.save(os.path.join("/srv/up", secure_filename(sent.filename)))
    return "", 204


@shop.get("/export")
def hole_path_export():
    path = EXPORTS / request.args.get("name", "all.csv")
    if not path.exists():
        abort(404)
    return path.read_text()


@shop.get("/export2")
def twin_path_export():
    path = (EXPORTS / request.args.get("name", "all.csv")).resolve()
    if EXPORTS not in path.parents and not path.is_relative_to(EXPORTS):
        abort(404)
    return Response(path.read_text(), mimetype="text/csv")


@shop.get("/manual")
def hole_path_manual():
    name = request.headers.get("X-Manual")
    if name.endswith(".txt"):
        with open("manuals/" + name) as handle:
            return jsonify(text=handle.read())
    return abort(404)


@shop.get("/manual2")
def twin_path_manual():
    name = request.headers.get("X-Manual")
    if "/" in name or "\\" in name:
        abort(400)
    with open("manuals/" + name) as handle:
        return jsonify(text=handle.read())


@shop.post("/login")
def hole_redirect_login():
    return redirect(request.form.get("next") or url_for("shop.hole_sql_page"))


@shop.post("/login2")
def twin_redirect_login():
    target = request.form.get("next", "/")
    if not target.startswith("/") or target.startswith("//"):
        target = "/"
    return redirect(target)


@shop.get("/out")
def hole_redirect_out():
    return redirect("https://" + request.args["host"] + "/welcome")


@shop.get("/out2")
def twin_redirect_out():
    return redirect("https://shop.example/" + request.args["page"])


@shop.get("/partner")
def twin_redirect_partner():
    target = request.args["to"]
    if urlparse(target).hostname not in ("a.example", "b.example"):
        abort(400)
    return redirect(target)


@shop.get("/partner2")
def hole_redirect_partner():
    target = urljoin(request.host_url, request.args["to"])
    return redirect(target, code=303)


@shop.post("/avatar")
def hole_fetch_avatar():
    url = request.json["avatar"]
    picture = requests.get(url, timeout=3)
    return Response(picture.content, mimetype="image/png")


@shop.post("/avatar2")
def twin_fetch_avatar():
    name = request.json["avatar"]
    picture = requests.get(f"https://avatars.example/u/{name}", timeout=3)
    return Response(picture.content, mimetype="image/png")


@shop.get("/hello")
def hole_page_hello():
    name = request.args.get("name", "you")
    page = "<html><body>"
    page += "Hello " + name
    page += "</body></html>"
    return page


@shop.get("/hello2")
def twin_page_hello():
    name = request.args.get("name", "you")
    page = "<html><body>"
    page += "Hello " + html.escape(name)
    page += "</body></html>"
    return page


@shop.get("/missing")
def hole_page_missing():
    return make_response("<p>No page %s</p>" % request.args["page"], 404)


@shop.get("/missing2")
def twin_page_missing():
    return render_template("missing.html", page=request.args["page"]), 404


@shop.get("/badge")
def hole_page_badge():
    label = Markup("<b>" + request.args["label"] + "</b>")
    return render_template("badge.html", label=label)


@shop.get("/badge2")
def twin_page_badge():
    label = Markup("<b>{}</b>").format(request.args["label"])
    return render_template("badge.html", label=label)


@shop.get("/data")
def twin_page_data():
    return {"name": request.args["name"], "kind": escape(request.args["kind"])}


@shop.get("/data2")
def hole_page_data():
    rows = [f"<li>{item}</li>" for item in request.args.getlist("item")]
    return "<ul>" + "".join(rows) + "</ul>"


@shop.post("/mail")
def hole_template_mail():
    return render_template_string("Dear " + request.form["name"])


@shop.post("/mail2")
def twin_template_mail():
    return render_template_string("Dear {{ name }}", name=request.form["name"])


@shop.post("/label")
def hole_template_label():
    template = jinja2.Template(request.get_json()["template"])
    return jsonify(label=template.render(sku="A"))


@shop.post("/label2")
def twin_template_label():
    template = jinja2.Template("{{ sku }}: {{ text }}")
    return jsonify(label=template.render(sku="A", text=request.get_json()["template"]))


@shop.get("/product")
def hole_xpath_product():
    found = CATALOGUE.xpath("//product[@sku='" + request.args["sku"] + "']")
    return jsonify(count=len(found))


@shop.get("/product2")
def twin_xpath_product():
    found = CATALOGUE.xpath("//product[@sku=$sku]", sku=request.args["sku"])
    return jsonify(count=len(found))


@shop.get("/product3")
def twin_xpath_matched():
    sku = request.args["sku"]
    if not SKU.fullmatch(sku):
        abort(400)
    return jsonify(count=len(CATALOGUE.xpath(f"//product[@sku='{sku}']")))


@shop.get("/staff")
def hole_ldap_staff():
    directory = ldap3.Connection("ldap://localhost", auto_bind=True)
    directory.search("ou=staff", "(&(objectClass=person)(cn=%s))" % request.args["name"])
    return jsonify(count=len(directory.entries))


@shop.get("/staff2")
def twin_ldap_staff():
    directory = ldap3.Connection("ldap://localhost", auto_bind=True)
    directory.search("ou=staff", "(&(objectClass=person)(cn=%s))" % escape_filter_chars(request.args["name"]))
    return jsonify(count=len(directory.entries))


@shop.post("/feed")
def hole_xml_feed():
    parser = etree.XMLParser(resolve_entities=True, no_network=False)
    return jsonify(items=len(etree.fromstring(request.get_data(), parser=parser)))


@shop.post("/feed2")
def twin_xml_feed():
    parser = etree.XMLParser(resolve_entities=False)
    return jsonify(items=len(etree.fromstring(request.get_data(), parser=parser)))


@shop.post("/feed3")
def twin_xml_plain():
    return jsonify(tag=minidom.parseString(request.get_data()).documentElement.tagName)


@shop.get("/cart")
def hole_load_cart():
    packed = request.cookies["cart"]
    return jsonify(pickle.loads(base64.b64decode(packed)))


@shop.get("/cart2")
def twin_load_cart():
    packed = request.cookies["cart"]
    return jsonify(json.loads(base64.b64decode(packed)))


@shop.post("/settings")
def hole_load_settings():
    return jsonify(yaml.load(request.stream.read(), Loader=yaml.UnsafeLoader))


@shop.post("/settings2")
def twin_load_settings():
    return jsonify(yaml.load(request.stream.read(), Loader=yaml.CSafeLoader))


@shop.post("/as")
def hole_trust_as():
    session["user_id"] = request.form["user_id"]
    return "", 204


@shop.post("/as2")
def twin_trust_as():
    session["language"] = request.form["language"]
    return "", 204


@shop.post("/remember")
def hole_random_remember():
    answer = make_response("ok")
    answer.set_cookie("remember_me", "%x" % random.getrandbits(128), secure=True, httponly=True)
    return answer


@shop.post("/remember2")
def twin_random_remember():
    answer = make_response("ok")
    answer.set_cookie("remember_me", secrets.token_hex(16), secure=True, httponly=True)
    return answer


@shop.post("/sample")
def twin_random_sample():
    shown = random.sample(range(100), 5)
    return jsonify(shown=shown, delay=random.uniform(0.5, 1.5))


@shop.post("/coupon")
def hole_random_coupon():
    code = str(random.randint(100000, 999999))
    if request.form["code"] == code:
        return "ok"
    return "no", 403


@shop.post("/debug")
def twin_page_dead():
    text = request.form["text"]
    shown = "fixed"
    if len("abc") > 5:
        shown = text
    return f"<p>{shown}</p>"


@shop.post("/log")
def hole_log_note():
    log.warning("note: %s", request.form["note"])
    return "", 204


@shop.post("/log2")
def twin_log_note():
    log.warning("note: %r", request.form["note"])
    return "", 204


@shop.post("/unpack")
def twin_path_unpack():
    name = Path(request.form["archive"]).name
    with tarfile.open(EXPORTS / name) as archive:
        return jsonify(names=archive.getnames())
