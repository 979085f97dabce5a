"""The command line: `rlvr VERB RUN`, one file per verb.

Data goes to standard output, talk to standard error. Exit codes: 0 done; 1 nothing found, or a
question answered no (records were lost); 2 wrong usage or input that can't be read.
"""

import errno
import io
import os
import sys
from collections.abc import Sequence

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, of this process unless given, and exit with its code."""
    from rlvr.cli.app import build
    from rlvr.errors import RecordNotFound, RlvrError
    from rlvr.utils.text import printable

    # A model's text may hold what the terminal's encoding can't: escape it rather than fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        build()(arguments, prog_name="rlvr")
    except RlvrError as error:
        print(f"rlvr: {printable(str(error))}", file=sys.stderr)  # noqa: T201 - the one place that says it
        raise SystemExit(1 if isinstance(error, RecordNotFound) else 2) from None
    except OSError as error:
        if error.errno not in _FULL:
            raise
        # Files of ours say their own name; what is left is standard output, sent to a full disk.
        print(  # noqa: T201 - as above
            f"rlvr: the output could not be written whole ({error.strerror}). Free space where it"
            " goes, or send it elsewhere.",
            file=sys.stderr,
        )
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(2) from None
