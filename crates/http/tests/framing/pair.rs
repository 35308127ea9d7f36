//! Our client against our server, through two wires in memory, moved in pieces of every size.

use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use ropewalk_core::{Protocol, Wire};
use ropewalk_http::session::{Client, Server};
use ropewalk_http::{BodyLength, Event, Outgoing};

/// A client and a server that echoes content, and the bytes between them.
struct Pair {
    client: Client,
    server: Server,
    ours: Wire,
    theirs: Wire,
    /// How many bytes are moved at a time.
    piece: usize,
    /// Method and content of the request that the server is reading.
    request: Option<(Method, Vec<u8>)>,
    /// Status and content of each response, in order.
    responses: Vec<(StatusCode, Vec<u8>)>,
    whole: usize,
}

impl Pair {
    fn new(piece: usize) -> Self {
        let now = Instant::now();
        Self {
            client: Client::default(),
            server: Server::default(),
            ours: Wire::new(now),
            theirs: Wire::new(now),
            piece,
            request: None,
            responses: Vec::new(),
            whole: 0,
        }
    }

    fn ask(&mut self, method: Method, content: &[Bytes], length: BodyLength) {
        let mut request = Request::new(length);
        *request.method_mut() = method;
        *request.uri_mut() = "http://example.com/".parse().unwrap();
        self.client.send(request.into(), &mut self.ours).unwrap();
        for data in content {
            self.client.send(Outgoing::Data(data.clone()), &mut self.ours).unwrap();
        }
        self.client.send(Outgoing::End, &mut self.ours).unwrap();
    }

    /// Moves bytes both ways until nothing moves.
    fn settle(&mut self) {
        loop {
            let to_server = self.ours.output.take().unwrap();
            let to_client = self.theirs.output.take().unwrap();
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            for piece in to_server.chunks(self.piece) {
                self.theirs.input.extend_from_slice(piece);
                self.serve();
            }
            for piece in to_client.chunks(self.piece) {
                self.ours.input.extend_from_slice(piece);
                self.listen();
            }
        }
    }

    fn serve(&mut self) {
        while let Some(event) = self.server.receive(&mut self.theirs).unwrap() {
            match event {
                Event::Head(request) => self.request = Some((request.method().clone(), Vec::new())),
                Event::Data(data) => self.request.as_mut().unwrap().1.extend_from_slice(&data),
                Event::Trailers(_) => {}
                Event::End => self.echo(),
            }
        }
    }

    /// Chunked for POST, else by length.
    fn echo(&mut self) {
        let (method, content) = self.request.take().unwrap();
        let length = match method {
            Method::POST => BodyLength::Unknown,
            _ => BodyLength::Known(content.len() as u64),
        };
        let items =
            [Outgoing::Head(Response::new(length)), Outgoing::Data(content.into()), Outgoing::End];
        for item in items {
            self.server.send(item, &mut self.theirs).unwrap();
        }
    }

    fn listen(&mut self) {
        while let Some(event) = self.client.receive(&mut self.ours).unwrap() {
            match event {
                Event::Interim(_) | Event::Trailers(_) => {}
                Event::Head(response) => self.responses.push((response.status(), Vec::new())),
                Event::Data(data) => self.responses.last_mut().unwrap().1.extend_from_slice(&data),
                Event::End => self.whole += 1,
            }
        }
    }
}

#[test]
fn our_client_understands_our_server() {
    for piece in [1, 2, 3, 7, 64, 1000, 1 << 20] {
        let mut pair = Pair::new(piece);
        let large = Bytes::from(vec![b'x'; 30_000]);
        let small = Bytes::from_static(b"hello");
        pair.ask(Method::GET, &[], BodyLength::Empty);
        pair.ask(Method::PUT, &[small.clone(), large.clone()], BodyLength::Known(30_005));
        pair.ask(Method::HEAD, &[], BodyLength::Empty);
        pair.ask(Method::POST, &[small.clone(), large.clone()], BodyLength::Unknown);
        pair.settle();
        pair.ask(Method::POST, &[], BodyLength::Empty);
        pair.ask(Method::DELETE, std::slice::from_ref(&small), BodyLength::Unknown);
        pair.settle();
        let both = [&small[..], &large[..]].concat();
        let expected = [&b""[..], &both, b"", &both, b"", &small];
        let contents: Vec<&[u8]> = pair.responses.iter().map(|(_, body)| &body[..]).collect();
        assert!(contents == expected, "pieces of {piece}");
        assert!(pair.responses.iter().all(|(status, _)| *status == StatusCode::OK));
        assert_eq!(pair.whole, 6);
        assert!(pair.client.is_idle() && !pair.server.is_over());
        assert!(pair.ours.input.is_empty() && pair.theirs.input.is_empty());
    }
}
