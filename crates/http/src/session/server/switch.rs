//! Handing the connection over.

use http::StatusCode;

use super::Server;

impl Server {
    /// Whether a final response of this status would hand the connection over: 101 if the client asked
    /// for another protocol and its request has been read whole, 2xx to CONNECT.
    #[must_use]
    pub fn switches(&self, status: StatusCode) -> bool {
        self.owes_response()
            && match status {
                StatusCode::SWITCHING_PROTOCOLS => self.exchange.upgrade && self.is_whole(),
                status => self.exchange.connect && status.is_success(),
            }
    }
}
