//! A kind of endpoint that is not built in, as another crate would write one.
#![cfg(feature = "io")]

use std::io;
use std::sync::{Arc, Mutex};

use ropewalk_core::endpoint::{
    Arguments, BoxFuture, Custom, Endpoint, Error, Host, Kind, Leaf, Registry, Socks5, Source, Tcp,
};
use ropewalk_core::{Address, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// `pipe:NAME:greeting=TEXT`: who connects is greeted.
struct Pipes;

impl Kind for Pipes {
    fn usage(&self) -> &str {
        "pipe:NAME"
    }

    fn options(&self) -> &[&str] {
        &["greeting"]
    }

    fn parse(&self, arguments: &Arguments) -> Result<Arc<dyn Custom>, Error> {
        let [name] = arguments.positional() else {
            return Err(arguments.error("pipe: wants a name"));
        };
        if name.text().is_empty() {
            return Err(name.error("pipe: has an empty name", "give it one"));
        }
        let greeting = arguments.option("greeting").map(|value| value.text().to_owned());
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Mutex::new(Some(receiver));
        Ok(Arc::new(Pipe { greeting: greeting.unwrap_or_default(), sender, receiver }))
    }
}

#[derive(Debug)]
struct Pipe {
    greeting: String,
    sender: mpsc::UnboundedSender<Transport>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Transport>>>,
}

impl Custom for Pipe {
    fn connect(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async {
            let (ours, mut theirs) = Transport::memory();
            theirs.write_all(self.greeting.as_bytes()).await?;
            self.sender.send(theirs).map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(ours)
        })
    }

    fn bind(&self) -> io::Result<Arc<dyn Source>> {
        let receiver =
            self.receiver.lock().expect("nobody panics").take().ok_or(io::ErrorKind::AddrInUse)?;
        Ok(Arc::new(Pipeline(tokio::sync::Mutex::new(receiver))))
    }
}

struct Pipeline(tokio::sync::Mutex<mpsc::UnboundedReceiver<Transport>>);

impl Source for Pipeline {
    fn local(&self) -> Address {
        Address::Unknown
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Transport>> {
        Box::pin(async {
            let next = self.0.lock().await.recv().await;
            next.ok_or_else(|| io::ErrorKind::NotConnected.into())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn listens_connects_and_is_surrounded() {
    let registry = Registry::new().with_kind("pipe", Pipes).unwrap();
    let text = "proxy:pipe:a:greeting=hello";
    let endpoint = Endpoint::parse_with(text, &registry).unwrap();
    assert_eq!(endpoint.to_string(), text);
    let listener = endpoint.listen().unwrap();
    let Leaf::Custom(leaf) = endpoint.leaf() else { panic!("{endpoint:?}") };
    let mut client = leaf.custom().connect().await.unwrap();
    client.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 3 4\r\n").await.unwrap();
    let accepted = listener.accept().await.unwrap().establish().await.unwrap();
    assert_eq!(accepted.peer().to_string(), "192.0.2.1:3");
    let again = endpoint.bind().expect_err("it is bound");
    assert_eq!(again.kind(), io::ErrorKind::AddrInUse);
    assert!(again.to_string().starts_with("cannot listen on proxy:pipe:a:"), "{again}");
}

#[tokio::test(start_paused = true)]
async fn what_it_does_not_do_is_said() {
    struct Nothing;
    impl Kind for Nothing {
        fn usage(&self) -> &str {
            "nothing:"
        }
        fn parse(&self, _: &Arguments) -> Result<Arc<dyn Custom>, Error> {
            #[derive(Debug)]
            struct Void;
            impl Custom for Void {}
            Ok(Arc::new(Void))
        }
    }
    let registry = Registry::new().with_kind("nothing", Nothing).unwrap();
    let endpoint = Endpoint::parse_with("nothing:", &registry).unwrap();
    assert_eq!(endpoint.bind().unwrap_err().kind(), io::ErrorKind::Unsupported);
    let error = endpoint.connect().await.unwrap_err();
    assert!(error.to_string().contains("this kind of endpoint is not for connecting"), "{error}");
}

#[test]
fn endpoints_are_made_in_code() {
    let mut tcp = Tcp::new("example.org".parse::<Host>().unwrap(), 80);
    tcp.nodelay = false;
    let mut proxy = Socks5::new("10.0.0.1".parse::<Host>().unwrap(), 1080);
    proxy.login = Some(ropewalk_core::endpoint::Login::new("me", "a:b"));
    let endpoint = Endpoint::new(tcp).wrap(proxy);
    let text = "socks5:10.0.0.1:1080:tcp:example.org:80:user=me:password=a\\:b:nodelay=off";
    assert_eq!(endpoint.to_string(), text);
    assert_eq!(text.parse::<Endpoint>().unwrap(), endpoint);
    let error: io::Error = "tcp:80:x=y".parse::<Endpoint>().unwrap_err().into();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test(start_paused = true)]
async fn bytes_go_both_ways() {
    let registry = Registry::new().with_kind("pipe", Pipes).unwrap();
    let endpoint = Endpoint::parse_with("pipe:b:greeting=hello", &registry).unwrap();
    let listener = endpoint.listen().unwrap();
    let mut client = endpoint.connect().await.unwrap();
    let mut server = listener.accept().await.unwrap().establish().await.unwrap();
    let mut greeting = [0; 5];
    client.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hello");
    client.write_all(b"x").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'x');
}
