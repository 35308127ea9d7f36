//! From layers back to a string that parses to the same layers.

use super::parse::{Form, Shape};

/// One layer, ready to be written.
#[derive(Debug, Default)]
pub(super) struct Printed {
    kind: String,
    /// Escaped already.
    positional: Vec<String>,
    /// Key and value, and whether the value is a secret. Not escaped.
    options: Vec<(String, String, bool)>,
}

impl Printed {
    pub(super) fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    /// An argument, which is escaped.
    pub(super) fn argument(self, text: &str) -> Self {
        self.raw(escape(text, &[':', '=', '[']))
    }

    /// An argument as it is: an address in brackets, a command line.
    pub(super) fn raw(mut self, text: impl Into<String>) -> Self {
        self.positional.push(text.into());
        self
    }

    pub(super) fn option(mut self, key: &str, value: impl ToString) -> Self {
        self.options.push((key.to_owned(), value.to_string(), false));
        self
    }

    pub(super) fn secret(mut self, key: &str, value: &str) -> Self {
        self.options.push((key.to_owned(), value.to_owned(), true));
        self
    }

    /// The option, unless it has its default value.
    pub(super) fn unless<T: PartialEq + ToString>(self, key: &str, value: &T, default: &T) -> Self {
        if value == default { self } else { self.option(key, value.to_string()) }
    }

    pub(super) fn maybe<T: ToString>(self, key: &str, value: Option<T>) -> Self {
        match value {
            Some(value) => self.option(key, value.to_string()),
            None => self,
        }
    }

    pub(super) fn flag(self, key: &str, value: bool, default: bool) -> Self {
        if value == default { self } else { self.option(key, if value { "on" } else { "off" }) }
    }

    fn write_option(&self, index: usize, hide: bool) -> String {
        let (key, value, secret) = &self.options[index];
        let value = if *secret && hide { "***".to_owned() } else { escape(value, &[':', '[']) };
        format!("{}={value}", escape(key, &[':', '=', '[']))
    }
}

/// Writes layers, outermost first. An option stands at the end where it finds its layer from there,
/// else right behind the layer's name. With `hide`, secrets are `***`.
pub(super) fn print(layers: &[Printed], shapes: &[Shape<'_>], hide: bool) -> String {
    let shape = |layer: &Printed| shapes.iter().find(|shape| shape.name == layer.kind);
    let leaf_takes_rest =
        layers.last().and_then(shape).is_some_and(|shape| shape.form == Form::Rest);
    let (mut fields, mut trailing) = (Vec::new(), Vec::new());
    for (at, layer) in layers.iter().enumerate() {
        fields.push(layer.kind.clone());
        let is_leaf = at + 1 == layers.len();
        for (index, (key, ..)) in layer.options.iter().enumerate() {
            let hidden_by = |inner: &Printed| {
                shape(inner).is_some_and(|shape| shape.keys.contains(&key.as_str()))
            };
            let in_place = !is_leaf && (leaf_takes_rest || layers[at + 1..].iter().any(hidden_by));
            let place = if in_place { &mut fields } else { &mut trailing };
            place.push(layer.write_option(index, hide));
        }
        fields.extend(layer.positional.iter().cloned());
    }
    fields.extend(trailing);
    match fields.as_slice() {
        [only] => format!("{only}:"),
        fields => fields.join(":"),
    }
}

fn escape(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' || special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
