//! How a limit is declared: one entry, which says everything of it.
//!
//! ```text
//! /// Memory of one instance: of all its memories together.
//! Session memory: Bytes = 64 * MIB, 64 * KIB => 2 * GIB, "W5";
//! scope   name    unit    default   least       most      what it answers
//! ```
//!
//! The macro [`declare_limits!`](crate::declare_limits!) makes of such a table a struct with a field for each limit,
//! its `Default`, and [`Group`]s that describe each limit to whoever reads a configuration or prints one. Nobody
//! repeats a name, a default or a bound: who needs a limit is given the struct.
//!
//! Decided 2026-11-29: two tables by one macro, so that the plugin host declares what sessions, plugins and tenants may
//! use and still knows nothing of SSH. Refused: one table for all in the plugin host, with windows and key exchanges in
//! it; and a table in the gateway from which the plugin host's own structs are copied, in which a forgotten limit
//! compiles.

use std::time::Duration;

/// A number of things.
pub type Count = u32;
/// A size or an amount in bytes.
pub type Bytes = usize;
/// A length of time.
pub type Time = Duration;
/// Whether something holds.
pub type Toggle = bool;

/// 1024 bytes.
pub const KIB: Bytes = 1 << 10;
/// 1024 KiB.
pub const MIB: Bytes = 1 << 20;
/// 1024 MiB.
pub const GIB: Bytes = 1 << 30;

/// So many milliseconds.
#[must_use]
pub const fn ms(milliseconds: u64) -> Time {
    Time::from_millis(milliseconds)
}

/// So many seconds.
#[must_use]
pub const fn s(seconds: u64) -> Time {
    Time::from_secs(seconds)
}

/// A count as a number of things in memory.
#[must_use]
pub fn count(limit: Count) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// What a limit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole server, or every instance alike because the engine reserves room for it in advance.
    Server,
    /// Each connection. Its tenant is not known before login.
    Connection,
    /// All sessions together of a tenant, or of one of its users.
    Tenant,
    /// Each session or instance.
    Session,
}

impl Scope {
    /// Whether a tenant may have its own value instead of the server's.
    #[must_use]
    pub fn is_for_tenants(self) -> bool {
        match self {
            Self::Server | Self::Connection => false,
            Self::Tenant | Self::Session => true,
        }
    }
}

/// The limits under one heading of the reference. `L` is the struct that holds their values.
#[derive(Debug)]
pub struct Group<L: 'static> {
    /// The heading.
    pub title: &'static str,
    /// In the order of the reference.
    pub limits: &'static [DeclaredLimit<L>],
}

/// One limit, as it was declared.
#[derive(Debug)]
pub struct DeclaredLimit<L: 'static> {
    /// As in a configuration.
    pub name: &'static str,
    /// What it applies to.
    pub scope: Scope,
    /// What it is, one line each, beginning with the space that doc comments begin with.
    pub docs: &'static [&'static str],
    /// Its unit, and its value in an `L`.
    pub value: Value<L>,
}

/// The value of a limit, by its unit.
#[derive(Debug)]
pub enum Value<L: 'static> {
    /// A number of things.
    Count(Field<L, Count>),
    /// Bytes.
    Bytes(Field<L, Bytes>),
    /// A length of time.
    Time(Field<L, Time>),
    /// Whether something holds.
    Toggle(Field<L, Toggle>),
}

/// A field of an `L`.
#[derive(Debug)]
pub struct Field<L: 'static, T> {
    /// The least value that is valid.
    pub least: T,
    /// The greatest value that is valid.
    pub most: T,
    /// Reads the field.
    pub get: fn(&L) -> T,
    /// Changes the field.
    pub set: fn(&mut L, T),
}

/// Declares limits: see the top of this file.
///
/// The groups come in the order of the reference. Before them there may be `holds NAME: TYPE;`, which is a field for
/// limits that another table declares, and `fixed { ... }` with limits that no configuration sets: without bounds.
#[macro_export]
macro_rules! declare_limits {
    (
        $(#[doc = $outer:literal])+
        pub struct $Limits:ident {
            $($(#[doc = $held_doc:literal])+ holds $held:ident: $Held:ty;)?
            $(fixed {
                $(
                    $(#[doc = $fixed_doc:literal])+
                    $fixed_scope:ident $fixed:ident: $fixed_unit:ident = $fixed_value:expr;
                )+
            })?
            $([$title:literal] {
                $(
                    $(#[doc = $doc:literal])+
                    $scope:ident $name:ident: $unit:ident = $default:expr, $least:expr => $most:expr, $source:literal;
                )+
            })+
        }
    ) => {
        $(#[doc = $outer])+
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $Limits {
            $($(#[doc = $held_doc])+ pub $held: $Held,)?
            $($(
                $(#[doc = $fixed_doc])+
                #[doc = concat!("\n\nAlways `", stringify!($fixed_value), "`: no setting.")]
                pub $fixed: $crate::limits::$fixed_unit,
            )+)?
            $($(
                $(#[doc = $doc])+
                #[doc = concat!(
                    "\n\nDefault: `", stringify!($default), "`. Scope: ", stringify!($scope), ". Source: ", $source, "."
                )]
                pub $name: $crate::limits::$unit,
            )+)+
        }

        impl Default for $Limits {
            fn default() -> Self {
                Self {
                    $($held: <$Held>::default(),)?
                    $($($fixed: $fixed_value,)+)?
                    $($($name: $default,)+)+
                }
            }
        }

        impl $Limits {
            /// What is declared here, in the order of the reference.
            pub const GROUPS: &'static [$crate::limits::Group<Self>] = &[$(
                $crate::limits::Group {
                    title: $title,
                    limits: &[$(
                        $crate::limits::DeclaredLimit {
                            name: stringify!($name),
                            scope: $crate::limits::Scope::$scope,
                            docs: &[$($doc),+],
                            value: $crate::limits::Value::$unit($crate::limits::Field {
                                least: $least,
                                most: $most,
                                get: |limits| limits.$name,
                                set: |limits, value| limits.$name = value,
                            }),
                        },
                    )+],
                },
            )+];
        }
    };
}
