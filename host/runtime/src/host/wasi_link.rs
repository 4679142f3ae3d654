//! Links WASI: wasmtime-wasi's, and ours in place of what would make the host or the kernel keep memory that no budget
//! counts: files, sockets, socket buffers, and the parts of HTTP requests and responses, of any length and number.

use wasmtime::StoreContextMut;
use wasmtime::component::{HasData, Linker, Resource, ResourceTableError};
use wasmtime_wasi::p2::bindings::filesystem;
use wasmtime_wasi::p2::bindings::sockets::tcp::HostTcpSocket as _;
use wasmtime_wasi::p2::bindings::sockets::{network, tcp_create_socket};
use wasmtime_wasi::p2::{IoError, TcpSocket};
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::p2::bindings::http::types::{self, Host as _, HostFields, HostOutgoingRequest as _, Method};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{FieldMap, WasiHttpCtxView, WasiHttpView};

use super::state::State;
use crate::host::wasi::files::HasFiles;
use crate::host::wasi::http::PATH;
use crate::host::wasi::sockets::SocketMaker;

/// The WASI interfaces of which functions are replaced below.
const ERROR: &str = "wasi:io/error@0.2.12";
const HTTP: &str = "wasi:http/types@0.2.12";
const TCP: &str = "wasi:sockets/tcp@0.2.12";
/// The largest socket buffer that a plugin may ask the kernel for, in either direction.
const BUFFER: u64 = 256 << 10;

/// The longest non-standard request method, in bytes.
const METHOD: usize = 64;
/// The longest host with its port: a name has at most 253 bytes, RFC 1035 §2.3.4.
const AUTHORITY: usize = 512;

type Store<'s> = StoreContextMut<'s, State>;
type Request = Resource<HostOutgoingRequest>;
type Fields = Resource<FieldMap>;

/// Links WASI.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    // Sockets are counted.
    tcp_create_socket::add_to_linker::<_, Sockets>(linker, |state| state.wasi().sockets())?;
    // The error of a stream has a message. With RUST_BACKTRACE set it would include a backtrace of the host.
    linker.instance(ERROR)?.func_wrap(
        "[method]error.to-debug-string",
        |mut store, (error,): (Resource<IoError>,)| {
            let error = store.data_mut().wasi().view().table.get(&error)?;
            Ok((format!("{error:#}"),))
        },
    )?;
    // Files are our own implementation, which counts what a tenant's directory holds.
    filesystem::types::add_to_linker::<_, HasFiles>(linker, State::files)?;
    filesystem::preopens::add_to_linker::<_, HasFiles>(linker, State::files)?;
    link_requests(linker)?;
    link_sockets(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Tells the linker the type: the maker of sockets is borrowed for one call.
struct Sockets;

impl HasData for Sockets {
    type Data<'a> = SocketMaker<'a>;
}

fn link_requests(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut types = linker.instance(HTTP)?;
    types
        .func_wrap("[constructor]fields", |mut store: Store<'_>, ()| Ok((HostFields::new(&mut view(&mut store)?)?,)))?;
    types.func_wrap("[static]fields.from-list", |mut store: Store<'_>, (list,): (Vec<(String, Vec<u8>)>,)| {
        let mut view = view(&mut store)?;
        let made = view.from_list(list);
        Ok((made.map(Ok).or_else(|error| view.convert_header_error(error).map(Err))?,))
    })?;
    types.func_wrap("[method]fields.clone", |mut store: Store<'_>, (fields,): (Fields,)| {
        Ok((HostFields::clone(&mut view(&mut store)?, fields)?,))
    })?;
    types.func_wrap("[constructor]outgoing-request", |mut store: Store<'_>, (fields,): (Fields,)| {
        Ok((types::HostOutgoingRequest::new(&mut view(&mut store)?, fields)?,))
    })?;
    // No caller here needs it, and it stores fields.
    types.func_wrap("[constructor]outgoing-response", |mut store: Store<'_>, (fields,): (Fields,)| {
        Ok((types::HostOutgoingResponse::new(&mut view(&mut store)?, fields)?,))
    })?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: Store<'_>, (request, method): (Request, Method)| {
            let fits = !matches!(&method, Method::Other(name) if name.len() > METHOD);
            Ok((if fits { store.data_mut().http().set_method(request, method)? } else { Err(()) },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: Store<'_>, (request, authority): (Request, Option<String>)| {
            let fits = authority.as_ref().is_none_or(|authority| authority.len() <= AUTHORITY);
            Ok((if fits { store.data_mut().http().set_authority(request, authority)? } else { Err(()) },))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: Store<'_>, (request, path): (Request, Option<String>)| {
            let fits = path.as_ref().is_none_or(|path| path.len() <= PATH);
            Ok((if fits { store.data_mut().http().set_path_with_query(request, path)? } else { Err(()) },))
        },
    )
}

fn link_sockets(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    type Size = (Resource<TcpSocket>, u64);
    let mut tcp = linker.instance(TCP)?;
    tcp.func_wrap("[method]tcp-socket.set-receive-buffer-size", |mut store: Store<'_>, (socket, size): Size| {
        let mut view = store.data_mut().wasi().sockets().view;
        let set = view.set_receive_buffer_size(socket, size.min(BUFFER));
        Ok((set.map(Ok).or_else(|error| network::Host::convert_error_code(&mut view, error).map(Err))?,))
    })?;
    tcp.func_wrap("[method]tcp-socket.set-send-buffer-size", |mut store: Store<'_>, (socket, size): Size| {
        let mut view = store.data_mut().wasi().sockets().view;
        let set = view.set_send_buffer_size(socket, size.min(BUFFER));
        Ok((set.map(Ok).or_else(|error| network::Host::convert_error_code(&mut view, error).map(Err))?,))
    })
}

/// A constructor of one more part of a request or a response, if there is room for one.
fn view<'s>(store: &'s mut Store<'_>) -> wasmtime::Result<WasiHttpCtxView<'s>> {
    let state = store.data_mut();
    if !state.wasi().add_http_part() {
        return Err(ResourceTableError::Full.into());
    }
    Ok(state.http())
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi().view()
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.wasi().http()
    }
}
