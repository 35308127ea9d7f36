//! Asks for a page, piece by piece, and posts a note, on one connection.
//! `cargo run -p ropewalk-http --example client [URL]`

use std::io::Write as _;

use ropewalk_core::BoxError;
use ropewalk_http::Client;

/// The status and the size of what is at `url`, without ever holding all of it.
pub(crate) async fn measure(client: &Client, url: &str) -> Result<(u16, u64), BoxError> {
    let response = client.get(url).await?;
    let status = response.status().as_u16();
    let mut content = response.into_body();
    let mut size = 0;
    while let Some(piece) = content.next().await? {
        size += piece.len() as u64;
    }
    Ok((status, size)) // a content that is cut short is an error
}

/// Posts a note, and returns what the server says of it.
pub(crate) async fn note(client: &Client, url: &str, text: String) -> Result<String, BoxError> {
    let response = client
        .post(url)
        .header("content-type", "text/plain; charset=utf-8")
        .done_within(std::time::Duration::from_secs(20))
        .body(text)
        .await?;
    Ok(response.into_body().text().await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080/".to_owned());
    let client = Client::new();
    let (status, size) = measure(&client, &url).await?;
    let said = note(&client, &url, format!("{url} has {size} bytes\n")).await?;
    writeln!(std::io::stdout(), "{status}, {size} bytes; to a note it says: {said}")?;
    Ok(())
}
