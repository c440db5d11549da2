"""Recognising what was cut off: utterances that were recovered without a transcript.

Promises that only the newest interactions are looked at, that one forgotten meanwhile gets nothing,
and that one which turns out to be a command about privacy is erased: it was never to be stored.
Settling, which every command does, recovers the sound and loads no model; this is for who has one.
"""

from itertools import islice

from keys.errors import Erased
from keys.model import InteractionId
from pipeline import write
from pipeline.artefact import AUDIO, META, TRANSCRIPT, Transcript, decode_audio
from pipeline.assistant.derive import derive
from pipeline.assistant.derived import Context
from pipeline.assistant.here import now as here_and_now
from pipeline.erase import erase
from pipeline.plan import make_plan
from pipeline.recognise import Recogniser
from pipeline.session import acting, now
from pipeline.vault import Vault

_LOOK_BACK = 256  # interactions; those cut off are among the newest


def complete(vault: Vault, recogniser: Recogniser) -> list[InteractionId]:
    """Gives the newest interactions that were cut off the transcripts they lack; returns them."""
    with acting(vault):
        newest = islice(vault.interactions(), _LOOK_BACK)
        lacking = [it for it in newest if _lacks_transcript(vault, it)]
    return [it for it in lacking if _recognised(vault, it, recogniser)]


def _lacks_transcript(vault: Vault, interaction: InteractionId) -> bool:
    kinds = {a.kind for a in vault.artefacts(interaction) if vault.is_live(a)}
    return kinds >= {AUDIO, META} and TRANSCRIPT not in kinds


def _recognised(vault: Vault, interaction: InteractionId, recogniser: Recogniser) -> bool:
    try:
        with acting(vault):
            pcm = decode_audio(vault.read(interaction, AUDIO))
            vault.note_read("recognise", [interaction])
        heard = Transcript(recogniser.recognise(pcm))
        is_private = derive(heard.text, Context(here_and_now())).is_private
        with acting(vault):
            is_mine = _lacks_transcript(vault, interaction)  # another process may have been at it
            if is_mine and is_private:
                erase(vault, make_plan(vault, [interaction], now()), now)
            elif is_mine:
                write.add(vault, interaction, (TRANSCRIPT, heard.encode()))
    except Erased:  # while it was recognised
        return False
    return is_mine and not is_private
