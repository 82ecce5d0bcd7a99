//! Generates the Rust messages and stubs: `generate-stubs PROTO_FOLDER TARGET_FOLDER`.
//!
//! The target is replaced as a whole, and only when all of it was made.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

mod names;

const PACKAGE: &str = "managedagents.v1";

fn main() -> Result<(), Box<dyn Error>> {
    let [protos, target] = env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| "usage: generate-stubs PROTO_FOLDER TARGET_FOLDER")?;
    let fresh = target.with_extension("fresh");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh)?;
    generate(&protos, &fresh)?;
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::rename(&fresh, &target)?;
    Ok(())
}

fn generate(protos: &Path, folder: &Path) -> Result<(), Box<dyn Error>> {
    let files = files(protos)?;
    let mut compiler = protox::Compiler::new([protos])?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    let with_comments = compiler.file_descriptor_set();

    let mut config = prost_build::Config::new();
    config.enable_type_names();
    let stub = folder.join(format!("{PACKAGE}.rs"));
    tonic_prost_build::configure()
        .build_server(false)
        .out_dir(folder)
        .compile_fds_with_config(with_comments.clone(), config)?;
    let code = fs::read_to_string(&stub)?;
    fs::write(&stub, code + &names::of_oneofs(&with_comments, PACKAGE))?;

    // What JSON needs to know of the messages; comments would be most of it.
    let mut plain = protox::Compiler::new([protos])?;
    plain.include_imports(true).include_source_info(false).open_files(&files)?;
    fs::write(folder.join(format!("{PACKAGE}.binpb")), plain.encode_file_descriptor_set())?;
    Ok(())
}

/// The protos of the package, sorted, so that the same protos give the same bytes.
fn files(root: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let folder = root.join(PACKAGE.replace('.', "/"));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
