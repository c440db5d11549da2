"""The bell: a tone on the loudspeaker and a notification on the desktop, neither of which tells.

Promises that nothing of what an alarm is about goes to either: the notification says "an alarm".
Where there is no loudspeaker or no desktop nothing is raised; `problem` says it once.
"""

import contextlib
import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

from pipeline.assistant.values import REMINDER

if TYPE_CHECKING:  # only what rings needs them
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ = 48_000
TITLE, BODY = "Anechoic", "an alarm"
_NOTES_HZ = (880.0, 660.0)
_NOTE_S, _FADE_S, _PAUSE_S = 0.18, 0.02, 0.4
_LOUDNESS = 0.3
_DESKTOP_S = 10.0
_REMINDER_TIMES, _ALARM_TIMES = 2, 60
_NO_SOUND = "an alarm is ringing, and there is no loudspeaker: `anechoic doctor` tells more"


class Bell:
    """Rings on this machine; `silence` ends that."""

    def __init__(self) -> None:
        self._has_complained = False

    @property
    def is_ringing(self) -> bool:
        """Whether it can be heard just now."""
        try:
            import sounddevice

            return bool(sounddevice.get_stream().active)
        except Exception:  # noqa: BLE001 - no library, or nothing was ever played
            return False

    def ring(self, what: str) -> str | None:
        """Rings for an alarm or a timer until silenced, a minute at most; twice for a reminder.

        Returns at once, with a remark where that could not be heard, the first time.
        """
        notify()
        times = _REMINDER_TIMES if what == REMINDER else _ALARM_TIMES
        try:
            import sounddevice

            sounddevice.play(tone(times), RATE_HZ)
        except Exception:  # noqa: BLE001 - PortAudio raises its own, or its library is missing
            is_first, self._has_complained = not self._has_complained, True
            return _NO_SOUND if is_first else None
        return None

    def silence(self) -> None:
        """Ends the ringing."""
        try:
            import sounddevice

            sounddevice.stop()
        except Exception:  # noqa: BLE001 - then nothing rings
            return


def tone(times: int) -> "NDArray[np.float32]":
    """Returns so many pairs of notes (n, float32, `RATE_HZ`), without clicks at their ends."""
    import numpy as np

    t = np.arange(int(_NOTE_S * RATE_HZ)) / RATE_HZ
    envelope = np.minimum(1.0, np.minimum(t, _NOTE_S - t) / _FADE_S)
    notes = [_LOUDNESS * envelope * np.sin(2 * np.pi * hz * t) for hz in _NOTES_HZ]
    pair = np.concatenate([*notes, np.zeros(int(_PAUSE_S * RATE_HZ))])
    return np.tile(pair, times).astype(np.float32)


def notify() -> bool:
    """Shows on the desktop, where there is one, that an alarm rings; tells whether it was tried."""
    program = shutil.which("notify-send")
    has_desktop = "DBUS_SESSION_BUS_ADDRESS" in os.environ or "DISPLAY" in os.environ
    if program is None or not has_desktop:
        return False
    words = [program, "--app-name", TITLE, "--urgency", "critical", TITLE, BODY]
    threading.Thread(target=_run, args=(words,), daemon=True).start()
    return True


def _run(words: list[str]) -> None:
    nothing = subprocess.DEVNULL
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            words, stdin=nothing, stdout=nothing, stderr=nothing, timeout=_DESKTOP_S, check=False
        )
