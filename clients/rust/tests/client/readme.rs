//! The README's code is that of the examples, and prints what the README says.

use std::path::Path;
use std::process::Command;

use crate::support::sessions::connected;

const EXAMPLES: [(&str, &str); 3] = [
    ("weather", "end_turn It is 19 degrees in Oslo.\n"),
    ("follow", "1 user.message\n2 status.running\n3 agent.message\n4 status.idle\n"),
    ("errors", "SESSION_NOT_FOUND\n"),
];
const ADDRESS: &str = "127.0.0.1:50051";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file")
}

fn blocks() -> Vec<String> {
    let readme = read("README.md");
    let blocks = readme.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned());
    blocks.collect()
}

#[test]
fn every_block_of_the_readme_is_an_example() {
    let examples: Vec<_> = EXAMPLES.iter().map(|(name, _)| read(&format!("examples/{name}.rs"))).collect();
    assert_eq!(blocks(), examples);
}

#[test]
fn the_first_example_is_short() {
    assert!(blocks()[0].lines().filter(|line| !line.trim().is_empty()).count() < 25);
    assert!(blocks()[0].contains(ADDRESS));
}

#[tokio::test]
async fn an_example_prints_what_it_says() {
    let (folder, server, _client) = connected().await;
    for (name, printed) in EXAMPLES {
        let out = Command::new(at_another_address(name, &server.address, folder.path())).output().expect("it runs");
        let said = String::from_utf8(out.stdout).unwrap();
        assert!(out.status.success() && said.ends_with(printed), "{name}: {said}{:?}", out.stderr);
    }
}

/// The example's program, with the address in it replaced: in the source it would have to be built anew.
fn at_another_address(name: &str, address: &str, folder: &Path) -> std::path::PathBuf {
    assert_eq!(address.len(), ADDRESS.len(), "a port of five digits");
    let built = std::env::current_exe().unwrap().parent().unwrap().join(format!("../examples/{name}"));
    let mut program = std::fs::read(&built).expect("cargo builds the examples with the tests");
    let places: Vec<_> = program
        .windows(ADDRESS.len())
        .enumerate()
        .filter(|(_, w)| *w == ADDRESS.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "{name} has the address");
    for at in places {
        program[at..at + address.len()].copy_from_slice(address.as_bytes());
    }
    let path = folder.join(name);
    std::fs::write(&path, program).unwrap();
    std::fs::set_permissions(&path, std::fs::metadata(&built).unwrap().permissions()).unwrap();
    path
}
