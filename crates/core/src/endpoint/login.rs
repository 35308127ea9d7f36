//! `user=` and `password=` of a proxy.

use std::fmt;

use super::parse::{Arguments, Error};
use super::print::Printed;

/// What a proxy wants to know before it helps. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// `user=`.
    pub user: String,
    /// `password=`.
    pub password: String,
}

impl Login {
    pub(super) const KEYS: &'static [&'static str] = &["user", "password"];

    /// This user with this password.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    /// Both or none.
    pub(super) fn parse(arguments: &Arguments) -> Result<Option<Self>, Error> {
        match (arguments.text("user")?, arguments.text("password")?) {
            (Some(user), Some(password)) => Ok(Some(Self { user, password })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(arguments.error("user= without password=")),
            (None, Some(_)) => Err(arguments.error("password= without user=")),
        }
    }

    pub(super) fn print(login: Option<&Self>, printed: Printed) -> Printed {
        match login {
            Some(Self { user, password }) => {
                printed.option("user", user).secret("password", password)
            }
            None => printed,
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}
