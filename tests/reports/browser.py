"""A headless Chromium for tests: driven over two pipes, with the standard library alone."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import time
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
_KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38, "Escape": 27}


class Browser:
    """One tab; ``events`` is what the browser has told since a page was opened."""

    def __init__(self, process, commands, answers, folder):
        self.process = process  # leads the group of all its processes
        self._commands, self._answers, self._folder = commands, answers, folder
        self._buffer, self._id, self._session = b"", 0, None
        self.events = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send(
            "Browser.setDownloadBehavior", behavior="allowAndName", downloadPath=str(self._folder), eventsEnabled=True
        )

    def send(self, method, **parameters):
        """The answer of the DevTools protocol to one command."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters}
        if self._session and not method.startswith(("Browser.", "Target.")):
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, path, *, width=1300, height=900):
        """Load a file and wait until its scripts have run."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.events.clear()
        self.send("Page.navigate", url=Path(path).as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def evaluate(self, expression):
        """The value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def wait(self, expression, seconds=20):
        """Until ``expression`` is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            time.sleep(0.02)

    def click(self, selector, nth=0):
        """A click of the mouse in the middle of what is matched, as a person does it: what covers it takes it."""
        middle = (
            f"(() => {{ const node = document.querySelectorAll({json.dumps(selector)})[{nth}];"
            "node.scrollIntoView({block: 'center'}); const box = node.getBoundingClientRect();"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        x, y = self.evaluate(middle)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """A key of the keyboard, by its DOM name."""
        code = _KEYS.get(key) or ord(key.upper())
        text = {} if key in _KEYS else {"text": key}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def choose(self, selector, value, nth=0):
        """Choose an option, set a checkbox or type into a field, and tell the page."""
        prop = "checked" if isinstance(value, bool) else "value"
        self.evaluate(
            f"(() => {{ const node = document.querySelectorAll({json.dumps(selector)})[{nth}];"
            f"node.{prop} = {json.dumps(value)};"
            "for (const kind of ['input', 'change']) node.dispatchEvent(new Event(kind, {bubbles: true})); })()"
        )

    def downloaded(self, name, seconds=20):
        """The bytes of the file that was downloaded last since the page was opened, which must be called ``name``."""
        end = time.monotonic() + seconds
        while not (done := [event for event in self._downloads("Progress") if event["state"] == "completed"]):
            if time.monotonic() > end:
                raise TimeoutError(name)
            self.evaluate("0")  # takes up what has been told meanwhile
            time.sleep(0.02)
        begun = {event["guid"]: event["suggestedFilename"] for event in self._downloads("WillBegin")}
        assert begun[done[-1]["guid"]] == name
        return (self._folder / done[-1]["guid"]).read_bytes()

    def screenshot(self, path, *, full=True):
        """A PNG of the page, or of the part in view."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=full, **(self._whole() if full else {}))
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def complaints(self):
        """What the console and the log have shown: errors and warnings."""
        self.evaluate("0")
        kinds = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
        return [event["params"] for event in self.events if event["method"] in kinds]

    def requests(self):
        """The addresses that were asked for."""
        self.evaluate("0")
        sent = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [params["request"]["url"] for params in sent]

    def _downloads(self, kind):
        return [event["params"] for event in self.events if event["method"] == f"Browser.download{kind}"]

    def _whole(self):
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _read(self, seconds=30):
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            if not select.select([self._answers], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            part = os.read(self._answers, 2**20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def browser(folder):
    """A browser whose profile lies in ``folder``; none of its processes outlives the block."""
    read_commands, commands = os.pipe()
    answers, write_answers = os.pipe()
    actions = [
        (os.POSIX_SPAWN_DUP2, read_commands, 3),  # where the browser listens
        (os.POSIX_SPAWN_DUP2, write_answers, 4),  # and answers
        *((os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)),
    ]
    command = [CHROMIUM, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    process = os.posix_spawn(CHROMIUM, command, os.environ, file_actions=actions, setpgroup=0)
    try:
        os.close(read_commands)
        os.close(write_answers)
        yield Browser(process, commands, answers, folder / "downloads")
    finally:
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(commands)
        os.close(answers)
