"""The command `kompakt`: its sub-commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from .._core.errors import InputError, KompaktError, QuantizerError, RecipeError, nearest
from .bench import bench
from .compress import compress
from .cut import cut
from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .groups import groups
from .importing import import_integers
from .inspect import inspect
from .join import join
from .lists import methods, recipes
from .new import new
from .plan import plan
from .report import report
from .results import results
from .run import run
from .schemes import schemes
from .sensitivity import sensitivity
from .verify import verify
from .versions import library_version

DEBUG_VARIABLE = "KOMPAKT_DEBUG"
FAILED, MISUSED, INTERRUPTED = 1, 2, 130
MISUSE = (RecipeError, QuantizerError, InputError)


class Commands(click.Group):
    """A group that answers a misspelt command with the nearest ones."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(f"no command {args[0]!r}; {nearest(args[0], self.commands)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(library_version(), message="kompakt %(version)s")
def cli() -> None:
    """Compress trained PyTorch networks into small files, and run them without PyTorch.

    Start with `kompakt demo`. Every command works offline and has --help with an example.

    \b
    Exit codes:    0    done
                   1    failed, or a check did not hold
                   2    wrong command line, recipe or input
                   130  interrupted
    Environment:   KOMPAKT_DATA   folder with data/ and models/ (default: ../shared)
                   KOMPAKT_ISA    force a level of the engine: portable, avx2, avx512, amx;
                                   on Arm portable, neon, dotprod
                   KOMPAKT_DEBUG  1: show tracebacks
    """


for _command in (
    demo,
    compress,
    plan,
    inspect,
    import_integers,
    evaluate,
    verify,
    run,
    sensitivity,
    schemes,
    groups,
    cut,
    join,
    bench,
    report,
    results,
    methods,
    recipes,
    new,
    doctor,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Entry point of the console script."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are printed to stderr as one message."""
    if os.environ.get(DEBUG_VARIABLE) == "1":
        return cli.main(list(arguments), prog_name="kompakt", standalone_mode=False) or 0
    try:
        return cli.main(list(arguments), prog_name="kompakt", standalone_mode=False) or 0
    except click.UsageError as error:
        more = f"; see `{error.ctx.command_path} --help`" if error.ctx is not None else ""
        return _failed(f"{error.format_message().rstrip('.')}{more}", MISUSED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except KompaktError as error:
        return _failed(str(error), MISUSED if isinstance(error, MISUSE) else FAILED)
    except BrokenPipeError:  # the reader of our output went away, as in `kompakt inspect ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except ImportError as error:
        return _failed(f"{error}; install what is missing, or check the installation with `kompakt doctor`", FAILED)
    except OSError as error:
        return _failed(f"{error.filename or 'system'}: {error.strerror or error}", FAILED)
    except MemoryError:
        return _failed("not enough memory; use a smaller batch, or fewer images with --limit", FAILED)
    except Exception as error:
        return _failed(
            f"unexpected {type(error).__name__}: {error}; this is a mistake in Kompakt, "
            f"please report it with the output of `{DEBUG_VARIABLE}=1 kompakt ...`",
            FAILED,
        )


def _failed(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code
