//! The parts of requests and answers that a plugin holds: of whatever length and number, they would be kept in memory that is in nobody's
//! budget.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTableError};
use wasmtime_wasi_http::p2::bindings::http::types::{self, Host as _, HostFields, HostOutgoingRequest as _, Method};
use wasmtime_wasi_http::p2::body::HostOutgoingBody;
use wasmtime_wasi_http::p2::types::{HostIncomingResponse, HostOutgoingRequest};
use wasmtime_wasi_http::{FieldMap, WasiHttpCtxView, WasiHttpView};

use super::super::state::State;

/// As the linker names it.
const HTTP: &str = "wasi:http/types@0.2.12";

/// The longest method of a request that is none of the usual ones, bytes.
const METHOD: usize = 64;
/// The longest host with its port: a name has 253 at most, RFC 1035 §2.3.4.
const AUTHORITY: usize = 512;
/// The longest path with its query. RFC 9110 §4.1 asks for 8,000.
const PATH: usize = 8 << 10;

/// Lists of fields, requests, their bodies and answers that a session may hold. Each may have as many bytes as the tenant allows headers.
const HEADS: usize = 64;

type Store<'s> = StoreContextMut<'s, State>;
type Request = Resource<HostOutgoingRequest>;
type Fields = Resource<FieldMap>;

/// Shadows what keeps parts of requests.
pub(in crate::host) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
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

/// The way to what makes one more of them, if there may be one more.
fn view<'s>(store: &'s mut Store<'_>) -> wasmtime::Result<WasiHttpCtxView<'s>> {
    let view = store.data_mut().http();
    let is_head = |entry: &&mut (dyn std::any::Any + Send)| {
        entry.is::<FieldMap>()
            || entry.is::<HostOutgoingRequest>()
            || entry.is::<HostOutgoingBody>()
            || entry.is::<HostIncomingResponse>()
    };
    if view.table.iter_mut().filter(is_head).count() >= HEADS {
        return Err(ResourceTableError::Full.into());
    }
    Ok(view)
}
