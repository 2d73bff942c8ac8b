"""A program in a terminal: pexpect gives it one, pyte draws what it writes."""
import time

import pexpect
import pyte


class Terminal:
    """Keys go in with send(); what a person would see is in text(). Every wait has an end."""

    def __init__(self, binary, args, env, columns=80, lines=24):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(binary, args, env=env, dimensions=(lines, columns), timeout=30)
        self.child.delaybeforesend = None

    def pump(self, seconds=0.05):
        """Draws what has come; False at the end of the program."""
        try:
            data = self.child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self.stream.feed(data)
        return True

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait(self, found, seconds=10):
        """Until found(text) is true, or the text holds it; then what is on the screen."""
        test = found if callable(found) else lambda text: found in text
        end = time.time() + seconds
        while not test(self.text()):
            alive = self.pump()
            assert test(self.text()) or (alive and time.time() < end), f"{found!r} is not in:\n{self.text()}"
        return self.text()

    def quiet(self, seconds=0.15):
        """Until nothing has come for a while."""
        size = -1
        while size != len(self.raw):
            size = len(self.raw)
            if not self.pump(seconds):
                break
        return self.text()

    def send(self, keys):
        self.child.send(keys)

    def cursor(self):
        return self.screen.cursor.x, self.screen.cursor.y

    def resize(self, columns, lines):
        self.screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def end(self, seconds=10):
        """Exit status of a program that ends by itself."""
        end = time.time() + seconds
        while self.pump():
            assert time.time() < end, self.text()
        self.child.close()
        return self.child.exitstatus
