//! Whose a request is: the names of the page, the origin of the request, its cookies.

use std::net::SocketAddr;

use hyper::header::{COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri};

/// The header that forms and pages of other origins cannot send.
pub(super) const OWN_HEADER: HeaderName = HeaderName::from_static("x-whelk-console");
/// What browsers say of the page that sends a request.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Parses a name of `--name`: a host, with or without a port.
///
/// # Errors
/// It is none.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let is_sound = |name: &Authority| {
        let has_port = name.port_u16().is_some();
        !name.host().is_empty() && !text.contains('@') && (has_port || name.host() == name.as_str())
    };
    let name = text.parse::<Authority>().ok().filter(is_sound);
    let name = name.ok_or_else(|| format!("must be a host name, such as \"gateway.example.org\", is {text:?}"))?;
    Ok(name.as_str().to_ascii_lowercase())
}

/// The names of the page, as the header `Host` has them.
pub(super) struct PageNames {
    /// In lower case, each with the port unless that is the default.
    hosts: Vec<String>,
    scheme: &'static str,
    /// The name of the cookie.
    cookie: String,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RefusedRequest {
    pub(super) status: StatusCode,
    pub(super) reason: String,
}

impl RefusedRequest {
    pub(super) fn new(status: StatusCode, reason: impl Into<String>) -> RefusedRequest {
        RefusedRequest { status, reason: reason.into() }
    }
}

impl PageNames {
    /// `named`: other names of the address, which the operator knows.
    pub(super) fn new(address: SocketAddr, named: &[String], has_tls: bool) -> PageNames {
        let (scheme, default_port) = if has_tls { ("https", 443) } else { ("http", 80) };
        let own = address.port();
        let with_port = |name: &String| match name.parse::<Authority>().ok().and_then(|name| name.port_u16()) {
            Some(port) if port == default_port => name.trim_end_matches(&format!(":{port}")).to_owned(),
            None if own != default_port => format!("{name}:{own}"),
            Some(_) | None => name.clone(),
        };
        let ip = address.ip();
        let literal = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
        let local = ip.is_loopback().then(|| "localhost".to_owned());
        let hosts = named.iter().cloned().chain([literal]).chain(local);
        // A cookie belongs to all ports of a host. The prefix says that no other host and no page without TLS has set
        // it.
        let prefix = if has_tls { "__Host-" } else { "" };
        let cookie = format!("{prefix}whelk_console_{own}");
        PageNames { hosts: hosts.map(|name| with_port(&name)).collect(), scheme, cookie }
    }

    /// The origin of the page, by its first name.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.hosts.first().map_or("", String::as_str))
    }

    /// Checks that a request names this page as its host (RFC 9110 §7.2). Another name may lead here, too, if whoever
    /// owns it wants that.
    ///
    /// # Errors
    /// It does not.
    pub(super) fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), RefusedRequest> {
        let is_own = |name: &str| self.hosts.contains(&name.to_ascii_lowercase());
        let is_named = only(headers, &HOST).is_some_and(is_own);
        if is_named && uri.authority().is_none_or(|name| is_own(name.as_str())) {
            return Ok(());
        }
        let names = self.hosts.join(", ");
        Err(RefusedRequest::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!("the page has another name: {names}. More are given by --name\n"),
        ))
    }

    /// Checks that a request comes from the page itself. One that changes something must say so (`Origin`, RFC 6454
    /// §7); browsers leave it out where nothing is changed.
    ///
    /// # Errors
    /// It comes from elsewhere.
    pub(super) fn check_origin(&self, headers: &HeaderMap, changes: bool) -> Result<(), RefusedRequest> {
        let host = only(headers, &HOST).unwrap_or_default().to_ascii_lowercase();
        let is_own = if headers.contains_key(ORIGIN) {
            only(headers, &ORIGIN) == Some(&format!("{}://{host}", self.scheme))
        } else {
            !changes
        };
        let site = headers.contains_key(&FETCH_SITE).then(|| only(headers, &FETCH_SITE));
        if is_own && matches!(site, None | Some(Some("same-origin"))) {
            return Ok(());
        }
        Err(RefusedRequest::new(StatusCode::FORBIDDEN, "only the page itself may ask for this\n"))
    }

    /// The values of the cookie that a request has. Another port of the host may have set a second one.
    pub(super) fn cookies<'h>(&self, headers: &'h HeaderMap) -> Vec<&'h str> {
        let lists = headers.get_all(COOKIE).into_iter().filter_map(|list| list.to_str().ok());
        let pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(|(name, _)| *name == self.cookie).map(|(_, value)| value).collect()
    }

    /// The header that sets the cookie, for so many seconds (RFC 6265 §4.1).
    pub(super) fn set_cookie(&self, value: &str, seconds: u64) -> HeaderValue {
        let secure = if self.scheme == "https" { "; Secure" } else { "" };
        let cookie = format!("{}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}", self.cookie);
        let mut header = HeaderValue::try_from(cookie).expect("a secret is hexadecimal digits");
        header.set_sensitive(true);
        header
    }
}

