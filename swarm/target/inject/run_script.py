"""Runs a script as `python script` does, in a child of the fork server: that one's own command line names this file.

Standard library only, Python 3.8 and later.
"""
# mypy: ignore-errors
# ruff: noqa: PTH100, PTH120 - it runs in any interpreter

import os
import runpy
import sys

del sys.argv[0]
sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
