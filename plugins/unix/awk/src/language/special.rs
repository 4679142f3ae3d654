//! The variables that mean something to the language, by their numbers.

pub(crate) const NF: usize = 0;
pub(crate) const NR: usize = 1;
pub(crate) const FNR: usize = 2;
pub(crate) const FS: usize = 3;
pub(crate) const OFS: usize = 4;
pub(crate) const ORS: usize = 5;
pub(crate) const RS: usize = 6;
pub(crate) const SUBSEP: usize = 7;
pub(crate) const CONVFMT: usize = 8;
pub(crate) const OFMT: usize = 9;
pub(crate) const RSTART: usize = 10;
pub(crate) const RLENGTH: usize = 11;
pub(crate) const FILENAME: usize = 12;
pub(crate) const ENVIRON: usize = 13;
pub(crate) const ARGC: usize = 14;
pub(crate) const ARGV: usize = 15;
pub(crate) const RT: usize = 16;
pub(crate) const FPAT: usize = 17;
pub(crate) const FIELDWIDTHS: usize = 18;
pub(crate) const IGNORECASE: usize = 19;
pub(crate) const PROCINFO: usize = 20;

/// Their names.
pub(crate) const SPECIAL: [&str; 21] = [
    "NF",
    "NR",
    "FNR",
    "FS",
    "OFS",
    "ORS",
    "RS",
    "SUBSEP",
    "CONVFMT",
    "OFMT",
    "RSTART",
    "RLENGTH",
    "FILENAME",
    "ENVIRON",
    "ARGC",
    "ARGV",
    "RT",
    "FPAT",
    "FIELDWIDTHS",
    "IGNORECASE",
    "PROCINFO",
];
