//! What a login is decided by, for the server, its tenants, its users and its authenticators alike: the methods that
//! must succeed, the authorities of certificates, and patterns of user names.

pub(crate) mod authorities;
pub(crate) mod methods;
pub(crate) mod patterns;
