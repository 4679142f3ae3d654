//! The options that there are.

use unix_common::options::{Opt, flag, optional, value};

pub(crate) const OPTIONS: &[Opt] = &[
    value("e", "regexp"),
    value("f", "file"),
    value("g", "glob"),
    value("", "iglob"),
    flag("", "glob-case-insensitive"),
    value("t", "type"),
    value("T", "type-not"),
    value("", "type-add"),
    value("", "type-clear"),
    flag("", "type-list"),
    value("A", "after-context"),
    value("B", "before-context"),
    value("C", "context"),
    value("", "context-separator"),
    flag("", "no-context-separator"),
    value("m", "max-count"),
    value("r", "replace"),
    value("", "color"),
    value("", "colors"),
    value("", "sort"),
    value("", "sortr"),
    flag("", "sort-files"),
    value("d", "max-depth"),
    value("", "maxdepth"),
    value("", "max-filesize"),
    value("M", "max-columns"),
    flag("", "max-columns-preview"),
    value("E", "encoding"),
    value("", "ignore-file"),
    value("", "path-separator"),
    value("", "field-match-separator"),
    value("", "field-context-separator"),
    value("j", "threads"),
    value("", "regex-size-limit"),
    value("", "dfa-size-limit"),
    value("", "pre"),
    value("", "pre-glob"),
    value("", "engine"),
    flag("P", "pcre2"),
    flag("z", "search-zip"),
    flag("i", "ignore-case"),
    flag("S", "smart-case"),
    flag("s", "case-sensitive"),
    flag("w", "word-regexp"),
    flag("x", "line-regexp"),
    flag("v", "invert-match"),
    flag("F", "fixed-strings"),
    flag("", "no-fixed-strings"),
    flag("U", "multiline"),
    flag("", "multiline-dotall"),
    flag("", "no-unicode"),
    flag("", "crlf"),
    flag("", "null-data"),
    flag("c", "count"),
    flag("", "count-matches"),
    flag("l", "files-with-matches"),
    flag("", "files-without-match"),
    flag("q", "quiet"),
    flag("", "files"),
    flag("", "json"),
    flag("o", "only-matching"),
    flag("n", "line-number"),
    flag("N", "no-line-number"),
    flag("H", "with-filename"),
    flag("I", "no-filename"),
    flag("", "column"),
    flag("", "no-column"),
    flag("b", "byte-offset"),
    flag("", "heading"),
    flag("", "no-heading"),
    flag("p", "pretty"),
    flag("0", "null"),
    flag("", "trim"),
    flag("", "vimgrep"),
    flag("", "passthru"),
    flag("", "include-zero"),
    flag("L", "follow"),
    flag(".", "hidden"),
    flag("", "no-hidden"),
    flag("u", "unrestricted"),
    flag("", "no-ignore"),
    flag("", "no-ignore-vcs"),
    flag("", "no-ignore-parent"),
    flag("", "no-ignore-dot"),
    flag("", "no-ignore-global"),
    flag("", "no-ignore-exclude"),
    flag("", "no-ignore-files"),
    flag("", "no-require-git"),
    flag("", "ignore-file-case-insensitive"),
    flag("", "one-file-system"),
    flag("a", "text"),
    flag("", "binary"),
    flag("", "no-messages"),
    flag("", "no-ignore-messages"),
    flag("", "no-config"),
    flag("", "line-buffered"),
    flag("", "block-buffered"),
    flag("", "mmap"),
    flag("", "no-mmap"),
    flag("", "debug"),
    flag("", "stats"),
    optional("", "hyperlink-format"),
    flag("h", "help"),
    flag("V", "version"),
];

pub(crate) const HELP: &str = "Usage: rg [OPTION]... PATTERN [PATH]...
       rg [OPTION]... -e PATTERN... [PATH]...
       rg [OPTION]... --files [PATH]...

What is searched for:
  -e, --regexp=PATTERN      several patterns; -f, --file=FILE  those in a file
  -F, --fixed-strings       no regular expressions
  -i, -s, -S                ignore case, do not, or do for patterns without capitals
  -w, -x                    whole words, whole lines
  -v, --invert-match        lines that do not match
  -U, --multiline           matches may span lines; --multiline-dotall  `.` matches line ends
  -m, --max-count=NUM       at most NUM lines of a file

Where:
  -g, --glob=GLOB           only these files; !GLOB: not these; --iglob  whatever the case
  -t, --type=TYPE           files of a type (--type-list); -T, --type-not  not of a type; --type-add
  -d, --max-depth=NUM, --max-filesize=SIZE, -L, --follow, --one-file-system
  -., --hidden              hidden files, too
      --no-ignore           files that .gitignore and the like name, too; --no-ignore-vcs and others
  -u, -uu, -uuu             less filtering: --no-ignore, --hidden, --binary
  -a, --text, --binary      binary files
      --sort=path           by path, modified, accessed or created; --sortr  the other way round

What is printed:
  -A, -B, -C NUM            lines after, before, around a match
  -c, --count-matches, -l, --files-without-match, --files, -q
  -o, --only-matching       only what matches; -r, --replace=TEXT  with this in its place ($1, ${name})
  -n, -N, --column, -b      line numbers or none, columns, offsets
  -H, -I, -0, --heading, --no-heading, --trim, -M, --max-columns=NUM, --vimgrep, --passthru, --json
      --color=WHEN, -p      auto, always, never or ansi

Exit status is 0 if a line matches, 1 if none does, 2 if there is an error.
";
