//! Reads from the bytes of a component how many instances, tables and memories it creates.
//!
//! Follows the index spaces of modules and components through nested components, and adds up what each instantiation
//! creates. Linear in the size of the file, however often a component is instantiated. What is not in the file (a
//! module that is imported, or that comes out of an instance) counts as empty, so the result is a lower bound.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, Encoding, Instance, Parser,
    Payload, Result,
};

/// Bytes of a page of linear memory.
pub(super) const PAGE: u64 = 64 << 10;

/// The resources that an instantiation takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Requirements {
    pub(super) core_instances: u64,
    pub(super) tables: u64,
    /// Elements of the largest table.
    pub(super) table_elements: u64,
    pub(super) memories: u64,
    /// Initial size of all memories together, in bytes.
    pub(super) memory: u64,
}

/// A module or component that is being read.
struct Scope {
    encoding: Encoding,
    /// The resources of its own instantiation.
    total: Requirements,
    /// The resources of each of its modules, and each of its components, by index.
    modules: Vec<Requirements>,
    components: Vec<Requirements>,
}

impl Requirements {
    /// The least resources of a component, read from its bytes without compiling. Instances of imports are not counted.
    /// An unreadable file takes nothing: the compiler reports what is wrong.
    pub(crate) fn at_least(wasm: &[u8]) -> Self {
        scan(wasm).unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.core_instances = self.core_instances.saturating_add(other.core_instances);
        self.tables = self.tables.saturating_add(other.tables);
        self.table_elements = self.table_elements.max(other.table_elements);
        self.memories = self.memories.saturating_add(other.memories);
        self.memory = self.memory.saturating_add(other.memory);
    }
}

/// The names of the exports of a component, read from its bytes. Of an unreadable file: those before the fault.
pub(crate) fn exports(wasm: &[u8]) -> Vec<&str> {
    let (mut names, mut depth) = (Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        match payload {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 1 => {
                names.extend(section.into_iter().map_while(Result::ok).map(|export| export.name.name));
            }
            _ => {}
        }
    }
    names
}

/// The resources of instantiating a file. `None`: it is truncated.
fn scan(wasm: &[u8]) -> Option<Requirements> {
    let mut scopes: Vec<Scope> = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.ok()? {
            Payload::Version { encoding, .. } => {
                let (modules, components) = (Vec::new(), Vec::new());
                scopes.push(Scope { encoding, total: Requirements::default(), modules, components });
            }
            Payload::End(_) => {
                let done = scopes.pop()?;
                let Some(outer) = scopes.last_mut() else { return Some(done.total) };
                match done.encoding {
                    Encoding::Module => outer.modules.push(done.total),
                    Encoding::Component => outer.components.push(done.total),
                }
            }
            payload => read(&mut scopes, payload).ok()?,
        }
    }
    None
}

fn read(scopes: &mut [Scope], payload: Payload<'_>) -> Result<()> {
    match payload {
        Payload::ComponentAliasSection(section) => {
            for alias in section {
                alias_of(scopes, &alias?);
            }
            Ok(())
        }
        payload => scopes.last_mut().map_or(Ok(()), |scope| scope.read(payload)),
    }
}

/// An alias of an item of an outer component or of an instance.
fn alias_of(scopes: &mut [Scope], alias: &ComponentAlias<'_>) {
    let found = match alias {
        ComponentAlias::Outer { kind, count, index } => {
            let outer = scopes.len().checked_sub(1 + position(*count)).map(|at| &scopes[at]);
            let from = |of: fn(&Scope) -> &Vec<Requirements>| {
                outer.and_then(|scope| of(scope).get(position(*index)).copied()).unwrap_or_default()
            };
            match kind {
                ComponentOuterAliasKind::CoreModule => {
                    Some((ComponentExternalKind::Module, from(|scope| &scope.modules)))
                }
                ComponentOuterAliasKind::Component => {
                    Some((ComponentExternalKind::Component, from(|scope| &scope.components)))
                }
                ComponentOuterAliasKind::CoreType | ComponentOuterAliasKind::Type => None,
            }
        }
        ComponentAlias::InstanceExport { kind, .. } => Some((*kind, Requirements::default())),
        ComponentAlias::CoreInstanceExport { .. } => None,
    };
    if let (Some((kind, needs)), Some(scope)) = (found, scopes.last_mut()) {
        scope.define(kind, needs);
    }
}

