//! What the first key exchange has agreed on, as an event.

use whelk_ssh::connection::Server as ServerConnection;
use whelk_ssh::crypto::mac::Mac;

use crate::observe::event::{ConnectionEvent, emit};
use crate::server::connection_table::ConnectionRow;

/// Tells which algorithms the first key exchange has agreed on. False while it is not done.
pub(super) fn tell(connection: &ServerConnection, row: &ConnectionRow) -> bool {
    let Some(negotiated) = connection.negotiated() else { return false };
    emit(ConnectionEvent::Negotiated {
        connection: row.connection(),
        key_exchange: negotiated.kex,
        host_key: negotiated.host_key,
        cipher: negotiated.cipher_to_server.name(),
        mac: negotiated.mac_to_server.map(Mac::name),
        compression: negotiated.compression_to_server.name(),
        took_ms: row.totals().age.as_secs_f32() * 1_000.0,
    });
    true
}
