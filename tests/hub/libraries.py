#!/usr/bin/env python3
"""Does baimo share its caches with the hubs' own libraries? Not part of `cargo test`.

    python -m venv venv && venv/bin/pip install huggingface_hub modelscope_hub
    cargo build -p baimo && cargo build -p baimo-tests-hub --example hub
    venv/bin/python tests/hub/libraries.py target/debug

Each library fetches a model from a hub on this machine and baimo must find it whole, and the other
way round: whoever comes second must fetch no byte of it. Then both fetch it at once.

Seen on 2026-11-22 with huggingface_hub 2.4.0 and modelscope_hub 0.5.1, two shards of 40 MiB: either
way round the second fetches nothing and opens the same folder, also with `local_files_only`; both at
once leave the model whole, each byte sent once (1.00 times), with either hub.
"""

import json
import os
import subprocess
import sys
import tempfile

REPO = "owner/model-1.5"
FILES = [
    "config.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
]
HUGGING_FACE = """
import huggingface_hub, sys
print(huggingface_hub.snapshot_download(%r, allow_patterns=%r, **eval(sys.argv[1])))
"""
MODELSCOPE = """
import sys
from modelscope_hub import HubApi
print(HubApi().download_repo(%r, repo_type="model", allow_patterns=%r, **eval(sys.argv[1])))
"""


class Place:
    """A hub of its own, and empty caches."""

    def __init__(self, programs):
        self.baimo = os.path.join(programs, "baimo")
        self.hub = subprocess.Popen(
            [os.path.join(programs, "examples", "hub")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        endpoint = self.hub.stdout.readline().strip()
        self.folder = tempfile.TemporaryDirectory()
        self.environment = dict(
            os.environ, HF_HOME=self.folder.name + "/hf", HF_ENDPOINT=endpoint,
            MODELSCOPE_CACHE=self.folder.name + "/ms", MODELSCOPE_ENDPOINT=endpoint,
            HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1",
        )

    def sent(self):
        """Bytes of files that the hub has sent."""
        self.hub.stdin.write("\n")
        self.hub.stdin.flush()
        return int(self.hub.stdout.readline())

    def start(self, *command):
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, text=True
        )

    def run(self, *command):
        process = self.start(*command)
        out, _ = process.communicate()
        assert process.returncode == 0, command
        return out.strip().splitlines()[-1]

    def pull(self, scheme):
        return json.loads(self.run(self.baimo, "pull", "--json", f"{scheme}:{REPO}"))

    def close(self):
        self.hub.stdin.close()
        self.hub.wait()
        self.folder.cleanup()


def contents(folder):
    return [open(os.path.join(folder, name), "rb").read() for name in FILES]


def check(programs, scheme, library):
    """Baimo after the library, the library after baimo, both at once."""
    command = lambda **more: (sys.executable, "-c", library % (REPO, FILES), repr(more))
    place = Place(programs)
    theirs = place.run(*command())
    sent = place.sent()
    pulled = place.pull(scheme)
    assert pulled["fetched_bytes"] == 0 and place.sent() == sent, (pulled, place.sent(), sent)
    assert os.path.samefile(pulled["path"], theirs), (pulled["path"], theirs)
    print(f"{scheme}: baimo finds what the library fetched, and fetches nothing")
    wanted = contents(theirs)
    place.close()

    place = Place(programs)
    pulled = place.pull(scheme)
    sent = place.sent()
    theirs = place.run(*command())
    assert place.sent() == sent, place.sent() - sent
    assert os.path.samefile(pulled["path"], theirs), (pulled["path"], theirs)
    assert contents(theirs) == wanted
    offline = place.run(*command(local_files_only=True))
    assert os.path.samefile(pulled["path"], offline)
    print(f"{scheme}: the library finds what baimo pulled, and fetches nothing")
    place.close()

    place = Place(programs)
    both = place.start(*command()), place.start(place.baimo, "pull", f"{scheme}:{REPO}")
    paths = [process.communicate()[0].strip().splitlines()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert contents(paths[0]) == wanted and contents(paths[1]) == wanted
    print(f"{scheme}: both at once are whole; {place.sent() / sent:.2f} times the bytes were sent")
    place.close()


def main():
    programs = sys.argv[1] if len(sys.argv) > 1 else "target/debug"
    for scheme, library in [("hf", HUGGING_FACE), ("ms", MODELSCOPE)]:
        check(programs, scheme, library)


main()
