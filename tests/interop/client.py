"""Python's own HTTP clients against ours: http.client on one connection, urllib for the rest.

usage: client.py BASE_URL SITE_FOLDER [CA_FILE]
"""

import http.client
import pathlib
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

base, site = sys.argv[1], pathlib.Path(sys.argv[2])
context = ssl.create_default_context(cafile=sys.argv[3]) if len(sys.argv) > 3 else None
parts = urllib.parse.urlsplit(base)
ten = (site / "ten.bin").read_bytes()


def connect():
    if context:
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=10, context=context)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def ask(connection, method, path, body=None, headers={}, **more):
    connection.request(method, path, body, headers, **more)
    response = connection.getresponse()
    return response, response.read()


# Several requests on one connection, each kind of answer in turn.
connection = connect()
response, body = ask(connection, "GET", "/hello.txt")
assert (response.status, response.version, body) == (200, 11, b"Hello, world!"), (response.status, body)
socket = connection.sock
response, body = ask(connection, "HEAD", "/ten.bin")
assert response.status == 200 and body == b"" and response.headers["Content-Length"] == str(len(ten))
response, body = ask(connection, "GET", "/ten.bin", headers={"Range": "bytes=-100"})
assert response.status == 206 and body == ten[-100:], response.status
response, body = ask(connection, "GET", "/hello.txt")
assert connection.sock is socket, "the connection was not kept"
etag = response.headers["ETag"]
response, body = ask(connection, "GET", "/hello.txt", headers={"If-None-Match": etag})
assert response.status == 304 and body == b"", response.status
assert connection.sock is socket, "the connection was not kept after 304"
connection.close()

# A body in chunks to something that takes none is refused, and that in HTTP.
connection = connect()
response, _ = ask(connection, "POST", "/hello.txt", iter([b"one", b"two"]), encode_chunked=True)
assert response.status == 405, response.status
connection.close()

# urllib closes after each request, decodes names and raises for errors.
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context)) if context else urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(base + "/sub/a.txt", timeout=10) as response:
    assert response.read() == b"a\n"
with opener.open(base + "/sub", timeout=10) as response:
    assert response.url.endswith("/sub/"), response.url
with opener.open(base + "/" + urllib.parse.quote("with space ü.txt"), timeout=10) as response:
    assert response.read() == b"name\n"
try:
    opener.open(base + "/missing", timeout=10)
    raise AssertionError("no error for a missing file")
except urllib.error.HTTPError as error:
    assert error.code == 404, error.code
print("well")
