"""Chromium without a window, driven by its DevTools protocol over pipes: real clicks,
screenshots, and what it requests.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from urllib.parse import urlsplit

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
]
PATIENCE = 60  # seconds


class Chromium:
    """One page.

    Args:
        width: Of the window, CSS pixels.
        height: Of the window, CSS pixels.

    Attributes:
        events: What Chromium reported, in order.
    """

    def __init__(self, width=1280, height=900):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._count, self._buffer, self.events = 0, b"", []
        self._session = None
        (read, self._write), (self._read, write) = os.pipe(), os.pipe()
        script = f'exec "$@" 3<&{read} 4>&{write}'
        command = [PROGRAM, *FLAGS, f"--user-data-dir={self.profile.name}"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            pass_fds=(read, write),
            stderr=subprocess.DEVNULL,
        )
        os.close(read), os.close(write)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "DOM", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def resize(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._write)
        self.process.terminate()
        self.process.wait()
        os.close(self._read)
        self.profile.cleanup()

    def call(self, method, **parameters):
        """A command's result."""
        self._count += 1
        number = self._count
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self._buffer:
            piece = os.read(self._read, 1 << 20)
            assert piece, "Chromium has ended"
            self._buffer += piece
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def js(self, expression):
        """The value of an expression in the page."""
        answer = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression):
        """Returns once an expression is true."""
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            with contextlib.suppress(AssertionError):  # there is no such element yet
                value = self.js(f"Boolean({expression})")
                if value:
                    return
            time.sleep(0.1)
        raise AssertionError(f"{expression} did not become true")

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def click(self, element, x=0.5, y=0.5):
        """A click of the mouse.

        Args:
            element: JavaScript that gives the element.
            x: From 0, its left, to 1, its right.
            y: From 0, its top, to 1, its bottom.
        """
        self.wait(element)
        self.js(f"({element}).scrollIntoView({{block: 'center'}})")
        box = self._box(element)
        at = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
            self.call("Input.dispatchMouseEvent", type=kind, **at, **button)

    def _box(self, element):
        """Where an element is, once it no longer moves."""
        box = before = None
        while box is None or box != before:
            before = box
            box = self.js(f"(({element}).getBoundingClientRect()).toJSON()")
            time.sleep(0.1)
        return box

    def type(self, text):
        """Replaces the text of the element that has the focus, and presses Enter."""
        self.js("document.activeElement.select()")
        self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
            text = {"text": "\r"} if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, **key, **text)

    def upload(self, element, path):
        """Chooses a file in an `<input type=file>`."""
        found = self.call("Runtime.evaluate", expression=element)["result"]
        self.call(
            "DOM.setFileInputFiles", files=[str(path)], objectId=found["objectId"]
        )

    def screenshot(self, path):
        """A PNG file of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def hosts(self):
        """Whom the page asked for something."""
        self.js("0")  # reads what was reported so far
        urls = [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]
        urls += [
            event["params"]["url"]
            for event in self.events
            if event.get("method") == "Network.webSocketCreated"
        ]
        own = ("data", "blob", "about")
        return {
            urlsplit(url).hostname for url in urls if urlsplit(url).scheme not in own
        }

    def errors(self):
        """What the page's console reported as an error."""
        self.js("0")
        found = []
        for event in self.events:
            if event.get("method") == "Log.entryAdded":
                entry = event["params"]["entry"]
                if entry["level"] == "error":
                    found.append(entry["text"])
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"])[:500])
        return found
