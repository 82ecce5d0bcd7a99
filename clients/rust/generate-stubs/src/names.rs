//! Names that the protos have and that prost leaves out: which member of a oneof is set.

use std::fmt::Write;

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::FileDescriptorSet;

/// A message, its oneof, and the method that tells the member, with its comment.
const NAMED: [(&str, &str, &str, &str); 3] = [
    ("SessionEvent", "payload", "kind", "The event's kind, say `agent.message`."),
    ("UserEvent", "event", "kind", "The event's kind, say `user.message`."),
    ("StopReason", "reason", "name", "The reason's name, say `end_turn`."),
];

/// Code that gives the names of the oneofs' members.
pub(crate) fn of_oneofs(set: &FileDescriptorSet, package: &str) -> String {
    let mut code = String::new();
    for (message, oneof, method, comment) in NAMED {
        let found = set
            .file
            .iter()
            .filter(|file| file.package() == package)
            .flat_map(|file| &file.message_type)
            .find(|kind| kind.name() == message)
            .unwrap_or_else(|| panic!("no message {message}"));
        let index = found.oneof_decl.iter().position(|decl| decl.name() == oneof);
        let index = index.unwrap_or_else(|| panic!("no {oneof} in {message}")) as i32;
        let (module, kind) = (message.to_snake_case(), oneof.to_upper_camel_case());
        let _ = writeln!(code, "impl {module}::{kind} {{");
        let _ = writeln!(code, "    /// {comment}");
        let _ = writeln!(code, "    pub fn {method}(&self) -> &'static str {{\n        match self {{");
        for field in found.field.iter().filter(|field| field.oneof_index == Some(index)) {
            let variant = field.name().to_upper_camel_case();
            let name = match method {
                "kind" => field.name().replacen('_', ".", 1),
                _ => field.name().to_owned(),
            };
            let _ = writeln!(code, "            Self::{variant}(_) => \"{name}\",");
        }
        code.push_str("        }\n    }\n}\n");
    }
    code
}
