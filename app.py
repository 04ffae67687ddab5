"""Humanscope: the page (`python app.py` or `python app.py serve`) and the command line."""

from __future__ import annotations

import argparse
import importlib
import sys
from functools import partial
from pathlib import Path

from pipelines import __version__
from pipelines.commands import add_commands, default_root, dispatch
from pipelines.evaluate_command import add_evaluate


def serve(arguments: argparse.Namespace) -> int:
    """Start the page."""
    from ui.server import serve as start

    root = arguments.runs or default_root()
    start(host=arguments.host, port=arguments.port, runs=root, offline=arguments.offline, root_path=arguments.root_path)
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="humanscope", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_commands(commands)
    add_evaluate(commands, partial(importlib.import_module, "training.people"))
    page = commands.add_parser("serve", help="the page (default)")
    page.add_argument("--host", default="127.0.0.1")
    page.add_argument("--port", type=int, default=7860)
    page.add_argument("--runs", type=Path, default=None, metavar="DIR", help="the store (default: HUMANSCOPE_HOME)")
    page.add_argument("--offline", action="store_true", help="never ask another host for anything")
    page.add_argument("--root-path", default="", metavar="P", help="prefix behind a proxy, for example /humanscope")
    page.set_defaults(handler=serve)
    return parser


def main(words: list[str] | None = None) -> int:
    """Parse and run; returns the exit code."""
    words = sys.argv[1:] if words is None else words
    return dispatch(build_parser().parse_args(words or ["serve"]))


if __name__ == "__main__":
    sys.exit(main())
