//! Serves one zone over UDP and TCP: `server FILE ORIGIN ADDRESS`. Who is on this machine may have all of
//! it, and change it.

use std::fs::File;

use ropewalk_core::{BoxError, Endpoint, Port, Reactor};
use ropewalk_dns::session::{Access, Config, Cookies, Hosted, Responder, Zones};
use ropewalk_dns::zone::Zone;
use ropewalk_dns::zonefile::Parser;
use ropewalk_dns::{Name, Server};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, origin, address] = arguments.as_slice() else {
        return Err("usage: server FILE ORIGIN ADDRESS".into());
    };
    let origin: Name = origin.parse()?;
    let mut parser = Parser::new(file, File::open(file)?, origin.borrowed());
    let mut hosted = Hosted::new(Zone::load(&mut parser, &origin)?);
    let local = Access::nobody().network("127.0.0.0/8".parse()?);
    (hosted.transfer, hosted.update, hosted.notify) = (local.clone(), local.clone(), local);
    let mut zones = Zones::default();
    zones.insert(hosted);

    // A program that is to stay has a secret that nobody can guess.
    let responder = Responder::new(Config::default()).cookies(Cookies::new([7; 16]));
    let server = Server::new(zones, responder);
    let reactor = Reactor::new()?;
    // Dropping these would end them.
    let mut workers = Vec::new();
    for socket in Endpoint::parse(&format!("udp:{address}"))?.bind()?.datagrams()? {
        let (server, port) = (server.clone(), Port::from_std(socket)?);
        workers.push(reactor.spawn(async move { server.datagrams(&port).await }));
    }
    reactor.listen(format!("tcp:{address}").as_str(), server).await?;
    Ok(reactor.run().await?)
}
