//! The Rust files of the repository, and their measures.
//!
//! A line of code is a line with a token outside of comments. Code that is compiled for tests only does not count.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a folder of the repository").to_owned()
}

/// Every Rust file of the repository, except those of `#[cfg(test)] mod name;`.
pub(crate) fn rust_files() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&repository(), &["rs"], &mut paths);
    paths.sort();
    assert!(paths.len() > 10, "only {paths:?} were found");
    let sources: Vec<Source> = paths.iter().map(|path| Source::read(path)).collect();
    let for_tests: BTreeSet<PathBuf> = sources.iter().flat_map(Source::test_files).collect();
    sources.into_iter().filter(|source| !for_tests.contains(&source.path)).collect()
}

/// The names and texts of all files of the repository that end in one of these.
pub(crate) fn text_files(endings: &[&str]) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    collect(&repository(), endings, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.strip_prefix(repository()).unwrap_or(&path).display().to_string(), text)
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, endings: &[&str], paths: &mut Vec<PathBuf>) {
    // A target folder of another name, which cargo marks so.
    if folder.join("CACHEDIR.TAG").exists() {
        return;
    }
    let passed_over = ["target", "node_modules"];
    for entry in std::fs::read_dir(folder).expect("the repository can be read").filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && !passed_over.contains(&name.as_str()) && !name.starts_with('.') {
            collect(&path, endings, paths);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|one| ending == *one)) {
            paths.push(path);
        }
    }
}

/// One file.
pub(crate) struct Source {
    path: PathBuf,
    text: String,
    file: syn::File,
    tokens: TokenStream,
}

/// A function and its length in lines of code, from its signature to its closing brace.
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

impl Source {
    /// Reads and parses it.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let tokens = text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path: path.to_owned(), text, file, tokens }
    }

    /// The path relative to the root of the repository.
    pub(crate) fn name(&self) -> String {
        self.path.strip_prefix(repository()).unwrap_or(&self.path).display().to_string()
    }

    /// The whole text, including comments.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The files of its test-only modules.
    fn test_files(&self) -> Vec<PathBuf> {
        let stem = self.path.file_stem().unwrap_or_default();
        let is_root = ["lib", "main", "mod"].iter().any(|name| stem == *name);
        let beside = self.path.with_file_name("");
        let folder = if is_root { beside } else { beside.join(stem) };
        let name = |item: &syn::Item| match item {
            syn::Item::Mod(module) if module.content.is_none() && is_for_tests(&module.attrs) => {
                Some(module.ident.to_string())
            }
            _ => None,
        };
        self.items().iter().filter_map(name).map(|name| folder.join(format!("{name}.rs"))).collect()
    }

    /// Its items.
    pub(crate) fn items(&self) -> &[syn::Item] {
        &self.file.items
    }

    /// Its tokens, unparsed.
    pub(crate) fn tokens(&self) -> TokenStream {
        self.tokens.clone()
    }

    /// The lines on which a string literal, comments apart, goes on past this column.
    pub(crate) fn lines_with_strings_at(&self, column: usize) -> BTreeSet<usize> {
        let mut lines = BTreeSet::new();
        find_strings(self.tokens(), column, &mut lines);
        lines
    }

    /// The number of lines of code.
    pub(crate) fn code_lines(&self) -> usize {
        self.lines().len()
    }

    /// How often it calls a function or a method of this name.
    pub(crate) fn uses_of(&self, function: &str) -> usize {
        let (mut calls, lines) = (Vec::new(), self.lines());
        find_calls(self.tokens(), function, &mut calls);
        calls.iter().filter(|line| lines.contains(line)).count()
    }

    fn lines(&self) -> BTreeSet<usize> {
        let mut lines = BTreeSet::new();
        mark(self.tokens(), &mut lines);
        let mut tests = TestItems::default();
        tests.visit_file(&self.file);
        lines.retain(|line| !tests.ranges.iter().any(|range| range.contains(line)));
        lines
    }

    /// Its functions, including nested ones.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut bodies = Bodies::default();
        bodies.visit_file(&self.file);
        let lines = self.lines();
        let measure = |(name, range): (String, RangeInclusive<usize>)| {
            let line = *range.start();
            Function { name, line, lines: lines.range(range).count() }
        };
        bodies.found.into_iter().map(measure).collect()
    }

    /// The names of its modules, types, traits and functions, with their lines; the file's own name first.
    pub(crate) fn declared_names(&self) -> Vec<(usize, String)> {
        let stem = self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let mut names = Names { found: vec![(1, stem)] };
        names.visit_file(&self.file);
        names.found
    }
}

