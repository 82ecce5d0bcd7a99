//! The generated code is what the generator makes of the protos.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).expect("a file")))
        .collect()
}

#[test]
fn what_is_committed_is_what_is_generated() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let fresh = folder.path().join("gen");
    let done = Command::new(here.join("generate")).arg(&fresh).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (fresh, committed) = (files(&fresh), files(&here.join("src/gen")));
    assert_eq!(fresh.keys().collect::<Vec<_>>(), committed.keys().collect::<Vec<_>>());
    for (name, bytes) in fresh {
        assert!(committed[&name] == bytes, "{name} is old: run ./generate");
    }
}
