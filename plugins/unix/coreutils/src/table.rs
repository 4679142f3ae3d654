//! Which utilities there are.

use std::ffi::OsString;
use std::vec;

/// The arguments of a utility, of which the first is its name.
pub(crate) type Arguments = vec::IntoIter<OsString>;

/// One utility.
pub(crate) struct Utility {
    /// The name that it is called by.
    pub(crate) name: &'static str,
    /// The name under which uutils keep its messages; none of our own.
    pub(crate) messages: Option<&'static str>,
    /// Runs it and returns its exit status.
    pub(crate) main: fn(Arguments) -> i32,
}

/// A table of the utilities of uutils: each name, the crate, and the name of its messages where that is another.
macro_rules! uutils {
    ($($name:literal $package:ident $($messages:literal)?,)+) => {
        &[$(Utility { name: $name, messages: uutils!(@ $name $($messages)?), main: |args| $package::uumain(args) },)+]
    };
    (@ $name:literal) => { Some($name) };
    (@ $name:literal $messages:literal) => { Some($messages) };
}

/// The utilities of uutils.
const UUTILS: &[Utility] = uutils! {
    "[" uu_test "test",
    "arch" uu_arch,
    "b2sum" uu_b2sum,
    "base32" uu_base32,
    "base64" uu_base64,
    "basename" uu_basename,
    "basenc" uu_basenc,
    "cat" uu_cat,
    "cksum" uu_cksum,
    "comm" uu_comm,
    "cp" uu_cp,
    "csplit" uu_csplit,
    "cut" uu_cut,
    "date" uu_date,
    "dd" uu_dd,
    "dir" uu_dir "ls",
    "dircolors" uu_dircolors,
    "dirname" uu_dirname,
    "echo" uu_echo,
    "expand" uu_expand,
    "expr" uu_expr,
    "factor" uu_factor,
    "false" uu_false,
    "fmt" uu_fmt,
    "fold" uu_fold,
    "head" uu_head,
    "hostid" uu_hostid,
    "join" uu_join,
    "link" uu_link,
    "ln" uu_ln,
    "ls" uu_ls,
    "md5sum" uu_md5sum,
    "mkdir" uu_mkdir,
    "mktemp" uu_mktemp,
    "mv" uu_mv,
    "nice" uu_nice,
    "nl" uu_nl,
    "nproc" uu_nproc,
    "numfmt" uu_numfmt,
    "od" uu_od,
    "paste" uu_paste,
    "pathchk" uu_pathchk,
    "pr" uu_pr,
    "printenv" uu_printenv,
    "printf" uu_printf,
    "ptx" uu_ptx,
    "pwd" uu_pwd,
    "readlink" uu_readlink,
    "realpath" uu_realpath,
    "rm" uu_rm,
    "rmdir" uu_rmdir,
    "seq" uu_seq,
    "sha1sum" uu_sha1sum,
    "sha224sum" uu_sha224sum,
    "sha256sum" uu_sha256sum,
    "sha384sum" uu_sha384sum,
    "sha512sum" uu_sha512sum,
    "shred" uu_shred,
    "shuf" uu_shuf,
    "sleep" uu_sleep,
    "sort" uu_sort,
    "split" uu_split,
    "sum" uu_sum,
    "tail" uu_tail,
    "tee" uu_tee,
    "test" uu_test,
    "touch" uu_touch,
    "tr" uu_tr,
    "true" uu_true,
    "truncate" uu_truncate,
    "tsort" uu_tsort,
    "tty" uu_tty,
    "uname" uu_uname,
    "unexpand" uu_unexpand,
    "uniq" uu_uniq,
    "unlink" uu_unlink,
    "vdir" uu_vdir "ls",
    "wc" uu_wc,
    "yes" uu_yes,
};

/// The utility of a name.
pub(crate) fn find(name: &str) -> Option<&'static Utility> {
    UUTILS.iter().find(|utility| utility.name == name)
}

/// All names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    UUTILS.iter().map(|utility| utility.name)
}