/// Finds the lines on which a string literal crosses a column. One of several lines does so on all but its last.
fn find_strings(tokens: TokenStream, column: usize, lines: &mut BTreeSet<usize>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) if !is_doc(token) && !is_doc_opening(&tokens[at..]) => {
                find_strings(group.stream(), column, lines);
            }
            TokenTree::Literal(literal) if literal.to_string().contains('"') => {
                let (start, end) = (literal.span().start(), literal.span().end());
                lines.extend(start.line..end.line);
                if end.column > column && (end.line > start.line || start.column < column) {
                    lines.insert(end.line);
                }
            }
            TokenTree::Group(_) | TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Finds the lines on which a name precedes an argument list.
fn find_calls(tokens: TokenStream, function: &str, lines: &mut Vec<usize>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => find_calls(group.stream(), function, lines),
            TokenTree::Ident(name) if *name == function => {
                let arguments = tokens.get(at + 1);
                if matches!(arguments, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis) {
                    lines.push(name.span().start().line);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Marks the lines with tokens. Doc comments are tokens too, `# [doc = ".."]`, and are skipped.
fn mark(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        if is_doc(token) || is_doc_opening(&tokens[at..]) {
            continue;
        }
        match token {
            TokenTree::Group(group) => {
                lines.extend([group.span_open().start().line, group.span_close().end().line]);
                mark(group.stream(), lines);
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {
                lines.extend(token.span().start().line..=token.span().end().line);
            }
        }
    }
}

fn is_doc(token: &TokenTree) -> bool {
    let TokenTree::Group(group) = token else { return false };
    group.delimiter() == Delimiter::Bracket
        && group.stream().into_iter().next().is_some_and(|first| first.to_string() == "doc")
}

/// The `#` or `#!` in front of a doc comment.
fn is_doc_opening(tokens: &[TokenTree]) -> bool {
    let punct =
        |at: usize, sign: char| matches!(tokens.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
    let doc = |at: usize| tokens.get(at).is_some_and(is_doc);
    (punct(0, '#') && (doc(1) || (punct(1, '!') && doc(2)))) || (punct(0, '!') && doc(1))
}

/// Whether an item is compiled for tests only.
pub(crate) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    let says_test = |attribute: &syn::Attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && list.is_ok_and(|list| {
                    list.tokens.to_string().contains("test") && !list.tokens.to_string().contains("not")
                }))
    };
    attributes.iter().any(says_test)
}

/// The attributes of an item of any kind.
pub(crate) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[derive(Default)]
struct TestItems {
    ranges: Vec<RangeInclusive<usize>>,
}

impl<'ast> Visit<'ast> for TestItems {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        // A test in a file of tests is ordinary code: only `#[cfg(test)]` excludes.
        let is_test_function =
            matches!(item, syn::Item::Fn(function) if function.attrs.iter().any(|one| one.path().is_ident("test")));
        if is_for_tests(attributes(item)) && !is_test_function {
            self.ranges.push(item.span().start().line..=item.span().end().line);
        } else {
            visit::visit_item(self, item);
        }
    }
}

#[derive(Default)]
struct Bodies {
    found: Vec<(String, RangeInclusive<usize>)>,
}

impl Bodies {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let range = signature.span().start().line..=block.span().end().line;
        self.found.push((signature.ident.to_string(), range));
    }
}

impl<'ast> Visit<'ast> for Bodies {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

struct Names {
    found: Vec<(usize, String)>,
}

impl Names {
    fn add(&mut self, name: &syn::Ident) {
        self.found.push((name.span().start().line, name.to_string()));
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.add(&item.ident);
        visit::visit_item_mod(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.add(&item.ident);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.add(&item.ident);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.add(&item.ident);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.add(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.add(&signature.ident);
    }
}
