//! Which module uses which inside a crate.
//!
//! Reads `use` items and paths in the code, in macro calls too. A re-export is followed to the declaration. Code that
//! is compiled for tests only does not count, nor does the visibility `pub(in path)`.

use crate::source::{Source, attributes, is_for_tests, repository};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// The path of a module from the crate's root; empty for the root itself.
pub(crate) type Module = Vec<String>;

/// The place of a use.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: usize,
}

/// The modules of one crate and their uses of each other, each with its first place.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) name: String,
    pub(crate) uses: BTreeMap<Module, BTreeMap<Module, Place>>,
    /// The types that each module declares and that are not private to it.
    pub(crate) types: BTreeMap<Module, Vec<String>>,
}

/// The root files of all our libraries and programs.
pub(crate) fn crate_roots() -> Vec<PathBuf> {
    let mut folders = vec![
        "host/ssh",
        "host/runtime",
        "host/gateway",
        "guest-sdk",
        "tests",
        "tests/suites",
        "tests/xtask",
        "tests/hostile/attacker",
    ]
    .into_iter()
    .map(|name| repository().join(name))
    .collect::<Vec<_>>();
    for plugins in ["plugins", "plugins/unix"] {
        let plugins = std::fs::read_dir(repository().join(plugins)).expect("there are plugins").filter_map(Result::ok);
        folders.extend(plugins.map(|entry| entry.path()).filter(|path| path.join("Cargo.toml").is_file()));
    }
    let roots = ["src/lib.rs", "src/main.rs", "interop/main.rs", "hostile/main.rs", "house/main.rs"];
    let files = folders.iter().flat_map(|folder| roots.iter().map(move |root| folder.join(root)));
    files.filter(|file| file.is_file()).collect()
}

/// The contents of a module before uses are resolved.
#[derive(Default)]
struct Scope {
    /// The names that `use` imports, with their paths relative to the module.
    imports: BTreeMap<String, Vec<String>>,
    /// The paths in the code, with their lines.
    paths: Vec<(usize, Vec<String>)>,
    /// The types that it declares for others.
    types: Vec<String>,
    file: String,
}

impl Graph {
    /// Reads a crate, starting from its root file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut scopes = BTreeMap::new();
        let source = Source::read(root);
        // The children of `src/lib.rs` are beside it.
        let folder = root.parent().expect("a file is in a folder");
        gather(Vec::new(), source.items(), &source.name(), folder, &mut scopes);
        let mut graph = Self { name: source.name(), ..Self::default() };
        for (module, scope) in &scopes {
            graph.types.insert(module.clone(), scope.types.clone());
            let uses = graph.uses.entry(module.clone()).or_default();
            for (line, path) in &scope.paths {
                let Some(used) = resolve(module, path, &scopes, 0) else { continue };
                if used != *module {
                    uses.entry(used).or_insert_with(|| Place { file: scope.file.clone(), line: *line });
                }
            }
        }
        graph
    }
}

fn gather(module: Module, items: &[syn::Item], file: &str, folder: &Path, scopes: &mut BTreeMap<Module, Scope>) {
    let mut reader = Reader { scope: Scope { file: file.to_owned(), ..Scope::default() } };
    for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
        reader.scope.types.extend(declared_type(item));
        let syn::Item::Mod(child) = item else {
            reader.visit_item(item);
            continue;
        };
        let name = child.ident.to_string();
        let path = [module.as_slice(), std::slice::from_ref(&name)].concat();
        let inside = folder.join(&name);
        if let Some((_, items)) = &child.content {
            gather(path, items, file, &inside, scopes);
        } else {
            let beside = [folder.join(format!("{name}.rs")), inside.join("mod.rs")];
            let found =
                beside.iter().find(|file| file.is_file()).unwrap_or_else(|| panic!("{file}: no file for mod {name}"));
            let source = Source::read(found);
            gather(path, source.items(), &source.name(), &inside, scopes);
        }
    }
    scopes.insert(module, reader.scope);
}

