//! What making an instance of a component takes of the pool, held against the limits of one instance, in words.
//!
//! A file that takes more is the file's fault: no later attempt can succeed until the file or a limit changes. It is
//! found as early as possible: before compiling by [`Requirements::at_least`], afterwards by [`check_component`], and
//! what is left by wasmtime's own check ([`pool_refusal`](crate::plugin::refusal::pool_refusal)).

mod scan;

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::error::Error;
use crate::limits::{Limits, count};
use crate::plugin::world::is_program;
use scan::PAGE;
pub(crate) use scan::{Requirements, exports};

/// The limits of one instance that the pool makes room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceLimits {
    /// Core instances.
    pub core_instances: usize,
    /// Tables.
    pub tables: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// Linear memories.
    pub memories: usize,
    /// All linear memories together, bytes.
    pub memory: usize,
    /// The same for a program.
    pub memory_program: usize,
}

impl InstanceLimits {
    /// Of a tenant's sessions.
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            core_instances: count(limits.core_instances),
            tables: count(limits.tables),
            table_elements: count(limits.table_elements),
            memories: count(limits.memories),
            memory: limits.memory,
            memory_program: limits.memory_program.min(limits.memory_slot),
        }
    }

    /// For the command line of the compiler, in the order of [`from_arguments`](Self::from_arguments).
    pub(crate) fn arguments(self) -> [String; 6] {
        [self.core_instances, self.tables, self.table_elements, self.memories, self.memory, self.memory_program]
            .map(|limit| limit.to_string())
    }

    /// Core instances, tables, elements of a table, memories, bytes of memory, bytes of memory of a program.
    #[must_use]
    pub fn from_arguments(numbers: [usize; 6]) -> Self {
        let [core_instances, tables, table_elements, memories, memory, memory_program] = numbers;
        Self { core_instances, tables, table_elements, memories, memory, memory_program }
    }
}

impl Requirements {
    /// Checks the requirements against the limits of an instance, of a program if `is_program`. The error names each
    /// limit that is exceeded, its value and what is needed.
    pub(crate) fn check(self, is_program: bool, limits: InstanceLimits) -> Result<(), String> {
        let counts = [
            (self.core_instances, limits.core_instances, "core module instances", "core_instances"),
            (self.tables, limits.tables, "tables", "tables"),
            (self.table_elements, limits.table_elements, "elements in one table", "table_elements"),
            (self.memories, limits.memories, "memories", "memories"),
        ];
        let over = |needs: u64, limit: usize| needs > u64::try_from(limit).unwrap_or(u64::MAX);
        let counts = counts.into_iter().filter(|(needs, limit, ..)| over(*needs, *limit));
        let mut reasons: Vec<String> = counts
            .map(|(needs, limit, what, setting)| format!("it needs {needs} {what}, and limits.{setting} is {limit}"))
            .collect();
        let (memory, setting) = if is_program {
            (limits.memory_program, "limits.memory_program (at most limits.memory_slot)")
        } else {
            (limits.memory, "limits.memory")
        };
        if over(self.memory, memory) {
            let (needs, limit) = (bytes(self.memory), bytes(u64::try_from(memory).unwrap_or(u64::MAX)));
            reasons.push(format!("it needs {needs} of memory to begin with, and {setting} is {limit}"));
        }
        if reasons.is_empty() {
            return Ok(());
        }
        Err(format!("{}: build it smaller, or raise the limit", reasons.join("; ")))
    }
}

/// Whether an instance of a compiled component may take what it takes.
pub(crate) fn check_component(engine: &Engine, component: &Component, limits: InstanceLimits) -> Result<(), Error> {
    // None: it instantiates modules that it imports, which nothing provides.
    let Some(needs) = component.resources_required() else { return Ok(()) };
    let needs = Requirements {
        core_instances: 0,
        tables: u64::from(needs.num_tables),
        table_elements: needs.max_initial_table_size.unwrap_or_default(),
        memories: u64::from(needs.num_memories),
        memory: needs.max_initial_memory_size.unwrap_or_default().saturating_mul(PAGE),
    };
    let ty = component.component_type();
    let exports: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    needs.check(is_program(&exports), limits).map_err(Error::Refused)
}

