"""An action proxy that is not ours: what it does wrong is its second argument."""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, behaviour = int(sys.argv[1]), sys.argv[2]
runs = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/ready" and behaviour == "refuses-ready":
            return self.say(503, b'{"error":"memory was not restored"}')
        return self.say(404, b"404 page not found")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/init":
            return self.say(200, b'{"ok":true}')
        runs.append(self.path)
        if behaviour == "garbage":
            return self.say(200, b"<html>garbage</html>")
        if behaviour == "closes":
            self.close_connection = True
            return None
        if behaviour == "held" and len(runs) > 1:
            # As Apache's proxy, whose launcher fails to restore itself while the request waits.
            return self.say(400, b'{"error":"command exited"}')
        return self.say(200, b'{"pid":%d,"runs":%d}' % (os.getpid(), len(runs)))

    def log_message(self, *args):
        pass


if behaviour != "deaf":
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
else:
    signal.pause()
