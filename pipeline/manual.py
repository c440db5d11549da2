"""`python -m pipeline.manual`: the manual page, made from the help of every command.

Promises to tell what the parser tells and no more. It is for whoever packages this: `make man`
writes it, and the package argparse-manpage is needed then alone.
"""

import re
import sys
from importlib.metadata import version

from argparse_manpage.manpage import Manpage

from pipeline import cli_options

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_ABOUT = {
    "project_name": "Anechoic",
    "version": version("anechoic"),
    "manual_section": 1,
    "manual_title": "User Commands",
    "description": "a local voice assistant whose every echo can be erased, with proof",
}


def page() -> str:
    """Returns the manual page in roff."""
    head, _, rest = str(Manpage(cli_options.parser(), _data=_ABOUT)).partition("\n")
    rest = _BEYOND_ASCII.sub(lambda it: f"\\[u{ord(it[0]):04X}]", rest)  # groff reads Latin-1
    return head.replace("\\-", "-") + "\n" + rest  # a date has hyphens, and no minus signs


if __name__ == "__main__":
    sys.stdout.write(page())
