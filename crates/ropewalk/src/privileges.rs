//! Who the process is: ports are bound first, then it becomes an unprivileged user for good.
//!
//! The order of calls, which [`Process`](crate::operations::Process) keeps:
//!
//! 1. [`Settings::identity`] looks the user and the group up, before anything is opened.
//! 2. [`Identity::prepare`] on the main thread, before any other thread is started: threads inherit
//!    `PR_SET_NO_NEW_PRIVS` from the one that starts them.
//! 3. All sockets are bound, and those of several workers opened
//!    ([`Bound::spread`](ropewalk_core::endpoint::Bound::spread)).
//! 4. [`Identity::assume`], before anything is accepted and before files are opened that are written.
//!
//! The C library changes the ids of all threads of the process, not only of the calling one; what each
//! thread has become is read back from `/proc`, and a single one that kept anything is an error.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;

use nix::errno::Errno;
use nix::unistd::{
    Gid, Group, Uid, User, getgrouplist, getresgid, getresuid, setgid, setgroups, setresgid,
    setresuid, setuid,
};

use crate::exit::{Code, Failure};

/// Whom to become. Without a user, nothing changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// A user, by name or by number. A number without an entry in passwd needs a group beside it.
    pub user: Option<String>,
    /// A group, by name or by number; by default the user's own.
    pub group: Option<String>,
}

/// A user and its groups, looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    name: String,
    uid: Uid,
    gid: Gid,
    /// The supplementary ones, the first among them or not.
    groups: Vec<Gid>,
}

impl Settings {
    /// Whom they name; `None` without a user.
    ///
    /// # Errors
    /// When there is no such user or group, when the user is root, or when a group is named alone.
    pub fn identity(&self) -> Result<Option<Identity>, Failure> {
        let usage = |what: String| Failure::new(Code::Usage, what);
        let Some(name) = &self.user else {
            let alone = |group| format!("group {group}: say for which user, as in --user www-data");
            return self.group.as_ref().map_or(Ok(None), |group| Err(usage(alone(group))));
        };
        let user = user(name)?;
        let uid = user.as_ref().map(|user| user.uid).or_else(|| number(name).map(Uid::from_raw));
        let uid = uid.ok_or_else(|| usage(format!("user {name}: there is no such user")))?;
        if uid.is_root() {
            return Err(usage(format!("user {name} is root: leave it out, or name another")));
        }
        let gid = match (&self.group, &user) {
            (Some(name), _) => group(name)?,
            (None, Some(user)) => user.gid,
            (None, None) => {
                let what = format!("user {name} has no entry in passwd: name a group as well");
                return Err(usage(what));
            }
        };
        let groups = user.as_ref().map_or_else(|| Ok(vec![gid]), |user| groups(user, gid))?;
        let name = user.map_or_else(|| name.clone(), |user| user.name);
        Ok(Some(Identity { name, uid, gid, groups }))
    }
}

fn number(text: &str) -> Option<u32> {
    // The last number is "no change" to the system.
    text.parse().ok().filter(|number| *number != u32::MAX)
}

fn user(name: &str) -> Result<Option<User>, Failure> {
    let found = match number(name) {
        Some(number) => User::from_uid(Uid::from_raw(number)),
        None => User::from_name(name),
    };
    found.map_err(|error| {
        Failure::new(Code::Os, format!("user {name}: cannot be looked up: {error}"))
    })
}

fn group(name: &str) -> Result<Gid, Failure> {
    if let Some(number) = number(name) {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(Failure::new(Code::Usage, format!("group {name}: there is no such group"))),
        Err(error) => {
            Err(Failure::new(Code::Os, format!("group {name}: cannot be looked up: {error}")))
        }
    }
}

fn groups(user: &User, gid: Gid) -> Result<Vec<Gid>, Failure> {
    let wrong = |error: io::Error| {
        Failure::new(Code::Os, format!("the groups of user {}: {error}", user.name))
    };
    let name = CString::new(user.name.as_str()).map_err(|error| wrong(error.into()))?;
    getgrouplist(&name, gid).map_err(|errno| wrong(errno.into()))
}

impl Identity {
    /// The user's name, or its number if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sees to it that nothing that is executed later gains privileges, by this thread and those it
    /// starts from now on.
    ///
    /// # Errors
    /// The system's; it has none for this.
    pub fn prepare(&self) -> Result<(), Failure> {
        rustix::thread::set_no_new_privs(true).map_err(|errno| {
            Failure::new(Code::Os, format!("cannot give up new privileges: {errno}"))
        })
    }

    /// Becomes this user for good: groups, then the group, then the user, in all threads. A process
    /// that is that user already stays what it is.
    ///
    /// # Errors
    /// When the process may not, or when any thread has kept an id, a group, a capability or the right
    /// to gain some, or could become root again.
    pub fn assume(&self) -> Result<(), Failure> {
        let now = getresuid().and_then(|uid| Ok((uid, getresgid()?)));
        let (uid, gid) = now.map_err(|errno| self.failure(errno))?;
        let is_already = [uid.real, uid.effective, uid.saved] == [self.uid; 3]
            && [gid.real, gid.effective, gid.saved] == [self.gid; 3];
        if !is_already {
            self.change().map_err(|errno| self.failure(errno))?;
        }
        self.verify(!is_already).map_err(|what| {
            let what = format!("cannot become user {} for good: {what}", self.name);
            Failure::new(Code::NoPermission, what)
        })
    }

    fn change(&self) -> nix::Result<()> {
        setgroups(&self.groups)?;
        setresgid(self.gid, self.gid, self.gid)?;
        setresuid(self.uid, self.uid, self.uid)
    }

