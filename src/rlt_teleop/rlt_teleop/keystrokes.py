"""A terminal's bytes as complete keystrokes: the left arrow sends ESC [ D, not a capital D."""

from __future__ import annotations

import re

QUIET_S = 0.25
"""An incomplete sequence ends after this time; so does pasted text."""
MOST = 3
"""At most this many different keys are pressed between two reads; more are pasted text."""
LONGEST = 64
"""Bytes of the longest sequence that a terminal sends."""
BRACKETED = ("\x1b[?2004h", "\x1b[?2004l")
"""Asks a terminal to mark pasted text, and to stop marking it."""
PASTE, PASTED = b"\x1b[200~", b"\x1b[201~"
STROKE = re.compile(
    rb"""
    [\x20-\x7e]                                             # an ordinary key
  | (?: \x1b+\[ | \x9b ) (?: \[.                            # the Linux console's F1 to F5
                           | M.{3}                          # a mouse
                           | (?!M) [0-?]* [\x20-/]* [@-Z\\-~] )  # CSI: arrows, function keys
  | (?: \x1b+O | \x8f ) [0-9;]* [\x40-\x7e]                 # SS3: function keys, the keypad
  | \x1b+ [\]PX^_] .*? (?: \x07 | \x1b\\ )                  # an answer of the terminal itself
  | \x1b+ [^\x1b\[\]OPX^_\x80-\xff]                         # with Alt
  | \x1b* (?: [\xc2-\xdf][\x80-\xbf]                        # UTF-8
            | [\xe0-\xef][\x80-\xbf]{2}
            | [\xf0-\xf4][\x80-\xbf]{3} )
  | \x1b* [\xc2-\xf4] [\x80-\xbf]{0,2} (?= [^\x80-\xbf] )   # incomplete UTF-8
  | \x1b* [\x80-\x8e\x90-\x9a\x9c-\xc1\xf5-\xff]            # not UTF-8
  | [\x00-\x1a\x1c-\x1f\x7f]                                # with Ctrl
    """,
    re.DOTALL | re.VERBOSE,
)


class Keystrokes:
    """Assembles a terminal's bytes, however they are split. Pasted text is not a keystroke."""

    def __init__(self) -> None:
        self._begun = b""
        self._pasting = False
        self._came = 0.0

    def read(self, data: bytes, now: float) -> list[str]:
        """Process what has arrived, possibly nothing, at monotonic time `now` in s.

        Time counts only while nothing arrives: a late read does not count as a pause.

        Returns:
            Every keystroke that is complete: one character for an ordinary key, and what the
            terminal sent for any other.
        """
        if not data:
            return self._end() if now - self._came >= QUIET_S else []
        self._came = now
        self._begun += data
        strokes = []
        while (stroke := self._next()) is not None:
            strokes.append(stroke)
        if len(set(strokes)) > MOST:
            self._pasting = True
            return []
        return strokes

    def _end(self) -> list[str]:
        """End what has begun: the Escape key, or a sequence whose end is lost."""
        left = [] if self._pasting or not self._begun else [_text(self._begun)]
        self._begun, self._pasting = b"", False
        return left

    def _next(self) -> str | None:
        """The next complete keystroke; None if the rest is still to come."""
        if self._pasting or self._begun.startswith(PASTE):
            return self._skip_paste()
        match = STROKE.match(self._begun)
        if match is None:
            self._pasting = len(self._begun) > LONGEST
            return None
        self._begun = self._begun[match.end() :]
        return _text(match[0])

    def _skip_paste(self) -> str | None:
        """The first keystroke after pasted text; None if the text may go on."""
        _, end, after = self._begun.partition(PASTED)
        self._pasting = not end
        self._begun = after if end else self._begun[1 - len(PASTED) :]
        return self._next() if end else None


def _text(stroke: bytes) -> str:
    return stroke.decode(errors="backslashreplace")
