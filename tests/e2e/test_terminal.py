"""`hmar` at a terminal: what stands on its screen, and what it leaves behind."""
import os
import re
import signal
import subprocess
import termios

import numpy as np
import pytest
from PIL import Image

from terminal_screen import SIXEL, Terminal

XTERM = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
PLAIN = {"TERM": "vt100", "NO_COLOR": "1"}
KITTY = {"TERM": "xterm-kitty"}
LONG = ("--class", "ship", "--seed", 7, "--count", 64, "--schedule", "quality")


@pytest.fixture
def at_terminal(server, hmar):
    opened = []

    def start(*arguments, environment=XTERM, **options):
        opened.append(Terminal([str(hmar), "--server", server.address, *map(str, arguments)], environment, **options))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.close()


def bars(lines):
    return [line for line in lines if line.startswith("image ")]


def test_each_image_has_one_bar_that_is_redrawn_in_place(at_terminal, tmp_path):
    terminal = at_terminal("generate", "--class", "ship", "--seed", 7, "--count", 3, "--show", "never", "--out", tmp_path)
    assert terminal.wait() == 0
    lines = terminal.lines
    assert lines[0].startswith("request ") and "hmar-cifar10, seed 7" in lines[0]
    assert len(bars(lines)) == 3
    for index, bar in enumerate(bars(lines)):
        assert re.match(rf"image {index + 1}/3  █+  done  seed {7 + index}  [\d.]+ s$", bar)
    assert re.match(r"3 images in [\d.]+ s, of which", lines[4])
    assert lines[5:] == [str(tmp_path / f"image-{seed}.png") for seed in (7, 8, 9)] + [str(tmp_path / "sheet.png")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image-7.png", "image-8.png", "image-9.png", "sheet.png"]
    assert Image.open(tmp_path / "sheet.png").size == (136, 4 + 3 * 132)  # No previews: nobody asked for files of them.


def test_scales_are_seen_to_pass(at_terminal, tmp_path):
    terminal = at_terminal(*("generate", *LONG), "--show", "never", "--out", tmp_path, environment=PLAIN)
    terminal.wait_for_text("scale 3/7")
    assert terminal.wait() == 0
    assert b"\x1b[3" not in terminal.raw  # NO_COLOR.


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {}])
def test_a_dumb_terminal_gets_plain_lines(at_terminal, tmp_path, environment):
    terminal = at_terminal("generate", "--class", "ship", "--seed", 7, "--out", tmp_path, environment=environment, columns=200)
    assert terminal.wait() == 0
    assert b"\x1b" not in terminal.raw
    assert any(line.startswith("image 1/1  done  seed 7") for line in terminal.lines)


def test_a_pipe_gets_plain_lines(server, hmar, tmp_path):
    ended = subprocess.run([hmar, "--server", server.address, "generate", "--class", "ship", "--seed", "7", "--show", "kitty",
                            "--out", tmp_path], capture_output=True, text=True, timeout=180, env=KITTY)
    assert ended.returncode == 0 and "\x1b" not in ended.stderr + ended.stdout
    assert "image 1/1  done  seed 7" in ended.stderr


def test_more_images_than_rows_are_bounded_by_the_screen(at_terminal, tmp_path):
    terminal = at_terminal("generate", "--class", "ship", "--seed", 7, "--count", 40, "--show", "never", "--schedule", "none",
                           "--out", tmp_path, rows=12)
    terminal.wait_for_text("of 40 done")
    terminal.wait_for_text("40 images in")
    assert len(bars(terminal.lines)) <= 12
    assert terminal.wait() == 0
    assert "\n".join(terminal.lines).count("40 images in") <= 1


def test_blocks_show_the_picture_that_was_written(at_terminal, tmp_path):
    terminal = at_terminal("generate", "--class", "ship", "--seed", 7, "--out", tmp_path, rows=30)
    assert terminal.wait() == 0
    row = next(row for row, line in enumerate(terminal.lines) if line.startswith("▀"))
    shown = np.array(terminal.block_pixels(row, 0, 32, 16))
    assert np.array_equal(shown, np.asarray(Image.open(tmp_path / "image-7.png")))


def test_kitty_gets_every_preview_and_the_picture_in_one_place(at_terminal, tmp_path):
    terminal = at_terminal("generate", "--class", "ship", "--seed", 7, "--schedule", "quality", "--out", tmp_path,
                           environment=KITTY)
    assert terminal.wait() == 0
    pictures = terminal.kitty_pictures()
    ids = {re.search(r"i=(\d+)", control).group(1) for control, _ in pictures}
    assert len(pictures) >= 2 and len(ids) == 1
    assert np.array_equal(np.asarray(pictures[-1][1]), np.asarray(Image.open(tmp_path / "image-7.png")))
    assert all("q=2" in control and "c=32,r=16,C=1" in control for control, _ in pictures)
    assert terminal.lines[-2:] == [str(tmp_path / "image-7.png"), str(tmp_path / "sheet.png")]
    assert terminal.lines[3:-2] == [""] * 16  # The picture stands there.


def test_iterm2_gets_the_picture(at_terminal, tmp_path):
    terminal = at_terminal("generate", "--class", "ship", "--seed", 7, "--out", tmp_path,
                           environment={"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"})
    assert terminal.wait() == 0
    assert np.array_equal(np.asarray(terminal.iterm2_pictures()[-1]), np.asarray(Image.open(tmp_path / "image-7.png")))


