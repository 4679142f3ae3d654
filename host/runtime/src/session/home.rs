//! The home of a session, entered before its first process is made.

use crate::channel::SessionHalf;
use crate::error::Error;
use crate::session::Session;

impl Session {
    /// Gives the session its home, if its tenant has homes.
    ///
    /// # Errors
    /// Why there is none, for the client and the log.
    pub(super) async fn enter_home(&mut self, half: &SessionHalf) -> Result<(), Error> {
        let usage = self.processes.usage();
        let entered = tokio::select! {
            entered = self.tenant.enter_home(&usage) => entered,
            // Nobody waits for it. The process that is made next sees that.
            () = half.until_ended() => return Ok(()),
        };
        self.tenant = entered?;
        Ok(())
    }
}
