//! From settings to the file that says the same.

use toml::{Table, Value};

use super::{Config, Globals};
use crate::kind::differences;

impl Config {
    /// The text of a file that means this; defaults are left out.
    pub(crate) fn print(&self) -> String {
        let mut text = String::new();
        let globals = differences(&self.globals, &Globals::default());
        let (tables, plain): (Table, Table) =
            globals.into_iter().partition(|(_, value)| value.is_table());
        keys(&mut text, &plain);
        for (name, value) in &tables {
            section(&mut text, &format!("[{name}]"), name, value);
        }
        for service in &self.services {
            let mut table = service.settings.table();
            if service.named {
                table.insert("name".to_owned(), Value::String(service.name.clone()));
            }
            let heading = format!("[[{}]]", service.kind);
            section(&mut text, &heading, service.kind, &Value::Table(table));
        }
        text
    }
}

/// A heading, its keys, and the sections in it.
fn section(text: &mut String, heading: &str, path: &str, value: &Value) {
    let Value::Table(table) = value else { return };
    let (tables, plain): (Table, Table) =
        table.clone().into_iter().partition(|(_, value)| is_section(value));
    if !text.is_empty() {
        text.push('\n');
    }
    *text += heading;
    text.push('\n');
    keys(text, &plain);
    for (name, value) in &tables {
        let path = format!("{path}.{name}");
        match value {
            Value::Array(items) => {
                for item in items {
                    section(text, &format!("[[{path}]]"), &path, item);
                }
            }
            _ => section(text, &format!("[{path}]"), &path, value),
        }
    }
}

/// What gets a heading of its own.
fn is_section(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        _ => false,
    }
}

fn keys(text: &mut String, table: &Table) {
    for (key, value) in table {
        *text += &format!("{key} = {value}\n");
    }
}
