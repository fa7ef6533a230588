//! The kept header is the one that the sources give. `ORDERGUARD_REWRITE=1 cargo test -p orderguard-capi --test header` writes it anew.

use std::path::PathBuf;

/// The sources in the order in which the header names their things.
const SOURCES: [&str; 7] = ["border.rs", "model.rs", "setup.rs", "orders.rs", "reasons.rs", "state.rs", "lib.rs"];

#[test]
fn the_kept_header_is_that_of_the_sources() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let n_sources = std::fs::read_dir(folder.join("src")).unwrap().count();
    assert_eq!(n_sources, SOURCES.len(), "a source that the header does not know");
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new().with_config(config);
    let builder = SOURCES[..6].iter().fold(builder, |builder, name| builder.with_src(folder.join("src").join(name)));
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    // What Rust calls safety is what a function needs.
    let found = String::from_utf8(text).unwrap().replace("// # Safety\n// ", "// Needs: ");
    let path = folder.join("include/orderguard.h");
    if std::env::var_os("ORDERGUARD_REWRITE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == found, "include/orderguard.h is not that of the sources; ORDERGUARD_REWRITE=1 writes it anew");
    // Every function that leaves the crate is declared, and called by the program that is the test.
    let program = std::fs::read_to_string(folder.join("tests/program.c")).unwrap();
    let is_declaration =
        |line: &&str| !line.starts_with([' ', '/']) && line.contains("og_") && !line.contains("static");
    let mut declared = 0;
    for line in found.lines().filter(is_declaration) {
        let start = line.find("og_").unwrap();
        let name = &line[start..=start + line[start..].find('(').unwrap()];
        assert!(program.contains(name), "tests/program.c never calls {name})");
        declared += 1;
    }
    let exported: usize = SOURCES
        .map(|name| std::fs::read_to_string(folder.join("src").join(name)).unwrap())
        .iter()
        .map(|source| source.matches("#[unsafe(no_mangle)]").count())
        .sum();
    assert_eq!(declared, exported);
}
