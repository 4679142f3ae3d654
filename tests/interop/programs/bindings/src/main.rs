//! `bindings WIT WORLD FOLDER` writes the header of a world for programs in C, and the two files that they are linked
//! with: what `wit-bindgen c WIT --world WORLD --out-dir FOLDER` does.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [wit, world, folder] = words.as_slice() else { return Err("bindings WIT WORLD FOLDER".into()) };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit)?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    for (name, contents) in files.iter() {
        fs::write(Path::new(folder).join(name), contents)?;
    }
    Ok(())
}