/// The value of a header that occurs once.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().filter(|_| values.next().is_none());
    value.and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        list.iter().map(pair).collect()
    }

    fn names(address: &str, named: &[&str], has_tls: bool) -> PageNames {
        let named: Vec<String> = named.iter().map(|name| parse_name(name).unwrap()).collect();
        PageNames::new(address.parse().unwrap(), &named, has_tls)
    }

    #[test]
    fn only_names_of_the_page_are_served() {
        let page = names("127.0.0.1:2280", &["Gateway.example.org", "localhost:9000"], false);
        let at = |uri: &str, hosts: &[&str]| {
            let list: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let mut all = HeaderMap::new();
            list.iter().for_each(|(name, value)| {
                all.append(*name, value.parse().unwrap());
            });
            page.check_host(&uri.parse().unwrap(), &all).is_ok()
        };
        for host in ["127.0.0.1:2280", "LOCALHOST:2280", "gateway.example.org:2280", "localhost:9000"] {
            assert!(at("/", &[host]), "{host}");
        }
        for hosts in [
            &["127.0.0.1"][..],
            &["127.0.0.1:2281"],
            &["evil.example:2280"],
            &["127.0.0.1:2280.evil.example"],
            &["[::1]:2280"],
            &[""],
            &[],
            &["127.0.0.1:2280", "evil.example"],
            &["127.0.0.1:2280", "127.0.0.1:2280"],
        ] {
            assert!(!at("/", hosts), "{hosts:?}");
        }
        assert!(at("http://127.0.0.1:2280/", &["127.0.0.1:2280"]));
        assert!(!at("http://evil.example/", &["127.0.0.1:2280"]));
        let refused = page.check_host(&Uri::from_static("/"), &headers(&[("host", "x")])).unwrap_err();
        assert_eq!(refused.status, StatusCode::MISDIRECTED_REQUEST);
        assert!(refused.reason.contains("127.0.0.1:2280"), "{}", refused.reason);
    }

    #[test]
    fn the_default_port_is_in_no_name() {
        assert_eq!(names("192.0.2.1:443", &[], true).hosts, ["192.0.2.1"]);
        assert_eq!(
            names("[::1]:80", &["a.example:80", "b.example:81"], false).hosts,
            ["a.example", "b.example:81", "[::1]", "localhost"]
        );
        assert_eq!(names("127.0.0.1:443", &[], false).origin(), "http://127.0.0.1:443");
        assert_eq!(names("127.0.0.1:443", &["gate"], true).origin(), "https://gate");
        for wrong in ["", "a b", "me@host", "host:", "host:x", "http://host", "host/path"] {
            assert!(parse_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_must_come_from_the_page() {
        let page = names("127.0.0.1:2280", &[], false);
        let own = ("origin", "http://127.0.0.1:2280");
        let (host, site) = (("host", "127.0.0.1:2280"), ("sec-fetch-site", "same-origin"));
        let may = |list: &[_], changes| page.check_origin(&headers(list), changes).is_ok();
        assert!(may(&[host, own, site], true) && may(&[host, own], true));
        assert!(may(&[host, site], false) && may(&[host], false) && may(&[host, own], false));
        for list in [
            &[host][..],
            &[host, site],
            &[host, ("origin", "null")],
            &[host, ("origin", "https://127.0.0.1:2280")],
            &[host, ("origin", "http://127.0.0.1:2281")],
            // Another name of the page is another origin.
            &[host, ("origin", "http://localhost:2280")],
            &[host, own, ("sec-fetch-site", "same-site")],
            &[host, own, ("sec-fetch-site", "cross-site")],
            &[host, own, ("sec-fetch-site", "none")],
        ] {
            assert!(!may(list, true), "{list:?}");
        }
        assert!(!may(&[host, ("origin", "http://evil.example")], false));
        assert!(!may(&[host, ("sec-fetch-site", "cross-site")], false));
    }

    #[test]
    fn the_cookie_is_found_among_others_and_nobody_else_gets_it() {
        let (plain, secure) = (names("127.0.0.1:2280", &[], false), names("127.0.0.1:2280", &[], true));
        let given =
            headers(&[("cookie", "a=b; whelk_console_2280=first;whelk_console_2280=second; whelk_console_1=x")]);
        assert_eq!(plain.cookies(&given), ["first", "second"]);
        assert_eq!(secure.cookies(&given), [""; 0]);
        let set = |names: &PageNames| names.set_cookie("ab", 60).to_str().unwrap().to_owned();
        assert_eq!(set(&plain), "whelk_console_2280=ab; HttpOnly; SameSite=Strict; Path=/; Max-Age=60");
        let expected = "__Host-whelk_console_2280=ab; HttpOnly; SameSite=Strict; Path=/; Max-Age=60; Secure";
        assert_eq!(set(&secure), expected);
    }
}
