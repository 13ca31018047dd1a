"""Examples of the rule error-details-leak."""

from __future__ import annotations

from swarm.rules.rule import Example

BAD = (
    Example(
        "import logging\n\nfrom fastapi import FastAPI\n\nlog = logging.getLogger(__name__)\n"
        "app = FastAPI()\n\n\n"
        '@app.post("/x")\nasync def x(body: dict) -> dict:\n    try:\n        return {"n": body["n"]}\n'
        '    except Exception as exc:\n        return {"ok": False, "error": f"failed: {exc!r}"}\n',
        "import logging\n\nfrom fastapi import FastAPI\n\nlog = logging.getLogger(__name__)\n"
        "app = FastAPI()\n\n\n"
        '@app.post("/x")\nasync def x(body: dict) -> dict:\n    try:\n        return {"n": body["n"]}\n'
        '    except Exception:\n        log.exception("x failed")\n'
        '        return {"ok": False, "error": "internal server error"}\n',
        "fastapi",
    ),
    Example(
        "import logging\nimport traceback\n\nfrom fastapi import FastAPI, Request\n"
        "from fastapi.responses import JSONResponse\n\nlogger = logging.getLogger(__name__)\n"
        "app = FastAPI()\n\n\n"
        '@app.post("/hook")\nasync def hook(request: Request) -> JSONResponse:\n    try:\n'
        "        return JSONResponse(await request.json())\n    except Exception as exc:\n"
        '        logger.error("hook failed: %s", exc)\n        return JSONResponse(\n'
        '            {"error": str(exc), "trace": traceback.format_exc()}, status_code=500\n        )\n',
        "import logging\n\nfrom fastapi import FastAPI, Request\n"
        "from fastapi.responses import JSONResponse\n\nlogger = logging.getLogger(__name__)\n"
        "app = FastAPI()\n\n\n"
        '@app.post("/hook")\nasync def hook(request: Request) -> JSONResponse:\n    try:\n'
        "        return JSONResponse(await request.json())\n    except Exception as exc:\n"
        '        logger.error("hook failed: %s", exc, exc_info=True)\n        return JSONResponse(\n'
        '            {"error": "internal server error"}, status_code=500\n        )\n',
        "fastapi",
    ),
    Example(
        "import logging\nimport traceback\n\nfrom flask import Flask, jsonify\n\napp = Flask(__name__)\n\n\n"
        '@app.post("/hook")\ndef hook():\n    try:\n        return jsonify(ok=True)\n'
        "    except Exception as exc:\n"
        '        logging.error(f"failed: {traceback.format_exc()}")\n'
        "        return jsonify(error=str(exc)), 500\n",
        "import logging\nimport traceback\n\nfrom flask import Flask, jsonify\n\napp = Flask(__name__)\n\n\n"
        '@app.post("/hook")\ndef hook():\n    try:\n        return jsonify(ok=True)\n'
        "    except Exception:\n"
        '        logging.error(f"failed: {traceback.format_exc()}")\n'
        '        return jsonify(error="internal server error"), 500\n',
        "flask",
    ),
    Example(
        'from flask import Flask, jsonify\n\napp = Flask(__name__)\n\n\n@app.get("/rows")\ndef rows():\n'
        "    try:\n"
        "        return jsonify(rows=[1])\n    except Exception as exc:\n"
        "        return jsonify(error=str(exc)), 500\n",
        "import logging\n\nfrom flask import Flask, jsonify\n\nlogger = logging.getLogger(__name__)\n\n"
        'app = Flask(__name__)\n\n\n@app.get("/rows")\ndef rows():\n    try:\n'
        "        return jsonify(rows=[1])\n    except Exception:\n"
        '        logger.exception("rows failed")\n        return jsonify(error="internal server error"), 500\n',
        "flask",
    ),
    Example(
        "from fastapi import FastAPI, HTTPException\n\napp = FastAPI()\n\n\n"
        '@app.get("/rate/{name}")\ndef rate(name: str) -> float:\n    try:\n        return float(name)\n'
        "    except Exception as e:\n"
        '        raise HTTPException(status_code=502, detail=f"rate failed: {e}") from e\n',
        "import logging\n\nfrom fastapi import FastAPI, HTTPException\n\nlogger = logging.getLogger(__name__)\n\n"
        'app = FastAPI()\n\n\n@app.get("/rate/{name}")\ndef rate(name: str) -> float:\n    try:\n'
        "        return float(name)\n"
        '    except Exception as e:\n        logger.exception("rate failed")\n'
        '        raise HTTPException(status_code=502, detail="bad gateway") from e\n',
        "fastapi",
    ),
    Example(
        "from flask import Flask, jsonify\n\napp = Flask(__name__)\n\n\n"
        "@app.errorhandler(Exception)\ndef broken(error):\n"
        '    return jsonify(error=str(error)), 500\n\n\n@app.get("/a")\ndef a():\n    return {}\n',
        "import logging\n\nfrom flask import Flask, jsonify\n\n"
        "logger = logging.getLogger(__name__)\n\napp = Flask(__name__)\n\n\n"
        "@app.errorhandler(Exception)\ndef broken(error):\n"
        '    logger.error("broken: an error was not handled", exc_info=error)\n'
        '    return jsonify(error="internal server error"), 500\n\n\n@app.get("/a")\ndef a():\n    return {}\n',
        "flask",
    ),
)

GOOD = (
    # what a framework says of its own errors, and an exception of the service's that becomes 4xx
    "from flask import Flask, jsonify\nfrom werkzeug.exceptions import NotFound\n\napp = Flask(__name__)\n\n\n"
    "@app.errorhandler(404)\ndef missing(error):\n    return jsonify(error=str(error)), 404\n\n\n"
    "@app.errorhandler(NotFound)\ndef gone(error):\n    return jsonify(error=str(error)), 404\n",
    "def attempt(job):\n    try:\n        return job()\n    except Exception as exc:\n"
    '        return {"error": str(exc)}\n',
    'from fastapi import FastAPI, HTTPException\n\napp = FastAPI()\n\n\n@app.get("/age/{text}")\n'
    "def age(text: str) -> int:\n    try:\n        return int(text)\n    except ValueError as exc:\n"
    "        raise HTTPException(status_code=400, detail=str(exc)) from exc\n",
    "class OrderRefused(Exception):\n    pass\n\n\nfrom flask import Flask, jsonify\n\n"
    "app = Flask(__name__)\n\n\n"
    '@app.post("/order")\ndef order():\n    try:\n        raise OrderRefused("sold out")\n'
    "    except OrderRefused as exc:\n        return jsonify(error=str(exc)), 409\n",
    'from flask import Flask, jsonify\n\napp = Flask(__name__)\n\n\n@app.get("/a")\ndef a():\n    try:\n'
    '        return "1"\n'
    '    except Exception as exc:\n        app.logger.error("failed: %s", str(exc))\n'
    '        return jsonify(error="internal error"), 500\n',
)
