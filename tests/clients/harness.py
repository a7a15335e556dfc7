"""What all client scripts share: a server, and checks that are counted."""

import contextlib
import dataclasses
import json
import re
import subprocess
import sys
import time
import traceback
import urllib.request

CHECKS = []


def check(function):
    """Registers a check: a function of a Server."""
    CHECKS.append(function)
    return function


@dataclasses.dataclass
class Server:
    """A running server and the model that the checks talk to."""

    base: str
    model: str
    traits: frozenset

    def get(self, path):
        with urllib.request.urlopen(self.base + path, timeout=120) as response:
            return json.load(response)

    def post(self, path, body, headers=()):
        """The status and the JSON (or text) of an answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method="POST")
        request.add_header("content-type", "application/json")
        for name, value in dict(headers).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                status, text = response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text


@contextlib.contextmanager
def serve(binary, models, *flags):
    """Starts `baimo serve` on a port of the system's choice; gives the address."""
    command = [binary, "serve", *models, "--port", "0", *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            found = re.search(r"at (https?://\S+)", line)
            if found:
                break
        else:
            raise RuntimeError("no server: " + "".join(lines))
        # Whoever does not read what is said would stop the speaker.
        import threading

        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield found.group(1)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def run(server, only=None):
    """Runs all checks; the number of failures."""
    failures = 0
    for function in CHECKS:
        name = f"{function.__module__}.{function.__name__}"
        if only and only not in name:
            continue
        begun = time.time()
        try:
            skipped = function(server)
            word = f"skip ({skipped})" if isinstance(skipped, str) else "ok"
        except Exception:
            failures += 1
            word = "FAIL"
            traceback.print_exc(file=sys.stdout)
        print(f"{server.model:24} {name:64} {word} {time.time() - begun:.1f} s", flush=True)
    return failures