impl Scope {
    fn read(&mut self, payload: Payload<'_>) -> Result<()> {
        match payload {
            Payload::TableSection(section) => {
                for table in section {
                    let elements = table?.ty.initial;
                    self.total.add(Requirements { tables: 1, table_elements: elements, ..Requirements::default() });
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    let memory = memory?;
                    let page = memory.page_size_log2.map_or(PAGE, |log2| 1_u64.checked_shl(log2).unwrap_or(PAGE));
                    let bytes = memory.initial.saturating_mul(page);
                    self.total.add(Requirements { memories: 1, memory: bytes, ..Requirements::default() });
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section {
                    if let Instance::Instantiate { module_index, .. } = instance? {
                        self.total.add(Requirements { core_instances: 1, ..Requirements::default() });
                        self.total.add(self.modules.get(position(module_index)).copied().unwrap_or_default());
                    }
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.total.add(self.components.get(position(component_index)).copied().unwrap_or_default());
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.define(import?.ty.kind(), Requirements::default());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    let export = export?;
                    let of = match export.kind {
                        ComponentExternalKind::Module => &self.modules,
                        _ => &self.components,
                    };
                    self.define(export.kind, of.get(position(export.index)).copied().unwrap_or_default());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the next index of its kind.
    fn define(&mut self, kind: ComponentExternalKind, needs: Requirements) {
        match kind {
            ComponentExternalKind::Module => self.modules.push(needs),
            ComponentExternalKind::Component => self.components.push(needs),
            _ => {}
        }
    }
}

fn position(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Component;
    use wasmtime::{Config, Engine, InstanceAllocationStrategy};

    use super::*;

    fn scanned(text: &str) -> Requirements {
        scan(&wat::parse_str(text).unwrap()).unwrap()
    }

    #[test]
    fn the_needs_of_nested_components_add_up_like_wasmtimes() {
        let module = "(core module $m (table 7 funcref) (table 3 funcref) (memory 2))";
        let texts = [
            format!("(component {module} (core instance (instantiate $m)) (core instance (instantiate $m)))"),
            // Declared and never instantiated.
            format!("(component {module})"),
            // A component that is instantiated twice, once by an alias.
            format!(
                "(component (component $c {module} (core instance (instantiate $m)))
                    (instance (instantiate $c))
                    (component $d (alias outer 1 $c (component $e)) (instance (instantiate $e)))
                    (instance (instantiate $d)))"
            ),
            // A module of an outer component.
            format!("(component {module} (component $c (alias outer 1 $m (core module $n)) (core instance (instantiate $n)))
                (instance (instantiate $c)))"),
            // Exports create new indices.
            format!("(component {module} (export $n \"n\" (core module $m)) (core instance (instantiate $n)))"),
        ];
        let mut config = Config::new();
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        let engine = Engine::new(&config).unwrap();
        for text in texts {
            let needs = Component::new(&engine, wat::parse_str(&text).unwrap()).unwrap().resources_required().unwrap();
            let scanned = scanned(&text);
            let found = (u64::from(needs.num_tables), u64::from(needs.num_memories));
            assert_eq!((scanned.tables, scanned.memories), found, "{text}");
            assert_eq!(scanned.table_elements, needs.max_initial_table_size.unwrap_or_default(), "{text}");
            assert_eq!(scanned.memory, scanned.memories * 2 * PAGE, "{text}");
        }
    }

    #[test]
    fn imports_count_as_empty() {
        let text = "(component (import \"m\" (core module $m)) (core instance (instantiate $m)))";
        assert_eq!(scanned(text), Requirements { core_instances: 1, ..Requirements::default() });
    }

    #[test]
    fn a_component_that_doubles_at_each_level_is_counted_without_being_built() {
        let mut text = "(component $c0 (core module $m (memory 1)) (core instance (instantiate $m)))".to_owned();
        for level in 1..80 {
            let inner = level - 1;
            text = format!(
                "(component $c{level} {text} (instance (instantiate $c{inner})) (instance (instantiate $c{inner})))"
            );
        }
        let scanned = scanned(&text.replacen("$c79", "", 1));
        assert_eq!((scanned.core_instances, scanned.memories), (u64::MAX, u64::MAX));
    }

    #[test]
    fn truncated_and_invalid_files_need_nothing() {
        let whole = wat::parse_str("(component (core module $m (memory 1)) (core instance (instantiate $m)))").unwrap();
        for end in 0..whole.len() {
            // A prefix that ends with a section is complete for this parser.
            assert!(Requirements::at_least(&whole[..end]).memory <= PAGE, "{end}");
        }
        assert_eq!(scan(b"no wasm"), None);
        // Indices out of range.
        let bad =
            [b"\0asm\x0d\0\x01\0".as_slice(), &[2, 4, 1, 0, 99, 0], &[5, 4, 1, 0, 99, 0], &[6, 5, 1, 5, 1, 2, 77]]
                .concat();
        assert_eq!(Requirements::at_least(&bad).memories, 0);
    }
}
