//! `wasi:sockets` for plugins with granted addresses: sockets may connect to those, and nothing else. They cannot
//! listen, send datagrams or resolve names. Without the grant, wasmtime-wasi answers `access-denied` to everything.

use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::p2::bindings::sockets::network::{self, ErrorCode, IpAddressFamily};
use wasmtime_wasi::p2::bindings::sockets::tcp_create_socket;
use wasmtime_wasi::p2::{IoError, Network, SocketError, SocketResult, TcpSocket};
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSocketsCtxView};

use crate::grants::{RESERVED, TcpAllow};
use crate::host::charges::Charges;
use crate::host::log::LogBook;
use crate::limits::budget::Charge;
use crate::limits::descriptor::Descriptor;

/// Lets sockets connect to the granted addresses.
pub(in crate::host) fn allow(context: &mut WasiCtxBuilder, allowed: &Arc<TcpAllow>, log: &Arc<LogBook>) {
    let (allowed, log) = (Arc::clone(allowed), Arc::clone(log));
    context.allow_tcp(true).socket_addr_check(move |address, to| Box::pin(ready(permits(&allowed, &log, address, to))));
}

fn permits(allowed: &TcpAllow, log: &LogBook, address: SocketAddr, to: SocketAddrUse) -> bool {
    match to {
        SocketAddrUse::TcpConnect => {
            let permitted = allowed.permits(address);
            if !permitted && allowed.is_news(address, Instant::now()) {
                let reason = if allowed.is_reserved(address) { RESERVED } else { "not in the tenant's list" };
                log.denied(&address.to_string(), reason);
            }
            permitted
        }
        // Implicit bind: the system does it before it connects.
        SocketAddrUse::TcpBind => address.ip().is_unspecified() && address.port() == 0,
        SocketAddrUse::TcpListen
        | SocketAddrUse::TcpAccept
        | SocketAddrUse::UdpBind
        | SocketAddrUse::UdpSend
        | SocketAddrUse::UdpReceive => false,
    }
}

/// The charge of a socket: its output buffer, and the usual size of the kernel's.
const SOCKET: usize = 128 << 10;

/// The sockets of an instance.
pub(in crate::host) struct Sockets {
    /// Their indices in the table. A socket that was dropped is noticed after the call, or when the next one is made.
    open: Vec<(u32, Descriptor, Charge)>,
    most: usize,
    charges: Charges,
}

impl Sockets {
    pub(in crate::host) fn new(most: usize, charges: Charges) -> Self {
        Self { open: Vec::new(), most, charges }
    }

    /// Refunds the charges of sockets that were dropped.
    pub(in crate::host) fn tidy(&mut self, table: &ResourceTable) {
        self.open.retain(|(place, ..)| is_socket(table, *place));
    }
}

/// Makes sockets, up to the limit.
pub(in crate::host) struct SocketMaker<'a> {
    pub(in crate::host) sockets: &'a mut Sockets,
    pub(in crate::host) view: WasiSocketsCtxView<'a>,
}

impl tcp_create_socket::Host for SocketMaker<'_> {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpSocket>> {
        let Self { sockets, view } = self;
        sockets.tidy(view.table);
        if sockets.open.len() >= sockets.most {
            return Err(ErrorCode::NewSocketLimit.into());
        }
        let descriptor = sockets.charges.descriptor().ok_or(ErrorCode::NewSocketLimit)?;
        let memory = sockets.charges.memory(SOCKET).ok_or(ErrorCode::OutOfMemory)?;
        let socket = view.create_tcp_socket(family)?;
        sockets.open.push((socket.rep(), descriptor, memory));
        Ok(socket)
    }
}

fn is_socket(table: &ResourceTable, place: u32) -> bool {
    table.get(&Resource::<TcpSocket>::new_borrow(place)).is_ok()
}

impl network::Host for SocketMaker<'_> {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        self.view.convert_error_code(error)
    }

    fn network_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        self.view.network_error_code(error)
    }
}

impl network::HostNetwork for SocketMaker<'_> {
    fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        network::HostNetwork::drop(&mut self.view, network)
    }
}
