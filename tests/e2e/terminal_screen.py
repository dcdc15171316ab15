"""A program at a terminal that is not ours: a pty, and pyte's screen of what it wrote. Pictures that pyte does not know are
taken out of the stream first, as a terminal that shows them would."""
import base64
import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import termios
import time

import pyte
from PIL import Image

GENEROUS_SECONDS = 180
# kitty's APC, sixel's DCS, iTerm2's OSC.
KITTY = re.compile(rb"\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\")
SIXEL = re.compile(rb"\x1bP[0-9;]*q[^\x1b]*\x1b\\")
ITERM2 = re.compile(rb"\x1b\]1337;File=([^:]*):([^\x07]*)\x07")
UNFINISHED = re.compile(rb"\x1b(?:[_P\]][^\x1b\x07]*\x1b?)?$")
ASKS_WHAT_IT_IS = b"\x1b[c"


def set_size(fd, columns, rows):
    """Cells have 10 x 20 pixels."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 10 * columns, 20 * rows))


class Terminal:
    """Runs the command; read until it has ended, or something stands on the screen."""

    def __init__(self, command, environment, columns=80, rows=24, answers=b""):
        self.answers = answers  # To "what are you?"; empty: none.
        self.raw = b""
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._kept = b""
        self._code = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            set_size(0, columns, rows)
            os.execve(command[0], [str(part) for part in command],
                      {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **environment})

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def close(self):
        self.__exit__()

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        set_size(self.fd, columns, rows)

    def type(self, keys):
        os.write(self.fd, keys)

    def say(self, text):
        """What another program writes to the terminal meanwhile."""
        self._stream.feed(text.encode())

    @property
    def lines(self):
        """What stands on the screen, without the blank lines at its end."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    def _feed(self, data):
        self.raw += data
        if ASKS_WHAT_IT_IS in data and self.answers:
            self.type(self.answers)
        data = self._kept + data
        for pattern in (KITTY, SIXEL, ITERM2):
            data = pattern.sub(b"", data)
        unfinished = UNFINISHED.search(data)
        self._kept = unfinished.group(0) if unfinished else b""
        self._stream.feed(data[:len(data) - len(self._kept)])

    def _read(self):
        """False: the program has closed its end."""
        if not select.select([self.fd], [], [], 0.05)[0]:
            return True
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            return False
        self._feed(data)
        return bool(data)

    def read_all(self):
        """What has been written so far."""
        while select.select([self.fd], [], [], 0)[0]:
            self._read()

    def wait_until(self, found):
        deadline = time.monotonic() + GENEROUS_SECONDS
        while not found():
            assert self._read(), "ended:\n" + "\n".join(self.lines)
            assert time.monotonic() < deadline, "\n".join(self.lines)

    def wait_for_text(self, text):
        self.wait_until(lambda: text in "\n".join(self.lines))

    def wait(self):
        """The exit code, as a shell has it."""
        deadline = time.monotonic() + GENEROUS_SECONDS
        while self._read():
            assert time.monotonic() < deadline, "\n".join(self.lines)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self._code = code if code >= 0 else 128 - code
        return self._code

    def kitty_pictures(self):
        """(control, picture) of all that were sent, in order."""
        pictures, control, text = [], b"", b""
        for keys, payload in KITTY.findall(self.raw):
            if b"a=d" in keys:
                continue
            control, text = (keys, payload) if b"a=T" in keys else (control, text + payload)
            if b"m=0" in keys:
                pictures.append((control.decode(), Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")))
        return pictures

    def iterm2_pictures(self):
        return [Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB") for _, text in ITERM2.findall(self.raw)]

    def block_pixels(self, row, column, columns, rows):
        """The colours of half blocks in these cells: rows of pixels of (r, g, b), two a cell."""
        pixels = []
        for y in range(row, row + rows):
            cells = [self.screen.buffer[y][x] for x in range(column, column + columns)]
            assert all(cell.data == "▀" for cell in cells), [cell.data for cell in cells]
            pixels.append([rgb(cell.fg) for cell in cells])
            pixels.append([rgb(cell.bg) for cell in cells])
        return pixels


def rgb(colour):
    return tuple(bytes.fromhex(colour))
