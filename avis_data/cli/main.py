"""`avis-data`: one command line, from its first moment to its exit code. All that takes time is imported inside.

Until `heed_signals` has run, Ctrl-C is Python's own traceback: so nothing is imported before.
"""

from __future__ import annotations

import os
import sys

__all__ = ["entry", "main"]


def main(argv: list[str] | None = None) -> int:
    """Run one command line and give its exit code; expected errors are printed without a traceback."""
    import click

    from avis_data.cli import interruption
    from avis_data.cli.commands import cli
    from avis_data.errors import AvisError, ExitCode, is_interruption

    arguments = sys.argv[1:] if argv is None else argv
    interruption.begin()
    try:
        result = cli.main(args=arguments, prog_name="avis-data", standalone_mode=False)
    except AvisError as error:
        if interruption.is_on_its_way() or is_interruption(error):
            return _interrupted()
        if (misread := _misread(error)) is not None:
            return _tell(misread, {"error": misread, "hint": None, "exit_code": int(ExitCode.MISSING_TOOL)}, arguments)
        return _tell(str(error), error.as_dict(), arguments)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return int(ExitCode.USAGE)
    except BrokenPipeError:  # the reader of our output went away, as `| head` does
        if interruption.is_on_its_way():  # or it was a worker that did
            return _interrupted()
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except Exception as error:
        if interruption.is_on_its_way() or is_interruption(error):
            return _interrupted()
        message = _of_machine(error)
        if message is None:
            raise
        return _tell(message, {"error": message, "hint": None, "exit_code": int(ExitCode.MISSING_TOOL)}, arguments)
    return int(result) if isinstance(result, int) else int(ExitCode.OK)


def _interrupted() -> int:
    from avis_data.cli import interruption

    print(interruption.INTERRUPTED, file=sys.stderr)
    return 130


def _of_machine(error: Exception) -> str | None:
    """What to say where the machine, and no bug, is behind an error: no rights, no space, a folder for a file."""
    from avis_data.errors import fault_of

    fault = fault_of(error)
    if fault is not None:
        return f"{fault.message}, then run the same command again"
    return f"{error.filename or 'the system'}: {error.strerror or error}" if isinstance(error, OSError) else None


def _misread(error: Exception) -> str | None:
    """What to say of a file that was taken for damaged where it is the machine that does not give it."""
    from avis_data.errors import DataError, Reason, fault_of

    fault = fault_of(error) if type(error) is DataError else None
    if fault is None or fault.reason in (Reason.DISK_FULL, Reason.NO_ACCESS):  # no reading ends so, or it is the file's
        return None
    first = str(error.args[0]).splitlines()[0]
    return f"{first}: it is not the file: {fault.message}, then run the same command again"


def _tell(message: str, as_dict: dict[str, object], arguments: list[str]) -> int:
    """Print an expected error on stderr, with `--json` also as the one object on stdout; gives its exit code."""
    import json

    import click

    from avis_data.log import redact

    click.echo(f"avis-data: {redact(message)}", err=True)
    if "--json" in arguments:
        click.echo(redact(json.dumps(as_dict)))
    code = as_dict["exit_code"]
    assert isinstance(code, int)
    return code


def entry() -> None:
    """The console script. A polite end by the system (a job's time is up) is an interruption like Ctrl-C."""
    try:
        from avis_data.cli import interruption

        interruption.heed_signals()
        try:
            code = main()
        finally:
            interruption.end()
    except KeyboardInterrupt:  # it came between two of the lines above
        from avis_data.cli.interruption import end

        end()
        code = _interrupted()
    except Exception:  # a bug: its traceback, without secrets of addresses that it may quote
        import traceback

        from avis_data.log import redact

        print(redact(traceback.format_exc()), file=sys.stderr, end="")
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    entry()
