"""What our commands have in common: JSON where it was asked for, colours, being interrupted."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext, override

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

EXIT_FAILED, EXIT_USAGE = 1, 2
#: What shells say of a process that SIGINT or SIGTERM has ended.
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, as from whoever stops a container."""


class UserpodsCommand(BaseCommand):
    """A command whose ``--format json`` is one JSON document on stdout, whatever happens.

    Also where arguments or settings are wrong, a system check fails, or it is interrupted: then the
    document has ``"ok": false`` and ``error``. ``NO_COLOR`` (https://no-color.org) is heeded.

    People are spoken to in the language of the settings, as in every command of Django's; programs,
    which is who reads JSON, in English.
    """

    help = ""
    _from_shell = False
    _json_asked = False
    _document_written = False

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Django's signature
        super().__init__(*args, **options)
        if self.help:
            # Not before a language is known.
            self.help = gettext(self.help)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:  # noqa: ANN401
        """Make what is wrong with arguments JSON, too, where that is how to report."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if self._json_asked:

            def refuse(message: str) -> NoReturn:
                parser.print_usage(sys.stderr)
                self.write_error(message)
                sys.exit(EXIT_USAGE)

            parser.error = refuse  # type: ignore[method-assign]
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        """Run as a process' own work, which SIGTERM ends as Ctrl-C does."""
        self._from_shell, self._json_asked = True, asks_for_json(argv[2:])
        with _terminable(), _language_for(as_json=self._json_asked):
            super().run_from_argv(argv)

    def execute(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401
        """Run; where JSON was asked for, nothing but the document goes to stdout."""
        as_json = options.get("format") == "json"
        with _language_for(as_json=as_json):
            return self._execute(args, options, as_json=as_json)

    def _execute(self, args: Any, options: dict[str, Any], *, as_json: bool) -> Any:  # noqa: ANN401
        if (as_json or os.environ.get("NO_COLOR")) and not options.get("force_color"):
            options["no_color"] = True
        self._document_written = False
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt as error:
            if not (as_json or self._from_shell):
                raise
            message = gettext(
                "interrupted: what was done is recorded, and the next run continues from there"
            )
            self._end(message, as_json=as_json)
            sys.exit(EXIT_TERMINATED if isinstance(error, Terminated) else EXIT_INTERRUPTED)
        except CommandError as error:
            if not as_json:
                raise
            self.write_error(str(error).strip())
            sys.exit(error.returncode)
        except Exception as error:
            if not as_json:
                raise
            # A fault of ours or the project's: who reads standard error is told where.
            traceback.print_exc(file=self.stderr)
            self.write_error(f"{type(error).__name__}: {error}")
            sys.exit(EXIT_FAILED)

    def _end(self, message: str, *, as_json: bool) -> None:
        if as_json:
            self.write_error(message)
        else:
            self.complain(message[0].upper() + message[1:], "ERROR")

    def write_json(self, document: dict[str, Any]) -> None:
        """Write the one document. Nothing else may be written to stdout before or after it."""
        self._document_written = True
        self.stdout.write(json.dumps(document, indent=2, default=str))
        self.stdout.flush()

    def write_error(self, message: str, **more: Any) -> None:  # noqa: ANN401
        """Write the document of a run that came to nothing, unless one is written already."""
        if not self._document_written:
            self.write_json({**more, "ok": False, "error": message})

    def say(self, text: str, style: str = "") -> None:
        """Write a line to stdout, in one of Django's styles where that is a terminal."""
        self._write_line(self.stdout, text, style)

    def complain(self, text: str, style: str = "WARNING") -> None:
        """Write a line to stderr, in that style alone: Django's own would make all of it red."""
        self._write_line(self.stderr, text, style)

    def ask(self, question: str) -> None:
        """Write a question to stderr, for what stdout is sent to may be a file for a script."""
        self.stderr.write(f"{question} ", str, ending="")
        self.stderr.flush()

    def _write_line(self, stream: Any, text: str, style: str) -> None:  # noqa: ANN401 - OutputWrapper
        stream.write(text, self.styled(stream, style))

    def styled(self, stream: Any, style: str) -> Any:  # noqa: ANN401 - OutputWrapper; a function
        """Return what puts a text into a style; what leaves it alone where nobody would see it."""
        return getattr(self.style, style) if style and stream.isatty() else str


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Tell whether ``--format json`` is among the arguments, which may be wrong otherwise."""
    for argument, following in itertools.pairwise([*arguments, ""]):
        name, mark, value = argument.partition("=")
        # argparse takes what is short of it, too.
        if len(name) > len("--for") and "--format".startswith(name):
            return (value if mark else following) == "json"
    return False


def _language_for(*, as_json: bool) -> AbstractContextManager[None]:
    return override(None) if as_json else nullcontext()


@contextmanager
def _terminable() -> Iterator[None]:
    """Have SIGTERM raise Terminated in the meantime, where this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