/// A size for people: `64 MiB`, `1.5 MiB`, `100 bytes`.
fn bytes(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    if bytes < MIB {
        return format!("{bytes} bytes");
    }
    // Tenths, rounded up: what exceeds a limit is never shown as equal to it.
    let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(MIB));
    if tenths.is_multiple_of(10) {
        format!("{} MiB", tenths / 10)
    } else {
        format!("{}.{} MiB", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{self, EngineSettings};
    use crate::plugin::not_compiled;

    const LIMITS: InstanceLimits = InstanceLimits {
        core_instances: 4,
        tables: 2,
        table_elements: 100,
        memories: 2,
        memory: 2 << 20,
        memory_program: 3 << 20,
    };

    fn module(fields: &str) -> Vec<u8> {
        wat::parse_str(format!("(component (core module $m {fields}) (core instance (instantiate $m)))")).unwrap()
    }

    #[test]
    fn each_limit_is_named_with_its_value_and_what_is_needed() {
        for (fields, words) in [
            (&"(table 1 funcref)".repeat(3), "it needs 3 tables, and limits.tables is 2"),
            (&"(table 101 funcref)".to_owned(), "it needs 101 elements in one table, and limits.table_elements is 100"),
            (&"(memory 1)".repeat(3), "it needs 3 memories, and limits.memories is 2"),
            (
                &"(memory 20) (memory 13)".to_owned(),
                "it needs 2.1 MiB of memory to begin with, and limits.memory is 2 MiB",
            ),
        ] {
            let reason = Requirements::at_least(&module(fields)).check(false, LIMITS).unwrap_err();
            assert_eq!(reason, format!("{words}: build it smaller, or raise the limit"));
        }
        let five = "(core instance (instantiate $m))".repeat(5);
        let five = wat::parse_str(format!("(component (core module $m (table 1 funcref)) {five})")).unwrap();
        let reason = Requirements::at_least(&five).check(false, LIMITS).unwrap_err();
        let both = "it needs 5 core module instances, and limits.core_instances is 4; \
                    it needs 5 tables, and limits.tables is 2: build it smaller, or raise the limit";
        assert_eq!(reason, both);
        let large = Requirements::at_least(&module("(memory 49)"));
        let memory = "it needs 3.1 MiB of memory to begin with, and limits.memory_program (at most limits.memory_slot) is \
                      3 MiB: build it smaller, or raise the limit";
        assert_eq!(large.check(true, LIMITS).unwrap_err(), memory);
        let program = Requirements::at_least(&module("(memory 48)"));
        assert!(program.check(true, LIMITS).is_ok() && program.check(false, LIMITS).is_err());
        let fits = module("(table 100 funcref) (table 1 funcref) (memory 16) (memory 16)");
        assert_eq!(Requirements::at_least(&fits).check(false, LIMITS), Ok(()));
    }

    /// The words of the compiler are wasmtime's and may change with it.
    #[test]
    fn the_pools_refusals_name_the_setting() {
        let settings = EngineSettings::of(&Limits { instances: 1, memory_slot: 1 << 20, ..Limits::default() });
        let engine = engine::Engine::new(&settings).unwrap();
        let reason = |wasm: &[u8]| not_compiled(&Component::new(engine.wasmtime(), wasm).err().unwrap()).to_string();
        let count = |number: usize| "(core instance (instantiate $m))".repeat(number);
        let many = |fields: &str, number: usize| {
            wat::parse_str(format!("(component (core module $m {fields}) {})", count(number))).unwrap()
        };
        for (wasm, setting) in [
            (module("(memory 5000)"), "limits.memory "),
            (module(&"(memory 1)".repeat(20)), "limits.memories "),
            (many("(memory 1)", 20), "limits.memories "),
            (module(&"(table 1 funcref)".repeat(40)), "limits.tables "),
            (many("(table 1 funcref)", 40), "limits.tables "),
            (module("(table 30000 funcref)"), "limits.table_elements "),
            (many("", 70), "limits.core_instances "),
            (module(&"(global i64 (i64.const 0))".repeat(600_000)), "too many functions, imports or globals"),
            (many(&"(global i64 (i64.const 0))".repeat(100_000), 3), "too many functions, imports or globals"),
        ] {
            let reason = reason(&wasm);
            assert!(
                reason.contains(setting) && reason.contains("more") | reason.contains("larg") | reason.contains("too"),
                "{setting}: {reason}"
            );
        }
    }

    #[test]
    fn sizes_never_look_smaller_than_they_are() {
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(bytes((64 << 20) + 1), "64.1 MiB");
        assert_eq!(bytes(3 << 19), "1.5 MiB");
        assert_eq!(bytes(100), "100 bytes");
    }
}
