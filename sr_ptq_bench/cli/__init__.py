"""The command line `srq`: its start and its end, and what the commands share.

May import: every room.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import click

from ..errors import DEBUG, SrqError, unknown
from .complete import check_completion
from .last_resort import close_stdout, describe_os_error, last_words, prepare_streams, report_defect

COMMANDS = {
    "run": "Measure one method at one bit-width and scale.",
    "upscale": "Upscale photos by a quantized network.",
    "sweep": "Measure a grid of methods, bits and scales.",
    "ablate": "Vary one thing of 2DQuant, as the paper's Table 4 does.",
    "table": "Turn records into tables, or compare them with published scores.",
    "plot": "Draw figures of records and runs.",
    "report": "Make a site of all records, for a browser.",
    "analyze": "Rank sites by their quantization loss.",
    "new-method": "Write the package of a new method, ready to be installed.",
    "methods": "List the installed methods and their options.",
    "data": "Fetch or import weights and images; make LR copies and LMDBs.",
    "verify": "Score the state of a record again, and compare.",
    "doctor": "Say what is wrong with this installation or machine.",
    "cache": "Show what is kept under SRQ_HOME, or remove it.",
}
CONTINUING = (["run"], ["ablate"])
"""Commands that an interrupted user can call again and lose nothing."""
EXPECTED_FAILURE = 2
DEFECT = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
SPIN_COUNT = "4500"
"""How long a thread of OpenMP spins while it waits for the others, unless the user says otherwise. By default it spins
for so long that two processes on one machine slow each other down several times; less spinning costs a process alone
(docs/speed.md)."""
_HELP_IS_WANTED: type[click.ClickException] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""The exception of a group without a command, from click 8.2 on."""


class PipeClosedError(Exception):
    """The reader of a pipe, such as head, has seen enough. Of a BrokenPipeError click itself makes status 1."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is called, so that `srq --help` needs neither torch nor pandas."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:  # a shell completes words
                return None
            raise unknown("command", cmd_name, COMMANDS)
        module = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f".commands.{module}", __name__), module)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; raises UsageError for an empty word, which a path takes for this folder."""
        for before, word in pairwise(["", *args]):
            option = re.fullmatch(r"(--[a-z-]+)=", word)
            if (option or not word) and not ctx.resilient_parsing:
                of = option[1] if option else f"the word after {before}" if before else "the first word"
                raise click.UsageError(f"{of} is empty; is a variable of the shell not set?")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Call the command; raises OSError where the working folder is gone, PipeClosedError where a pipe is."""
        Path.cwd()
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise PipeClosedError from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="sr_ptq_bench")
def srq() -> None:
    """Measure post-training quantization (PTQ) methods for image super-resolution.

    \b
    Start here:
      srq run --method 2dquant --bits 2 --scale 2    quantize SwinIR-light to 2 bits and score it
      srq table                                      turn all records into tables
      srq upscale photo.jpg                          upscale a photo by DAT-light at 4 bits
      srq methods                                    list the methods for --method

    The default suite `sample` works offline: its weights and photographs are installed with srq.
    """


def main() -> None:
    """Run `srq`; an expected failure is one line on stderr and exit status 2, a defect of srq is status 70."""
    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    prepare_streams()
    try:
        check_completion()
        srq.main(prog_name="srq", standalone_mode=False)
        sys.stdout.flush()
    except SrqError as error:
        _traceback_if_wanted()
        _fail(str(error))
    except click.ClickException as error:
        if isinstance(error, _HELP_IS_WANTED):
            error.show()
            sys.exit(EXPECTED_FAILURE)
        _fail(error.format_message() + _next_step(error))
    except (click.Abort, KeyboardInterrupt):
        again = ", and the same run continues where it was" * (sys.argv[1:2] in CONTINUING)
        last_words(f"srq: interrupted; no file is left half-written{again}")
        sys.exit(INTERRUPTED)
    except (PipeClosedError, BrokenPipeError):
        close_stdout()
        sys.exit(PIPE_CLOSED)
    except OSError as error:
        _traceback_if_wanted()
        close_stdout()
        _fail(describe_os_error(error))
    except Exception as error:
        _traceback_if_wanted()
        last_words(report_defect(error))
        sys.exit(DEFECT)


def _traceback_if_wanted() -> None:
    if os.environ.get(DEBUG):
        traceback.print_exc()


def _next_step(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f" See `{context.command_path} --help`." if context else ""


def _fail(message: str) -> None:
    last_words(f"srq: {' '.join(message.split())}")
    sys.exit(EXPECTED_FAILURE)
