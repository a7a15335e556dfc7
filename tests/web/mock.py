"""A server that speaks the chat protocol without a model: what it answers, the last message says.

Each scenario is a word that the last user message begins with. All requests are kept in `seen`,
so that a test can look at what the page sent.
"""

import json
import mimetypes
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "crates/server/page"
# As strict as a page can have it. Trusted types make each parsing of HTML by a script an error.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
KEY = "correct-key"


class Mock(ThreadingHTTPServer):
    daemon_threads = True
    # A browser asks for all files of the page at once.
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []
        self.needs_key = False
        self.gone = False
        self.refusals_left = 0
        self.ended_early = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that goes away is what half of the tests do."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, message, code=None, param=None, headers=()):
        error = {"message": message, "type": "error", "param": param, "code": code}
        self.reply(status, {"error": error}, headers=headers)

    def unauthorized(self):
        wanted = f"Bearer {KEY}"
        if not self.server.needs_key or self.headers.get("Authorization") == wanted:
            return False
        self.refuse(401, "A valid key is needed.", "invalid_api_key")
        return True

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/v1/models":
            if self.unauthorized():
                return
            data = [{"id": name, "object": "model"} for name in ("poet", "deep-thinker-30b-a3b")]
            self.reply(200, {"object": "list", "data": data})
            return
        name = "index.html" if path == "/" else path.removeprefix("/page/")
        file = PAGE / name
        if "/" in name or not file.is_file():
            self.refuse(404, "There is no such page.")
            return
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        self.reply(200, file.read_bytes(), kind, [("Content-Security-Policy", POLICY)])

    def do_POST(self):
        if self.server.gone:
            self.close_connection = True
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.unauthorized():
            return
        self.server.seen.append(body)
        if self.server.refusals_left:
            self.server.refusals_left -= 1
            self.refuse(429, "The queue is full.", "queue_full", headers=[("Retry-After", "1")])
            return
        last = body["messages"][-1]
        scenario = "result" if last["role"] == "tool" else (last["content"].split() or [""])[0]
        if scenario == "refuse":
            self.refuse(400, "temperature is 9, at most 2 is wanted", "invalid_value", "temperature")
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        try:
            self.stream(scenario, body, last)
        except OSError:
            self.server.ended_early.set()

    def stream(self, scenario, body, last):
        send = self.send
        send({"role": "assistant", "content": ""})
        if scenario == "slow":
            for index in range(400):
                send({"content": f"word{index} "})
                time.sleep(0.02)
        elif scenario == "think":
            for word in "First I weigh *both* sides. Then I choose.".split(" "):
                send({"reasoning_content": word + " "})
                time.sleep(0.06)
            send({"content": "The second side wins."})
        elif scenario == "tools":
            self.call_tools()
            return
        elif scenario == "break":
            send({"content": "Half an ans"})
            return
        elif scenario == "fail":
            send({"content": "Some text."})
            self.line({"error": {"message": "the model failed", "type": "server_error"}})
            return
        elif scenario == "say":
            text = last["content"].removeprefix("say").lstrip(" ")
            step = 7
            for at in range(0, len(text), step):
                send({"content": text[at : at + step]})
        elif scenario == "long":
            for index in range(60):
                send({"content": f"Paragraph {index} of a long answer.\n\n"})
                time.sleep(0.01)
        elif scenario == "timed":
            send({"content": "At once."})
            self.end("stop", timings={"predicted_per_second": 12.34})
            return
        elif scenario == "result":
            results = [m["content"] for m in body["messages"] if m["role"] == "tool"]
            send({"content": f"The tools said: {' and '.join(results)}."})
        else:
            for part in ("You said: ", last["content"], ". 百模在此。"):
                send({"content": part})
        self.end("stop")

    def call_tools(self):
        def part(index, **function):
            self.send({"tool_calls": [{"index": index, "function": function}]})

        def first(index, call_id, name):
            function = {"name": name, "arguments": ""}
            call = {"index": index, "id": call_id, "type": "function", "function": function}
            self.send({"tool_calls": [call]})

        self.send({"reasoning_content": "I need the weather."})
        self.send({"content": "Let me look."})
        first(0, "functions.weather:0", "weather")
        for text in ('{"ci', 'ty":"杭州",', '"days":3}'):
            part(0, arguments=text)
        first(1, "functions.clock:1", "clock")
        part(1, arguments="{}")
        self.end("tool_calls")

    def send(self, delta, finish=None, **more):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.line({"choices": [choice], "usage": None, **more})

    def end(self, finish, **more):
        self.send({}, finish, **more)
        usage = {
            "prompt_tokens": 1204,
            "completion_tokens": 87,
            "total_tokens": 1291,
            "prompt_tokens_details": {"cached_tokens": 1180},
            "completion_tokens_details": {"reasoning_tokens": 40},
        }
        self.line({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def line(self, chunk):
        whole = {"id": "c1", "object": "chat.completion.chunk", "model": "poet", **chunk}
        self.wfile.write(b": keep-alive\n\n")
        self.wfile.write(f"data: {json.dumps(whole, ensure_ascii=False)}\n\n".encode())
        self.wfile.flush()


if __name__ == "__main__":
    mock = Mock()
    print(mock.url, flush=True)
    threading.Event().wait()
