"""Serves the application: `python -m mill_ledger --port 8000`; in production a WSGI server does."""

from __future__ import annotations

import argparse

from mill_ledger import create_app


def main() -> None:
    """Read the port and serve."""
    parser = argparse.ArgumentParser(prog="mill_ledger")
    parser.add_argument("--port", type=int, default=8000)
    create_app().run(host="127.0.0.1", port=parser.parse_args().port, threaded=True)


if __name__ == "__main__":
    main()
