//! Limits the names of a component's functions. At each crash the host copies the names of the functions on the stack,
//! so a name of megabytes would make each crash cost a hundred times as much. W26.

use wasmparser::{KnownCustom, Name, Parser, Payload};

/// The longest name of a function, in bytes. Compilers of languages with generics produce names of thousands.
const LONGEST: usize = 64 << 10;

/// Whether all names are within the limit. Invalid parts pass: the compiler reports them, and an unreadable name
/// section names nothing.
pub(super) fn check(wasm: &[u8]) -> Result<(), String> {
    for payload in Parser::new(0).parse_all(wasm) {
        let Ok(Payload::CustomSection(section)) = payload else { continue };
        // Compares the name first: `as_known` builds tables many times the size of some sections.
        if section.name() != "name" {
            continue;
        }
        let KnownCustom::Name(names) = section.as_known() else { continue };
        for name in names {
            let Ok(Name::Function(functions)) = name else { continue };
            for function in functions.into_iter().flatten() {
                if function.name.len() > LONGEST {
                    return Err(format!(
                        "function {} has a name of {} bytes, more than the {LONGEST} that are allowed",
                        function.index,
                        function.name.len()
                    ));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_names_in_every_module_are_checked() {
        let component = |length: usize| {
            let name = "f".repeat(length);
            let module = format!("(core module (func ${name}))");
            wat::parse_str(format!("(component (core module) (component (component {module})))")).unwrap()
        };
        assert_eq!(check(&component(LONGEST)), Ok(()));
        let reason = check(&component(LONGEST + 1)).unwrap_err();
        assert_eq!(reason, "function 0 has a name of 65537 bytes, more than the 65536 that are allowed");
    }

    #[test]
    fn invalid_components_are_left_to_the_compiler() {
        for bytes in [&b""[..], b"\0asm", b"not wasm at all", &[0xff; 100]] {
            assert_eq!(check(bytes), Ok(()));
        }
    }
}
