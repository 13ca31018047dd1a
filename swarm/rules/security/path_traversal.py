"""The rule path-traversal."""

from __future__ import annotations

from collections.abc import Iterator

from swarm.analysis.dataflow.frames import Seen
from swarm.analysis.dataflow.values import Taint, derived
from swarm.analysis.index import Index
from swarm.rules.rule import Example
from swarm.rules.security.data_flow import FlowRule, Hit, calls

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


class PathTraversal(FlowRule):
    """A request chooses a file's path: `../../etc/passwd`, or an absolute one, leads out of the folder that is meant.

    Left alone is what cannot lead out: `secure_filename`, the last part of a path alone (`os.path.basename`,
    `Path(x).name`, a parameter of a route that takes no `/`), `send_from_directory`, a resolved path that was checked
    to lie below a folder, names from a fixed list. A check for `..` counts where the path cannot begin at the root.
    """

    id = "path-traversal"
    category = "security"
    severity = "high"
    cwe = ("CWE-22",)
    title = "A request chooses the path of a file"
    sources = ("OWASP ASVS 5.0 5.3.2", "OWASP: path traversal")
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
            None,
            "flask",
        ),
        Example(
            "from pathlib import Path\n\nfrom fastapi import FastAPI\nfrom fastapi.responses import FileResponse\n\n"
            "app = FastAPI()\nFOLDER = Path('/srv/files')\n\n\n@app.get('/files/{name:path}')\n"
            "async def file(name: str):\n    return FileResponse(FOLDER / name)\n",
            None,
            "fastapi",
        ),
        Example(
            "import os\n\nfrom starlette.applications import Starlette\n"
            "from starlette.responses import JSONResponse\n"
            "from starlette.routing import Route\n\n\nasync def remove(request):\n"
            "    os.remove(os.path.join('/srv/up', request.query_params['file']))\n    return JSONResponse({})\n\n\n"
            "app = Starlette(routes=[Route('/remove', remove, methods=['POST'])])\n",
            None,
            "starlette",
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

    def hits(self, seen: Seen, index: Index) -> Iterator[Hit]:
        """Paths that are opened, changed or asked about."""
        if calls(seen, *_OPENING):
            given = seen.argument(0, "path", "file", "directory", "filename", "path_or_file", "name")
            yield Hit(given, ("path", "flat"), _is_contained)
        elif calls(seen, *_BOTH):
            yield Hit(derived(*seen.arguments[:2]), ("path", "flat"), _is_contained)
        elif calls(seen, *_ASKING):
            yield Hit(seen.argument(0), ("path", "flat"), _is_contained, severity="medium",
                      title="A request asks which files there are")  # fmt: skip
        elif calls(seen, *_OF_PATHS) and seen.receiver.kind == "pathlib.Path":
            yield Hit(seen.receiver, ("path", "flat"), _is_contained)
        elif (
            calls(seen, ".save") and seen.receiver.taints and seen.receiver.kind in ("sent", "fastapi.UploadFile", "")
        ):
            yield Hit(seen.argument(0, "dst"), ("path", "flat"), _is_contained)


def _is_contained(taint: Taint) -> bool:
    """Whether checks leave no way out: no separator at all, or no step upwards in a path that cannot "
    "begin at root."""
    without = {mark.removeprefix("without:") for mark in taint.marks if mark.startswith("without:")}
    if "/" in without:
        return True
    return bool(without & {"..", "../", "./"}) and ("rooted" in taint.marks or "not-first:/" in taint.marks)