def test_a_terminal_that_says_so_gets_sixels(at_terminal, tmp_path):
    terminal = at_terminal("generate", "--class", "ship", "--seed", 7, "--out", tmp_path, answers=b"\x1b[?62;4;22c")
    assert terminal.wait() == 0
    assert SIXEL.search(terminal.raw) and b'"1;1;320;320' in terminal.raw
    assert "62;4" not in "\n".join(terminal.lines)  # The answer was not echoed.


def test_a_terminal_that_does_not_answer_gets_blocks(at_terminal, tmp_path):
    terminal = at_terminal("generate", "--class", "ship", "--seed", 7, "--out", tmp_path)
    assert terminal.wait() == 0
    assert terminal.raw.count(b"\x1b[c") == 1
    assert any(line.startswith("▀") for line in terminal.lines)


@pytest.mark.parametrize("typed", [b"ls -l", b"ls -l\n"])
def test_what_was_typed_before_is_left_to_the_shell(server, hmar, tmp_path, typed):
    script = 'read go; "$@"; echo done; read rest; echo "rest is $rest"'
    command = ["/bin/sh", "-c", script, "sh", hmar, "--server", server.address, "generate", "--class", "ship", "--out", tmp_path]
    with Terminal(command, XTERM, answers=b"\x1b[?62;4c") as terminal:
        terminal.type(b"go\n" + typed)
        terminal.wait_for_text("\ndone")
        if typed[-1:] != b"\n":
            terminal.type(b"\n")
        assert terminal.wait() == 0
        assert terminal.lines[-1] == "rest is ls -l"
        assert b"\x1b[c" not in terminal.raw


def test_a_resize_leaves_one_frame(at_terminal, tmp_path):
    terminal = at_terminal("generate", *LONG, "--out", tmp_path, environment=PLAIN, columns=100, rows=30)
    terminal.wait_for_text("scale 2/7")
    terminal.resize(60, 14)
    terminal.wait_until(lambda: len(bars(terminal.lines)) == 11 and terminal.raw.endswith(b"\x1b[?2026l"))
    terminal.resize(90, 20)
    assert terminal.wait() == 0
    text = "\n".join(terminal.lines)
    assert text.count("64 images in") <= 1
    seen = [int(re.match(r"image +(\d+)/64", line).group(1)) for line in bars(terminal.lines)]
    assert seen == sorted(set(seen))  # No bar stands twice.


def modes_of(fd):
    modes = termios.tcgetattr(fd)
    return modes[:6] + [[bytes(c) if isinstance(c, bytes) else c for c in modes[6]]]


def test_ctrl_c_leaves_the_terminal_as_it_was(at_terminal, tmp_path):
    terminal = at_terminal("generate", *LONG, "--out", tmp_path, environment=KITTY)
    before = modes_of(terminal.fd)
    terminal.wait_for_text("scale 2/7")
    terminal.type(b"\x03")
    assert terminal.wait() == 130
    assert terminal.lines[-1] == "hmar: interrupted: the call was cancelled"
    # With ^C the kernel throws away what waits to be read, perhaps a frame's end: so what may be open is closed once more, after it.
    assert terminal.raw.rfind(b"\x1b[?2026h") < terminal.raw.rfind(b"\x1b\\\x1b[?2026l")
    assert b"\x1b[?25l" not in terminal.raw and b"\x1b[?1049h" not in terminal.raw  # Nothing to put back.
    assert terminal.screen.cursor.x == 0
    assert modes_of(terminal.fd) == before


def test_an_edit_without_out_goes_to_pictures(server, hmar, tmp_path):
    for arguments in (["generate", "--class", "ship", "--seed", "7"],
                      ["edit", "--image", "pictures/image-7.png", "--box", "8,8,24,24", "--seed", "3"]):
        subprocess.run([hmar, "--server", server.address, *arguments], cwd=tmp_path, check=True, timeout=180, capture_output=True)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["edit-3.png", "image-7.png", "sheet.png"]


def test_validate_only_makes_no_folder(server, hmar, tmp_path):
    subprocess.run([hmar, "--server", server.address, "generate", "--validate-only"], cwd=tmp_path, check=True, timeout=180,
                   capture_output=True)
    assert not list(tmp_path.iterdir())


def test_after_a_stop_the_frame_begins_below_what_the_shell_wrote(at_terminal, tmp_path):
    terminal = at_terminal("generate", *LONG, "--show", "never", "--out", tmp_path, environment=PLAIN, rows=200)
    terminal.wait_for_text("scale 2/7")
    os.kill(terminal.pid, signal.SIGSTOP)  # As Ctrl-Z does under a shell.
    os.waitpid(terminal.pid, os.WUNTRACED)
    terminal.read_all()
    terminal.say("\r\n\x1b[J$ fg\r\n")
    os.kill(terminal.pid, signal.SIGCONT)
    terminal.wait_for_text("64 images in")
    above = terminal.lines[:terminal.lines.index("$ fg")]
    below = terminal.lines[terminal.lines.index("$ fg") + 1:]
    assert above[0].startswith("request ") and below[0] == above[0]
    assert bars(below)
    assert terminal.wait() == 0


def test_a_second_ctrl_c_ends_it_whatever_the_terminal_takes(at_terminal, tmp_path):
    terminal = at_terminal("generate", *LONG, "--show", "kitty", "--out", tmp_path)
    terminal.wait_for_text("scale 2/7")
    os.kill(terminal.pid, signal.SIGSTOP)  # Both come before it can act on one.
    os.kill(terminal.pid, signal.SIGINT)
    os.kill(terminal.pid, signal.SIGTERM)
    os.kill(terminal.pid, signal.SIGCONT)
    assert terminal.wait() == 130
    assert b"\x1b\\\x1b[0m\r" in terminal.raw[-300:]  # Whatever was half written is ended.
