//! Where the thread that writes the audit writes to.

/// Where records go.
pub(super) trait AuditSink: Send {
    /// Writes a line, which ends with a line feed.
    ///
    /// # Errors
    /// The line was not written, and can be tried again.
    fn write(&mut self, event: &str, line: &[u8]) -> std::io::Result<()>;

    /// Opens the destination anew.
    fn reopen(&mut self) {}

    /// The most bytes of one value as it is written. Of commands a client chooses the length.
    fn longest_value(&self) -> usize {
        16 << 10
    }
}
