"""What the one who watches sees."""

import sys
import textwrap


class Screen:
    def __init__(self) -> None:
        self._bold = "\033[1m{}\033[0m" if sys.stdout.isatty() else "{}"
        self._dim = "\033[2m{}\033[0m" if sys.stdout.isatty() else "{}"
        self._step = 0
        self._mid_line = False

    def step(self, explanation: str) -> None:
        """The next step of the story, in a line or two."""
        self._step += 1
        self.say()
        words = textwrap.fill(f"{self._step}. {explanation}", 100, subsequent_indent="   ", break_on_hyphens=False)
        self.say(self._bold.format(words))

    def say(self, line: str = "") -> None:
        if self._mid_line:
            self._write("\n")
        self._mid_line = False
        self._write(f"{line}\n")

    def aside(self, line: str) -> None:
        self.say(self._dim.format(f"   {line}"))

    def token(self, piece: str) -> None:
        """A piece of text, just as it comes."""
        if not self._mid_line:
            self._write("   ")
        self._mid_line = True
        self._write(piece.replace("\n", "\n   "))

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
