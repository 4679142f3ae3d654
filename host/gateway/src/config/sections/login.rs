//! What a login is decided by, for the server, its tenants, its users and its authenticators alike: the methods that
//! must succeed, the authorities of certificates, patterns of user names, and what is revoked.

pub(crate) mod authorities;
pub(crate) mod methods;
pub(crate) mod patterns;
pub(crate) mod revocation;
