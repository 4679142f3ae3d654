//! Which utilities there are.

use std::collections::BTreeSet;

use crate::own::OWN;
use crate::utility::Utility;

/// A table of the utilities of uutils: each name, the crate, and the name of its messages where that is another. `raw`:
/// it changes its arguments before it parses them.
macro_rules! uutils {
    ($($name:literal $package:ident $($messages:literal)? $(($raw:ident))?,)+) => {
        &[$(Utility {
            name: $name,
            messages: uutils!(@messages $name $($messages)?),
            main: |args| $package::uumain(args),
            app: uutils!(@app $package $($raw)?),
        },)+]
    };
    (@messages $name:literal) => { Some($name) };
    (@messages $name:literal $messages:literal) => { Some($messages) };
    (@app $package:ident) => { Some($package::uu_app) };
    (@app $package:ident raw) => { None };
}

/// The utilities of uutils.
const UUTILS: &[Utility] = uutils! {
    "[" uu_test "test" (raw),
    "arch" uu_arch,
    "b2sum" uu_b2sum,
    "base32" uu_base32,
    "base64" uu_base64,
    "basename" uu_basename,
    "basenc" uu_basenc (raw),
    "cat" uu_cat,
    "cksum" uu_cksum,
    "comm" uu_comm,
    "cp" uu_cp,
    "csplit" uu_csplit,
    "cut" uu_cut (raw),
    "date" uu_date (raw),
    "dir" uu_dir "ls",
    "dircolors" uu_dircolors (raw),
    "dirname" uu_dirname,
    "echo" uu_echo (raw),
    "expand" uu_expand (raw),
    "expr" uu_expr (raw),
    "factor" uu_factor (raw),
    "false" uu_false (raw),
    "fmt" uu_fmt (raw),
    "fold" uu_fold (raw),
    "head" uu_head (raw),
    "hostid" uu_hostid,
    "join" uu_join,
    "link" uu_link,
    "ln" uu_ln,
    "ls" uu_ls,
    "md5sum" uu_md5sum,
    "mkdir" uu_mkdir,
    "mktemp" uu_mktemp,
    "mv" uu_mv,
    "nl" uu_nl (raw),
    "nproc" uu_nproc,
    "numfmt" uu_numfmt (raw),
    "od" uu_od (raw),
    "paste" uu_paste,
    "pathchk" uu_pathchk (raw),
    "pr" uu_pr (raw),
    "printenv" uu_printenv,
    "printf" uu_printf (raw),
    "ptx" uu_ptx,
    "pwd" uu_pwd,
    "readlink" uu_readlink,
    "realpath" uu_realpath,
    "rm" uu_rm,
    "rmdir" uu_rmdir,
    "seq" uu_seq (raw),
    "sha1sum" uu_sha1sum,
    "sha224sum" uu_sha224sum,
    "sha256sum" uu_sha256sum,
    "sha384sum" uu_sha384sum,
    "sha512sum" uu_sha512sum,
    "shred" uu_shred,
    "shuf" uu_shuf,
    "sleep" uu_sleep (raw),
    "sort" uu_sort (raw),
    "split" uu_split (raw),
    "sum" uu_sum,
    "tail" uu_tail (raw),
    "tee" uu_tee,
    "test" uu_test (raw),
    "touch" uu_touch (raw),
    "tr" uu_tr (raw),
    "true" uu_true (raw),
    "truncate" uu_truncate (raw),
    "tsort" uu_tsort,
    "tty" uu_tty,
    "uname" uu_uname,
    "unexpand" uu_unexpand (raw),
    "uniq" uu_uniq (raw),
    "unlink" uu_unlink,
    "vdir" uu_vdir "ls",
    "wc" uu_wc,
    "yes" uu_yes,
};

/// The utility of a name.
pub(crate) fn find(name: &str) -> Option<&'static Utility> {
    UUTILS.iter().chain(OWN).find(|utility| utility.name == name)
}

/// All names, in their order.
pub(crate) fn names() -> BTreeSet<&'static str> {
    UUTILS.iter().chain(OWN).map(|utility| utility.name).collect()
}