    fn failure(&self, errno: Errno) -> Failure {
        let (code, help) = match errno {
            Errno::EPERM => (Code::NoPermission, ": only root may; start as root, or without user"),
            _ => (Code::Os, ""),
        };
        Failure::new(code, format!("cannot become user {}: {}{help}", self.name, errno.desc()))
    }

    /// What every thread has become, and whether it stays so.
    fn verify(&self, changed: bool) -> Result<(), String> {
        let cannot = |error: io::Error| format!("/proc/self/task cannot be read: {error}");
        for thread in fs::read_dir("/proc/self/task").map_err(cannot)? {
            let path = thread.map_err(cannot)?.path().join("status");
            match fs::read_to_string(&path) {
                Ok(status) => self.check(&status, changed)?,
                // It has ended meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
                Err(error) => return Err(cannot(error)),
            }
        }
        if setuid(Uid::from_raw(0)).is_ok() || !self.is_root_group() && setgid(ROOT).is_ok() {
            return Err("root could be regained".to_owned());
        }
        Ok(())
    }

    fn is_root_group(&self) -> bool {
        self.gid == ROOT || self.groups.contains(&ROOT)
    }

    /// Whether a thread, by its `/proc/PID/status`, is this user and nothing more.
    fn check(&self, status: &str, changed: bool) -> Result<(), String> {
        let field = |name: &str| -> Result<&str, String> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.ok_or_else(|| format!("/proc does not tell {name} of a thread"))
        };
        let numbers = |name: &str| -> Result<Vec<u32>, String> {
            let words = field(name)?.split_whitespace();
            words.map(|word| word.parse().map_err(|_| format!("{name}: {word}"))).collect()
        };
        if numbers("Uid")? != [self.uid.as_raw(); 4] || numbers("Gid")? != [self.gid.as_raw(); 4] {
            return Err("a thread has kept its user or group".to_owned());
        }
        let groups: BTreeSet<u32> = numbers("Groups")?.into_iter().collect();
        let wanted: BTreeSet<u32> = self.groups.iter().map(|gid| gid.as_raw()).collect();
        if changed && groups != wanted {
            return Err("a thread has kept other groups".to_owned());
        }
        for set in ["CapPrm", "CapEff", "CapAmb"] {
            if field(set)?.trim().bytes().any(|digit| digit != b'0') {
                return Err(format!(
                    "a thread has kept capabilities ({set}): give the process none, or no user"
                ));
            }
        }
        if field("NoNewPrivs")?.trim() != "1" {
            return Err("a thread was started too early to give up new privileges".to_owned());
        }
        Ok(())
    }
}

const ROOT: Gid = Gid::from_raw(0);

/// Whether the process runs as root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_settings_name() {
        let check = |user: Option<&str>, group: Option<&str>| {
            let own = |text: &str| text.to_owned();
            Settings { user: user.map(own), group: group.map(own) }.identity()
        };
        assert_eq!(check(None, None), Ok(None));
        for (user, group, part) in [
            (None, Some("daemon"), "for which user"),
            (Some("no such user"), None, "no such user"),
            (Some(""), None, "no such user"),
            (Some("-1"), None, "no such user"),
            (Some("4294967295"), None, "no such user"),
            (Some("root"), None, "is root"),
            (Some("0"), None, "is root"),
            (Some("4000000"), None, "name a group"),
            (Some("daemon"), Some("no such group"), "no such group"),
        ] {
            let error = check(user, group).expect_err(part);
            assert!(error.to_string().contains(part), "{user:?} {group:?}: {error}");
        }
        let identity = check(Some("4000000"), Some("4000001")).expect("numbers").expect("a user");
        assert_eq!((identity.uid.as_raw(), identity.gid.as_raw()), (4_000_000, 4_000_001));
        assert_eq!(identity.groups, [Gid::from_raw(4_000_001)]);
        let named = check(Some("daemon"), None).expect("Debian has it").expect("a user");
        let numbered = check(Some(&named.uid.to_string()), Some(&named.gid.to_string()));
        assert_eq!(numbered, Ok(Some(named)));
    }

    #[test]
    fn what_a_thread_may_have_kept() {
        let gids = |gids: &[u32]| gids.iter().copied().map(Gid::from_raw).collect::<Vec<_>>();
        let identity = Identity {
            name: "www".to_owned(),
            uid: Uid::from_raw(33),
            gid: Gid::from_raw(33),
            groups: gids(&[33, 50]),
        };
        let good = "Name:\tropewalk\nUid:\t33\t33\t33\t33\nGid:\t33\t33\t33\t33\n\
            Groups:\t33 50 \nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
            CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\n\
            NoNewPrivs:\t1\n";
        for (from, to, part) in [
            ("", "", None),
            ("Uid:\t33\t33\t33", "Uid:\t33\t33\t0", Some("user or group")),
            ("Gid:\t33", "Gid:\t0", Some("user or group")),
            ("Groups:\t33 50", "Groups:\t0 33 50", Some("other groups")),
            ("Groups:\t33 50", "Groups:\t", Some("other groups")),
            ("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000400", Some("CapPrm")),
            ("CapAmb:\t0", "CapAmb:\t4", Some("CapAmb")),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", Some("too early")),
            ("CapEff", "CapEfg", Some("does not tell CapEff")),
        ] {
            let found = identity.check(&good.replacen(from, to, 1), true).err();
            let fits = match (&found, part) {
                (Some(found), Some(part)) => found.contains(part),
                (found, part) => found.is_none() && part.is_none(),
            };
            assert!(fits, "{from:?} → {to:?}: {found:?}");
        }
    }
}
