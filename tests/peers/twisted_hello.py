"""Twisted to measure against: answers "Hello, world!" on 127.0.0.1. usage: twisted_hello.py PORT"""

import sys

from twisted.internet import reactor
from twisted.web import resource, server


class Hello(resource.Resource):
    isLeaf = True

    def render_GET(self, request):
        request.setHeader(b"content-type", b"text/plain")
        return b"Hello, world!"


reactor.listenTCP(int(sys.argv[1]), server.Site(Hello(), timeout=600), interface="127.0.0.1")
reactor.run()
