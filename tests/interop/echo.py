"""An HTTP/1.1 server in a few lines, for clients to be tried with: `echo.py PORT`.

POST /echo   sends back what it was sent, with 100-continue
PUT /refuse  answers 413 before the content, and ends
GET /chunked sends ten KiB in small chunks, the same bytes as ten.bin
"""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def noise(length):
    state, out = 0x2545F4914F6CDD1D, bytearray()
    mask = (1 << 64) - 1
    while len(out) < length:
        state ^= (state << 13) & mask
        state ^= state >> 7
        state ^= (state << 17) & mask
        out += state.to_bytes(8, sys.byteorder)
    return bytes(out[:length])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pieces(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            yield self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def handle_expect_100(self):
        if self.path == "/refuse":
            return True
        return super().handle_expect_100()

    def do_POST(self):
        content = b"".join(self.pieces())
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_PUT(self):
        self.send_response(413)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def do_GET(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        content = noise(10 * 1024)
        for at in range(0, len(content), 700):
            piece = content[at : at + 700]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
