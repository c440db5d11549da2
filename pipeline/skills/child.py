"""The process of one skill, from the inside: confines itself, loads the skill, serves its requests.

It is started by `process.py` with nothing but a pipe to read from and one to write to. What the
skill prints goes nowhere, and what it raises is said as an end without words. Promises to load no
code of the skill before the process is confined.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.skills.confine import confine
from pipeline.skills.interface import (
    CANNOT,
    ERASED,
    REFUSED,
    Answer,
    Declined,
    NotSent,
    Request,
    Result,
    Skill,
    Unknown,
)

ENDS: Mapping[type, str] = {
    Result: "done",
    Declined: "declined",
    NotSent: "not-sent",
    Unknown: "unknown",
}


def main() -> None:
    """Serves requests, a line of JSON each, until the pipe ends."""
    source, out = sys.stdin.buffer, _alone()
    order = json.loads(source.readline())
    folder = Path(order["folder"]) if order["folder"] else None
    undone = confine(network=order["network"], folder=folder)
    skill = _load(order["skill"])
    _tell(out, {"manifest": asdict(skill.manifest), "undone": undone})
    for line in source:
        _tell(out, _served(skill, json.loads(line)))


def _alone() -> BinaryIO:
    """Returns the pipe to write to, which is standard output no longer: what is printed is lost."""
    out = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - it lasts as long as the process
    return out


def _load(where: str) -> Skill:
    module, _, name = where.partition(":")
    skill: Skill = getattr(importlib.import_module(module), name)()
    return skill


def _served(skill: Skill, row: Mapping[str, Any]) -> dict[str, object]:
    request = Request(row["reference"], row["fields"], row["settings"])
    if row["act"] == "erase":
        answer = _or(Answer(), lambda: skill.erase(request))
        known = isinstance(answer, Answer) and answer.how in {ERASED, REFUSED, CANNOT}
        return {"end": answer.how if known else ""}
    outcome = _or(Unknown(), lambda: skill.handle(request))
    answer_fields = outcome.answer if isinstance(outcome, Result) else {}
    return {"end": ENDS.get(type(outcome), "unknown"), "answer": dict(answer_fields)}


def _or(otherwise: object, act: Callable[[], object]) -> Any:  # noqa: ANN401 - what a plug-in gives
    try:
        return act()
    except Exception:  # noqa: BLE001 - whatever it is, its text may hold what was said
        return otherwise


def _tell(out: BinaryIO, row: Mapping[str, object]) -> None:
    out.write(json.dumps(row).encode() + b"\n")
    out.flush()
