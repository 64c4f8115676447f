"""Keys are keys, not characters: only a bound key's own byte moves or requests anything."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlt_teleop.key_bindings import FUNCTION_KEYS, MOTION_KEYS, TAKEOVER_KEY, TURBO_KEYS, Keys
from rlt_teleop.keystrokes import LONGEST, PASTE, PASTED, QUIET_S, Keystrokes

BOUND = [*MOTION_KEYS, *TURBO_KEYS, *FUNCTION_KEYS, TAKEOVER_KEY]
LOOK_S = 0.02
FOREIGN = st.one_of(  # what a terminal sends for anything but an ordinary key
    st.from_regex(rb"\A\x1b\[(?!M|20[01]~)[0-9:;<=>?]{0,6}[@-Z\\-~]\Z"),  # arrows, function keys
    st.from_regex(rb"\A\x1b\[\[[A-E]\Z"),  # F1 to F5 of the Linux console
    st.from_regex(rb"\A\x1b\[M[ -~]{3}\Z"),  # a mouse
    st.from_regex(rb"\A\x1bO[0-9;]{0,4}[@-~]\Z"),  # F1 to F4, the keypad
    st.from_regex(rb"\A\x1b[\]PX^_][ -~]{0,40}(\x07|\x1b\\)\Z"),  # an answer of the terminal
    st.from_regex(rb"\A\x1b+[ -NQ-WYZ`-~]\Z"),  # with Alt
    st.from_regex(rb"\A[\x00-\x1a\x1c-\x1f\x7f]\Z"),  # with Ctrl
    st.characters(min_codepoint=0x80).map(lambda key: key.encode(errors="ignore")),
    st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)).map(
        lambda text: PASTE + text.encode() + PASTED
    ),
)


def struck(*reads: bytes, look_s: float = LOOK_S) -> list[str]:
    """The keystrokes in what arrives with these reads, and then nothing more."""
    keystrokes, now, found = Keystrokes(), 100.0, []
    for data in (*reads, *[b""] * (int(QUIET_S / LOOK_S) + 2)):
        found += keystrokes.read(data, now)
        now += look_s if data else LOOK_S
    return found


def split(data: bytes, places: list[int]) -> list[bytes]:
    """The same bytes in several reads."""
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]


def does_nothing(strokes: list[str]) -> bool:
    """Whether none of these keystrokes is bound on a keyboard that has just been started."""
    keys = Keys()
    meant = [stroke for stroke in strokes if keys.press(stroke, 1.0)]
    return not meant and not any(keys.axes(1.0)) and not any(keys.buttons(1.0))


@pytest.mark.parametrize("key", BOUND)
def test_a_bound_key_is_itself(key):
    assert struck(key.encode()) == [key]
    assert struck(2 * key.encode()) == [key, key]


@pytest.mark.parametrize(
    "sequence",
    [b"\x1b[D", b"\x1bOD", b"\x1b[1;5D", b"\x1b\x1b[D", b"\x1b[[A", b"\x9bD", b"\x8fD", b"\x1bd",
     b"\x1b[15~", b"\x1b[M !d", b"\x1bOy", "é".encode(), "\u212a".encode(), b"\xe9", b"\x1b",
     b"\x1b]0;wasd\x07", b"\x1bP1$r w\x1b\\", PASTE + b"dddd y" + PASTED],
    ids=repr,
)
def test_another_key_means_nothing_however_it_is_split(sequence):
    for place in range(len(sequence)):
        for look_s in (LOOK_S, 3 * QUIET_S):  # the second: the node was stalled between two reads
            reads = filter(None, (sequence[:place], sequence[place:]))
            assert does_nothing(struck(*reads, look_s=look_s))


@settings(deadline=None)
@given(st.lists(FOREIGN, max_size=3), st.lists(st.integers(0, 1000)))
@example([b"\x1b[", b"D"], [2])
@example(["Û".encode()], [1])
def test_no_bytes_but_a_bound_keys_own_do_anything(sequences, places):
    assert does_nothing(struck(*split(b"".join(sequences), places)))


@settings(deadline=None)
@given(st.lists(FOREIGN, max_size=3), st.sampled_from(BOUND), st.lists(st.integers(0, 1000)))
def test_a_bound_key_is_found_among_others(sequences, key, places):
    data = b"".join(sequences)
    reads = split(data, places)
    keystrokes, now = Keystrokes(), 100.0
    for read in reads:
        keystrokes.read(read, now)
    keystrokes.read(b"", now + QUIET_S)
    assert keystrokes.read(key.encode(), now + 1.0) == [key]


@settings(deadline=None)
@given(st.binary(max_size=3 * LONGEST), st.lists(st.integers(0, 1000)))
def test_after_any_bytes_and_a_pause_keys_are_heard_again(data, places):
    keystrokes = Keystrokes()
    for read in split(data, places):
        keystrokes.read(read, 100.0)
    keystrokes.read(b"", 100.0 + QUIET_S)
    assert keystrokes.read(b"w", 101.0) == ["w"]
    assert len(keystrokes._begun) == 0


@pytest.mark.parametrize("size", [len("drop it, now"), 3000])
def test_a_burst_of_text_is_pasted_to_its_end(size):
    text = (b"drop it, now\n" * 300)[:size]
    assert struck(*(text[place : place + 1024] for place in range(0, size, 1024))) == []
    assert struck(text, b"d", look_s=0.5 * QUIET_S) == []  # its last letters came apart


def test_two_keys_at_once_and_key_repeat_are_no_burst():
    assert struck(b"wQ") == ["w", "Q"]
    assert struck(20 * b"w" + b" ") == [*"wwwwwwwwwwwwwwwwwwww "]


def test_only_a_paste_ends_with_its_mark():
    assert struck(PASTE + b"dd" + PASTED + b"w") == ["w"]
    assert struck(PASTE + b"dd", PASTED[:3], PASTED[3:] + b"w") == ["w"]
    assert struck(b"\x1b[D" + b"w") == ["\x1b[D", "w"]
    assert struck(b"\xc3", b"\x9bD") == ["Û", "D"]  # not CSI D