/// The name of the type or trait that an item declares for other modules.
fn declared_type(item: &syn::Item) -> Option<String> {
    let (visibility, name) = match item {
        syn::Item::Enum(item) => (&item.vis, &item.ident),
        syn::Item::Struct(item) => (&item.vis, &item.ident),
        syn::Item::Trait(item) => (&item.vis, &item.ident),
        syn::Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    (!matches!(visibility, syn::Visibility::Inherited)).then(|| name.to_string())
}

/// The module in which the thing behind `path`, written in `module`, is declared. `None` when it is not ours.
fn resolve(module: &Module, path: &[String], scopes: &BTreeMap<Module, Scope>, depth: usize) -> Option<Module> {
    // A circle of re-exports does not compile; this bounds the cost of a misread path.
    if depth > 16 {
        return None;
    }
    let (mut at, mut rest) = match path.first()?.as_str() {
        "crate" => (Vec::new(), &path[1..]),
        "self" => (module.clone(), &path[1..]),
        "super" => (module.split_last()?.1.to_vec(), &path[1..]),
        first => {
            let child = [module.as_slice(), &[first.to_owned()]].concat();
            if !scopes.contains_key(&child) {
                let behind = scopes.get(module)?.imports.get(first)?;
                // `use tokio::x` imports a name that is not ours, and a name may shadow itself: `use x::y as x`.
                if behind.first().is_some_and(|name| name == first) {
                    return None;
                }
                let longer = [behind.as_slice(), &path[1..]].concat();
                return resolve(module, &longer, scopes, depth + 1);
            }
            (module.clone(), path)
        }
    };
    while rest.first().is_some_and(|name| name == "super") {
        at.pop()?;
        rest = &rest[1..];
    }
    while let Some(name) = rest.first() {
        let child = [at.as_slice(), std::slice::from_ref(name)].concat();
        if !scopes.contains_key(&child) {
            let behind = scopes.get(&at)?.imports.get(name);
            let through = behind.filter(|behind| behind.first() != Some(name));
            let longer = through.map(|behind| [behind.as_slice(), &rest[1..]].concat());
            let declared = longer.and_then(|longer| resolve(&at, &longer, scopes, depth + 1));
            return Some(declared.unwrap_or(at));
        }
        at = child;
        rest = &rest[1..];
    }
    Some(at)
}

struct Reader {
    scope: Scope,
}

impl Reader {
    fn tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Name(name) => self.import(&name.ident, &name.ident, before),
            syn::UseTree::Rename(rename) => self.import(&rename.ident, &rename.rename, before),
            syn::UseTree::Glob(glob) => self.scope.paths.push((glob.star_token.spans[0].start().line, before.clone())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
        }
    }

    fn import(&mut self, name: &syn::Ident, known_as: &syn::Ident, before: &[String]) {
        let mut path = before.to_vec();
        let mut known_as = known_as.to_string();
        if name == "self" {
            if known_as == "self" {
                known_as = path.last().cloned().unwrap_or_default();
            }
        } else {
            path.push(name.to_string());
        }
        self.scope.paths.push((name.span().start().line, path.clone()));
        self.scope.imports.insert(known_as, path);
    }

    /// Paths in a macro call are tokens: names with `::` between them.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(sign)) if sign.as_char() == ':');
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let (line, mut path) = (first.span().start().line, vec![first.to_string()]);
                    while let (true, true, Some(TokenTree::Ident(next))) =
                        (colon(at + 1), colon(at + 2), tokens.get(at + 3))
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    if path.len() > 1 {
                        self.scope.paths.push((line, path));
                    }
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            at += 1;
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let line = path.segments[0].ident.span().start().line;
            self.scope.paths.push((line, path.segments.iter().map(|segment| segment.ident.to_string()).collect()));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        // The body of `macro_rules!` is used where the macro is called.
        if !call.path.is_ident("macro_rules") {
            self.tokens(call.tokens.clone());
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}
