//! The side that asks.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ropewalk_core::Connection;
use ropewalk_core::endpoint::{Endpoint, Unix};

use super::{Answer, JsonLines, LINE, Request, standard};
use crate::cli::Controlled;
use crate::config;
use crate::exit::{self, Code, Failure};
use crate::status::Status;

/// How long an answer may take. Reading a file and its certificates may wait for a disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how much longer an answer is waited for than what it is about may take.
const MORE: Duration = Duration::from_secs(5);

type Client = Connection<JsonLines<Answer, Request>>;

/// `ropewalk reload`.
pub(crate) fn reload(which: &Controlled) -> Result<(), Failure> {
    match talk(which, Request::Reload)? {
        Answer::Reloaded { said } => exit::print((said.join("\n") + "\n").as_bytes()),
        other => Err(refused(other)),
    }
}

/// `ropewalk status`.
pub(crate) fn status(which: &Controlled, json: bool) -> Result<(), Failure> {
    match talk(which, Request::Status)? {
        Answer::Status(status) => exit::print(shown(&status, json).as_bytes()),
        other => Err(refused(other)),
    }
}

/// `ropewalk stop`: returns when the command has ended.
pub(crate) fn stop(which: &Controlled) -> Result<(), Failure> {
    match talk(which, Request::Stop)? {
        Answer::Stopping => Ok(()),
        other => Err(refused(other)),
    }
}

/// `ropewalk upgrade`: returns when another process has taken over, which may take `patience` and
/// some: the id of that.
pub(crate) fn upgrade(which: &Controlled, patience: Duration) -> Result<u32, Failure> {
    // A while more, so that the answer says why nothing has come of it.
    match talk_for(which, Request::Upgrade, patience.saturating_add(MORE))? {
        Answer::Upgraded { pid } => Ok(pid),
        Answer::Failed(lines) => Err(Failure::new(Code::Unavailable, lines.join("; "))),
        other => Err(refused(other)),
    }
}

fn shown(status: &Status, json: bool) -> String {
    if !json {
        return status.table();
    }
    let text = serde_json::to_string_pretty(status).expect("strings and numbers are JSON");
    text + "\n"
}

fn refused(answer: Answer) -> Failure {
    match answer {
        Answer::Failed(lines) => {
            let lines: Vec<Failure> =
                lines.into_iter().map(|line| Failure::new(Code::Config, line)).collect();
            Failure::several(&lines)
        }
        _ => Failure::new(Code::Software, "the running command answered something else"),
    }
}

/// Where the socket is.
fn socket(which: &Controlled) -> PathBuf {
    let standing = || Some(PathBuf::from(config::FILE)).filter(|file| file.exists());
    let file = || which.file.clone().or_else(standing);
    let named = || file().and_then(|file| config::control_of(&file));
    which.control.clone().or_else(named).unwrap_or_else(standard)
}

/// Asks, and returns the answer; after a stop, when the connection has ended as well.
fn talk(which: &Controlled, request: Request) -> Result<Answer, Failure> {
    talk_for(which, request, PATIENCE)
}

/// As [`talk`], with an answer that may take so long.
fn talk_for(which: &Controlled, request: Request, patience: Duration) -> Result<Answer, Failure> {
    let path = socket(which);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = connect(&path).await?;
        let failed = |error| {
            let what = format!("no answer at {}: {error}", path.display());
            Failure::new(Code::Unavailable, what)
        };
        let ask = async {
            connection.send(request).await?;
            connection.next().await
        };
        let answer = tokio::time::timeout(patience, ask).await;
        let answer = answer.map_err(|_| failed("it takes too long".into()))?.map_err(failed)?;
        let answer = answer.ok_or_else(|| failed("it has hung up".into()))?;
        if answer == Answer::Stopping {
            // It ends with the process, in whatever way that ends.
            while let Ok(Some(_)) = connection.next().await {}
        }
        Ok(answer)
    })
}

async fn connect(path: &Path) -> Result<Client, Failure> {
    let name = path.display();
    let transport = Endpoint::new(Unix::new(path)).connect().await.map_err(|error| {
        let (code, why) = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                (Code::Unavailable, "no command is running there; name its socket with --control")
            }
            ErrorKind::PermissionDenied => (Code::NoPermission, "it belongs to another user"),
            _ => {
                return Failure::new(
                    Code::of(&error),
                    format!("cannot connect to {name}: {error}"),
                );
            }
        };
        Failure::new(code, format!("cannot connect to {name}: {why}"))
    })?;
    Ok(Connection::new(JsonLines::new(LINE), transport))
}
