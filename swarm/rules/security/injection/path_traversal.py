"""The rule path-traversal."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Taint, derived
from swarm.analysis.edits import Edit
from swarm.analysis.index import Index
from swarm.analysis.source import Module
from swarm.core.patches import FileChange
from swarm.rules.rule import Example
from swarm.rules.security.injection.data_flow import Hit, MendingFlowRule, Reached, calls, given, holds
from swarm.rules.security.injection.folder_of_paths import Folders
from swarm.rules.security.injection.kept_modules import KeptModule
from swarm.rules.security.signatures.digests import assigned

_OPENING = (
    "open", "io.open", "codecs.open", "aiofiles.open", "gzip.open", "zipfile.ZipFile", "tarfile.open", "os.open",
    "os.remove", "os.unlink", "os.rmdir", "os.removedirs", "os.listdir", "os.scandir", "os.walk", "os.mkdir",
    "os.makedirs", "os.chmod", "os.stat", "os.truncate", "shutil.rmtree", "sqlite3.connect", "flask.send_file",
    "starlette.responses.FileResponse", "fastapi.responses.FileResponse", "flask.send_from_directory",
    "shutil.unpack_archive", "numpy.load", "pandas.read_csv", "linecache.getline",
)  # fmt: skip
_BOTH = ("os.rename", "os.replace", "os.link", "os.symlink", "shutil.copy", "shutil.copy2", "shutil.copyfile",
         "shutil.move", "shutil.copytree")  # fmt: skip
_ASKING = ("os.path.exists", "os.path.isfile", "os.path.isdir", "os.path.getsize", "os.path.getmtime")
_OF_PATHS = (
    ".open", ".read_text", ".read_bytes", ".write_text", ".write_bytes", ".unlink", ".exists", ".is_file", ".is_dir",
    ".iterdir", ".stat", ".mkdir", ".rmdir", ".touch", ".rename", ".glob",
)  # fmt: skip
_NAMES = ("path", "file", "directory", "filename", "path_or_file", "name")
_ACCEPTED = ("path", "flat")
_GUARD = KeptModule("inside_folder", "inside_folder", "STAYS_INSIDE", 404)


class PathTraversal(MendingFlowRule):
    """A request chooses a file's path: `../../etc/passwd`, or an absolute one, leads out of the folder that is meant.

    Left alone is what cannot lead out: `secure_filename`, the last part of a path alone (`os.path.basename`,
    `Path(x).name`, a parameter of a route that takes no `/`), `send_from_directory`, a resolved path that was checked
    to lie below a folder, names from a fixed list. A check for `..` counts where the path cannot begin at the root.

    The mend looks where the path leads just before it is used, where the code names the folder that is meant
    (`FOLDER / name`, `f"{FOLDER}/{name}"`, `os.path.join(FOLDER, name)`): outside of it there is no such file.
    `KEEP_PATHS_INSIDE=0` turns it off. Where no folder is named, it only recommends.
    """

    id = "path-traversal"
    category = "security"
    severity = "high"
    cwe = ("CWE-22",)
    title = "A request chooses the path of a file"
    sources = ("OWASP ASVS 5.0 5.3.2", "OWASP: path traversal")
    kinds = ("request", "upstream", "stored")
    once = True
    harm = "becomes part of a file's path"
    recommendation = (
        "Take the name alone (`secure_filename`, `Path(name).name`), or resolve the path and check "
        "`is_relative_to(folder)`; Flask has `send_from_directory`."
    )
    bad = (
        Example(
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/report')\ndef report():\n"
            "    with open('/srv/reports/' + request.args['name']) as handle:\n        return handle.read()\n",
            "from flask import Flask, request\n\nfrom inside_folder import inside_folder\n\napp = Flask(__name__)\n"
            "\n\n@app.get('/report')\ndef report():\n"
            "    with open(inside_folder('/srv/reports/' + request.args['name'], \"/srv/reports\")) as handle:\n"
            "        return handle.read()\n",
            "flask",
        ),
        Example(
            "from pathlib import Path\n\nfrom fastapi import FastAPI\nfrom fastapi.responses import FileResponse\n\n"
            "app = FastAPI()\nFOLDER = Path('/srv/files')\n\n\n@app.get('/files/{name:path}')\n"
            "async def file(name: str):\n    return FileResponse(FOLDER / name)\n",
            "from pathlib import Path\n\nfrom fastapi import FastAPI\nfrom fastapi.responses import FileResponse\n\n"
            "from inside_folder import inside_folder\n\n"
            "app = FastAPI()\nFOLDER = Path('/srv/files')\n\n\n@app.get('/files/{name:path}')\n"
            "async def file(name: str):\n    return FileResponse(inside_folder(FOLDER / name, FOLDER))\n",
            "fastapi",
        ),
        Example(
            "import os\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\n"
            "from starlette.routing import Route\n\n\nasync def remove(request):\n"
            "    os.remove(os.path.join('/srv/up', request.query_params['file']))\n    return JSONResponse({})\n\n\n"
            "app = Starlette(routes=[Route('/remove', remove, methods=['POST'])])\n",
            "import os\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\n"
            "from starlette.routing import Route\n\nfrom inside_folder import inside_folder\n\n\n"
            "async def remove(request):\n"
            "    os.remove(inside_folder(os.path.join('/srv/up', request.query_params['file']), '/srv/up'))\n"
            "    return JSONResponse({})\n\n\n"
            "app = Starlette(routes=[Route('/remove', remove, methods=['POST'])])\n",
            "starlette",
        ),
        Example(
            "from flask import Flask, request\n\napp = Flask(__name__)\n\n\n@app.get('/show')\ndef show():\n"
            "    with open(request.args['path']) as handle:\n        return {'text': handle.read()}\n",
            None,
            "flask",
        ),
    )
    good = (
        "import os\n\nfrom flask import Flask, request\nfrom werkzeug.utils import secure_filename\n\n"
        "app = Flask(__name__)\n\n\n@app.post('/up')\ndef up():\n    file = request.files['file']\n"
        "    file.save(os.path.join('/srv/up', secure_filename(file.filename)))\n    return 'saved'\n",
        "from pathlib import Path\n\nfrom fastapi import FastAPI, HTTPException\nfrom fastapi.responses import "
        "FileResponse\n\napp = FastAPI()\nFOLDER = Path('/srv/files')\n\n\n@app.get('/files')\n"
        "async def file(name: str):\n    path = (FOLDER / name).resolve()\n    if not path.is_relative_to(FOLDER):\n"
        "        raise HTTPException(404)\n    return FileResponse(path)\n",
    )

    mend_title = "Keep paths that requests choose inside of their folder"
    mend_reason = (
        "A path that leads out of the folder that the code names is answered as a file that is not there; any other "
        "is opened as before. KEEP_PATHS_INSIDE=0 turns it off."
    )

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Paths that are opened, changed or asked about."""
        if calls(seen, *_OPENING):
            if _is_stream(seen):
                return  # its bytes were sent, and no path
            yield Hit(seen.argument(0, *_NAMES), _ACCEPTED, _is_contained)
        elif calls(seen, *_BOTH):
            yield Hit(derived(*seen.arguments[:2]), _ACCEPTED, _is_contained)
        elif calls(seen, *_ASKING):
            yield Hit(seen.argument(0), _ACCEPTED, _is_contained, severity="medium",
                      title="A request asks which files there are")  # fmt: skip
        elif calls(seen, ".extractall", ".extract") and seen.receiver.kind == "tarfile.TarFile":
            if not seen.keywords.keys() & {"filter", "members"}:
                yield Hit(seen.receiver, title="An archive that was sent is unpacked wherever its names lead")
        elif calls(seen, *_OF_PATHS) and seen.receiver.kind == "pathlib.Path":
            yield Hit(seen.receiver, _ACCEPTED, _is_contained)
        elif (
            calls(seen, ".save") and seen.receiver.taints and seen.receiver.kind in ("sent", "fastapi.UploadFile", "")
        ):
            yield Hit(seen.argument(0, "dst"), _ACCEPTED, _is_contained)

    def edits(self, index: Index, place: Reached) -> list[Edit]:
        """The path looked at where it is used. What an archive's names lead to is not to be seen in its call."""
        module = place.seen.module
        if calls(place.seen, ".extractall", ".extract"):
            return []
        is_dirty = holds(index, *_ACCEPTED, harmless=_is_contained, kinds=self.kinds)
        folders = Folders(index, module, module.enclosing_function(place.seen.node), is_dirty)
        edits = []
        for path in _paths(place.seen):
            if not is_dirty(path):
                continue
            folder = folders.folder(path)
            if folder is None:
                return []
            start, end = module.span(path)
            edits.append(Edit(start, end, f"{_GUARD.function}({module.text[start:end]}, {folder})"))
        return [*edits, _GUARD.import_edit(index, module)] if edits else []

    def added_files(self, index: Index, module: Module) -> tuple[FileChange, ...]:
        """The module that looks."""
        return _GUARD.added(index, module)


