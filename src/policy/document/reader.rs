//! Reads the values of a document, and notes the faults in them.

use std::collections::HashSet;

use super::super::suggest::did_you_mean;
use super::super::tree::{Fault, Node, Value};
use super::TOP_KEYS;

/// Reads values. The `subject` of a fault says which part of the document it is in.
pub(super) struct Reader<'f> {
    pub(super) faults: &'f mut Vec<Fault>,
}

impl Reader<'_> {
    pub(super) fn fault(&mut self, at: usize, subject: &str, text: &str) {
        self.faults.push(Fault { at, text: format!("{subject}{text}") });
    }

    /// The entries of a table, without those whose key is unknown or repeated. `subject` says where the table is, and
    /// begins each fault.
    pub(super) fn entries<'n>(
        &mut self,
        subject: &str,
        node: &'n Node,
        known: &[&'static str],
    ) -> Vec<(&'static str, &'n Node)> {
        let mut found: Vec<(&'static str, &Node)> = Vec::new();
        for (key, name, value) in self.named_entries(subject, node) {
            if let Some(known) = known.iter().find(|known| **known == name) {
                found.push((known, value));
            } else {
                let hint = if TOP_KEYS.contains(&name) {
                    "; it is a key of the policy itself, and in TOML such a key stands above the first `[`"
                        .to_owned()
                } else {
                    did_you_mean(name, known.iter().copied())
                };
                self.fault(key.at, subject, &format!("there is no key `{name}`{hint}"));
            }
        }
        found
    }

    /// The entries of a table whose keys the owner chooses.
    pub(super) fn named_entries<'n>(
        &mut self,
        subject: &str,
        node: &'n Node,
    ) -> Vec<(&'n Node, &'n str, &'n Node)> {
        let Value::Table(entries) = &node.value else {
            let fault = format!("this is {}, but it has to be a table of keys and values", node.value);
            self.fault(node.at, subject, &fault);
            return Vec::new();
        };
        let mut names = HashSet::new();
        let mut found = Vec::new();
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            if names.insert(name) {
                found.push((key, name, value));
            } else {
                self.fault(
                    key.at,
                    subject,
                    &format!("the key `{name}` is there twice; remove one of the two"),
                );
            }
        }
        found
    }

    pub(super) fn text<'n>(&mut self, subject: &str, node: &'n Node) -> Option<&'n str> {
        if node.text().is_none() {
            self.fault(node.at, subject, &format!("this is {}, but it has to be text in quotes", node.value));
        }
        node.text()
    }

    pub(super) fn bool(&mut self, subject: &str, node: &Node) -> Option<bool> {
        if let Value::Bool(is_true) = node.value {
            return Some(is_true);
        }
        self.fault(node.at, subject, &format!("this is {}, but it has to be `true` or `false`", node.value));
        None
    }

    pub(super) fn list<'n>(&mut self, subject: &str, node: &'n Node) -> &'n [Node] {
        if let Value::List(list) = &node.value {
            return list;
        }
        self.fault(node.at, subject, &format!("this is {}, but it has to be a list in brackets", node.value));
        &[]
    }

    /// The texts of a list. Only the first value that is not text is a fault, because the others are probably like it.
    pub(super) fn texts(&mut self, subject: &str, node: &Node) -> Vec<String> {
        let list = self.list(subject, node);
        if let Some(other) = list.iter().find(|each| each.text().is_none()) {
            self.text(subject, other);
        }
        list.iter().filter_map(Node::text).map(str::to_owned).collect()
    }
}