def _is_stream(seen: Seen) -> bool:
    """Whether a file is handed in that lies in memory: `ZipFile(io.BytesIO(body))`."""
    given = seen.node.args[0] if isinstance(seen.node, ast.Call) and seen.node.args else None
    made = assigned(given, seen.module.enclosing_function(given)) if given is not None else None
    return isinstance(made, ast.Call) and (seen.module.resolve(made.func) or "") in ("io.BytesIO", "io.StringIO")


def _paths(seen: Seen) -> list[ast.expr]:
    """The expressions of the paths at a place."""
    node = seen.node
    if calls(seen, *_BOTH):
        several = [given(node, 0, "src"), given(node, 1, "dst")]
    elif calls(seen, *_OPENING, *_ASKING):
        several = [given(node, 0, *_NAMES)]
    elif calls(seen, ".save"):
        several = [given(node, 0, "dst")]
    else:
        several = [node.func.value if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None]
    return [path for path in several if path is not None]


def _is_contained(taint: Taint) -> bool:
    """Whether checks leave no way out: no separator, or no step upwards in a path that cannot begin at the root."""
    without = {mark.removeprefix("without:") for mark in taint.marks if mark.startswith("without:")}
    if "/" in without:
        return True
    return bool(without & {"..", "../", "./"}) and ("rooted" in taint.marks or "not-first:/" in taint.marks)
